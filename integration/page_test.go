package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"replicator/integration/workload"
	"replicator/internal/page"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
)

// browser is a real Chromium with one page, and what it complained of.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string
}

func openBrowser(ctx context.Context, t *testing.T, url string) *browser {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
			t.Fatalf("chromium is missing (Debian: apt-get install chromium): %v", err)
		}
		t.Skip("chromium is missing (Debian: apt-get install chromium)")
	}
	// Chromium runs as root in CI, where its sandbox cannot; it shows nothing but our own page.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	b := &browser{t: t}
	ctx, leave := chromedp.NewContext(ctx, chromedp.WithListener(b.hears))
	t.Cleanup(leave)
	b.ctx = ctx
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url))
	return b
}

// hears keeps what the browser complains of, what the Content-Security-Policy refuses among it.
func (b *browser) hears(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.wrong = append(b.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must(b.t, chromedp.Do(b.ctx, steps...))
}

// eval answers what a script says.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	said, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	must(b.t, err)
	return said
}

// rows are those that a table shows: by column, with the row's own name under "".
func (b *browser) rows(section string) []map[string]string {
	b.t.Helper()
	return eval[[]map[string]string](b, fmt.Sprintf(`[...document.querySelectorAll("#%s tbody tr")].map((r) =>
		Object.fromEntries([["", r.dataset.key], ...[...r.cells].map((c) => [c.dataset.label, c.textContent])]))`, section))
}

// text is what an element says.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ""`, selector))
}

// What the page shows in a real browser is what status --json prints: of partitions, of which one is stopped,
// of groups, and of an offset that is translated.
func TestPage(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 8*time.Minute)
	name := unique(t)
	fine, foreign := name+"-fine", name+"-foreign"
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), fine))
	must(t, workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), foreign))
	must(t, workload.Topics(ctx, target.Bootstrap(), 1, workload.KeepConfigs(), foreign))
	must(t, workload.Produce(ctx, target.Bootstrap(), foreign, numbered("somebody else's", 1, 0)...))
	mixed(ctx, t, source.Bootstrap(), fine, 7, 500, 2)
	mixed(ctx, t, source.Bootstrap(), foreign, 8, 100, 1)
	_, err := workload.CommitRandom(ctx, source.Bootstrap(),
		workload.GroupSpec{Seed: 9, Prefix: name, Groups: 2, Topics: []string{fine}})
	must(t, err)
	s, address := newSite(t, source, target, patterns(t, []string{fine, foreign})...).replica()
	d := s.run()
	var seen pageSeen
	eventually(t, time.Minute, "nothing is left to be copied, and groups stand right", func() bool {
		seen = s.seen()
		return seen.settled(foreign)
	})
	settled := time.Now()
	b := openBrowser(ctx, t, "http://"+address+"/")
	eventually(t, 30*time.Second, "the page shows a look that is as new", func() bool {
		looked, err := time.Parse(time.RFC3339, eval[string](b, `shown.status?.looked_at ?? ""`))
		return err == nil && looked.After(settled)
	})
	b.showsStatus(seen)
	b.translates(s, fine)
	b.findsAmongMany()
	b.tellsOfMoves()
	b.isForEverybody()
	d.stop()
	eval[bool](b, `look(), true`)
	eventually(t, 30*time.Second, "the page says that it is old", func() bool {
		return strings.Contains(b.text("#age"), "THIS IS OLD") && strings.Contains(b.text("#trouble"), "No answer")
	})
}

// pageSeen is of status --json what the page shows in tables.
type pageSeen struct {
	Flow       string `json:"flow"`
	Partitions []struct {
		Topic     string `json:"topic"`
		Partition int    `json:"partition"`
		State     string `json:"state"`
		Reason    string `json:"reason"`
		Remedy    string `json:"remedy"`
		End       int64  `json:"source_end"`
		Progress  *int64 `json:"progress"`
		Behind    int64  `json:"records_behind"`
		TargetEnd *int64 `json:"target_end"`
	} `json:"partitions"`
	Groups []struct {
		Group     string `json:"group"`
		Positions []struct {
			Topic       string `json:"topic"`
			Partition   int    `json:"partition"`
			Source      int64  `json:"source_offset"`
			Lag         int64  `json:"source_lag"`
			Translation *int64 `json:"translation"`
			Rule        string `json:"rule"`
			Target      *int64 `json:"target_offset"`
			TargetLag   *int64 `json:"target_lag"`
			State       string `json:"state"`
		} `json:"positions"`
	} `json:"groups"`
}

// seen is what status --json prints of the flow.
func (s *site) seen() pageSeen {
	s.t.Helper()
	var document struct {
		Flows []pageSeen `json:"flows"`
	}
	out, code := s.command("status", "--json")
	if err := json.Unmarshal([]byte(out), &document); code != 0 || err != nil || len(document.Flows) != 1 {
		s.t.Fatalf("status --json ended with %d (%v):\n%s", code, err, out)
	}
	return document.Flows[0]
}

// settled says whether nothing will change: one topic is stopped, all else is copied.
func (p *pageSeen) settled(stopped string) bool {
	for _, one := range p.Partitions {
		copied := one.Behind == 0 && one.Progress != nil && one.State != "stopped"
		if one.Topic == stopped && one.State != "stopped" || one.Topic != stopped && !copied {
			return false
		}
	}
	for _, g := range p.Groups {
		for _, at := range g.Positions {
			if at.State != "right" {
				return false
			}
		}
	}
	return len(p.Partitions) == 3 && len(p.Groups) == 2
}

func (b *browser) showsStatus(seen pageSeen) {
	b.t.Helper()
	orDash := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	var want []map[string]string
	for _, p := range seen.Partitions {
		row := map[string]string{"": fmt.Sprintf("%s %s/%d", seen.Flow, p.Topic, p.Partition), "Flow": seen.Flow,
			"Partition": fmt.Sprintf("%s/%d", p.Topic, p.Partition), "State": strings.ReplaceAll(p.State, "_", " "),
			"Behind": fmt.Sprint(p.Behind), "Source end": fmt.Sprint(p.End), "Progress": orDash(p.Progress),
			"Target end": orDash(p.TargetEnd)}
		want = append(want, row)
	}
	got := b.rows("partitions")
	for i, row := range got {
		why := row["Reason and remedy"]
		delete(row, "Reason and remedy")
		if p := seen.Partitions[min(i, len(seen.Partitions)-1)]; !strings.Contains(why, p.Reason) ||
			!strings.Contains(why, p.Remedy) || p.State == "stopped" && p.Remedy == "" {
			b.t.Errorf("the page says of %s: %q, and status %q, %q", row[""], why, p.Reason, p.Remedy)
		}
	}
	b.same("partitions", got, want)
	want = nil
	for _, g := range seen.Groups {
		for _, p := range g.Positions {
			want = append(want, map[string]string{"": fmt.Sprintf("%s %s %s/%d", seen.Flow, g.Group, p.Topic, p.Partition),
				"Flow": seen.Flow, "Group": g.Group, "Partition": fmt.Sprintf("%s/%d", p.Topic, p.Partition),
				"Source": fmt.Sprint(p.Source), "Source lag": fmt.Sprint(p.Lag), "Translation": orDash(p.Translation),
				"Rule": strings.ReplaceAll(p.Rule, "_", " "), "Target": orDash(p.Target), "Target lag": orDash(p.TargetLag),
				"State": p.State, "Why and remedy": ""})
		}
	}
	b.same("groups", b.rows("groups"), want)
	if text := b.text(".headline"); !strings.Contains(text, "1 STOPPED") || !strings.Contains(text, "1 replica") {
		b.t.Errorf("the headline is %q", text)
	}
	if text := b.text("#event-list"); !strings.Contains(text, "did not write") {
		b.t.Errorf("the timeline does not tell of the stop: %q", text)
	}
}

func (b *browser) same(what string, got, want []map[string]string) {
	b.t.Helper()
	g, err := json.MarshalIndent(got, "", " ")
	must(b.t, err)
	w, err := json.MarshalIndent(want, "", " ")
	must(b.t, err)
	if string(g) != string(w) {
		b.t.Errorf("the page shows as %s\n%s\nand status --json says\n%s", what, g, w)
	}
}

// translates an offset in the form, as the verb does.
func (b *browser) translates(s *site, topic string) {
	b.t.Helper()
	var want struct {
		Target int64  `json:"target_offset"`
		Why    string `json:"why"`
	}
	out, code := s.command("offsets", "--topic", topic, "--partition", "1", "--at", "20", "--json")
	if err := json.Unmarshal([]byte(out), &want); err != nil || code != 0 {
		b.t.Fatalf("offsets ended with %d (%v):\n%s", code, err, out)
	}
	field := func(name string) chromedp.CSS { return chromedp.CSS("#ask [name=" + name + "]") }
	b.do(chromedp.SendKeys(field("topic"), topic), chromedp.SetValue(field("partition"), "1"),
		chromedp.SendKeys(field("at"), "20"), chromedp.Click(chromedp.CSS("#ask button")))
	is := fmt.Sprintf("is target offset %d of %s/1", want.Target, topic)
	eventually(b.t, 30*time.Second, "the form answers "+is, func() bool {
		text := b.text("#translated")
		return strings.Contains(text, is) && strings.Contains(text, want.Why)
	})
}

// findsAmongMany shows 10,000 partitions, finds one, and orders all.
func (b *browser) findsAmongMany() {
	b.t.Helper()
	eval[bool](b, `{
		const many = structuredClone(shown.status);
		const one = many.flows[0].partitions[0];
		many.flows[0].partitions = Array.from({ length: 10000 },
			(_, n) => ({ ...one, topic: "many-" + Math.floor(n / 10), partition: n % 10, records_behind: n }));
		clearTimeout(timer);
		showStatus(many);
		true;
	}`)
	if rows := b.rows("partitions"); len(rows) != 50 {
		b.t.Errorf("%d rows of 10000 are on the page, want 50", len(rows))
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#partitions input[type=search]"), "many-777/3"))
	eventually(b.t, 30*time.Second, "the search finds the one", func() bool {
		rows := b.rows("partitions")
		return len(rows) == 1 && rows[0]["Partition"] == "many-777/3"
	})
	eval[string](b, `partitions.search.value = ""`)
	b.do(chromedp.Click(chromedp.CSS("#partitions th:nth-child(4) button")))
	eventually(b.t, 30*time.Second, "the worst is at the top", func() bool {
		rows := b.rows("partitions")
		return len(rows) == 50 && rows[0]["Behind"] == "9999" && rows[49]["Behind"] == "9950"
	})
	eval[bool](b, `partitions.order(-1), look(), true`)
	eventually(b.t, 30*time.Second, "the page shows what is there again", func() bool {
		return len(b.rows("partitions")) == 3
	})
}

// tellsOfMoves shows a cutover, a failover and a chart, of which this flow has none yet.
func (b *browser) tellsOfMoves() {
	b.t.Helper()
	then, lag := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 700.0
	encoded := func(document any) string {
		text, err := json.Marshal(document)
		must(b.t, err)
		return string(text)
	}
	done := encoded(inspect.CutoverStatus{ID: "c-1", State: handover.Done, Begun: then, Ended: &then, Written: -1,
		Groups: []inspect.MovedGroup{{Group: "billing", Ended: &then, OnTarget: true}}})
	over := encoded(handover.Failover{ID: "f-1", State: handover.Done, Begun: then, Ended: then, NotCopied: 42})
	text := eval[string](b, `{
		const moved = structuredClone(shown.status);
		Object.assign(moved.flows[0], { cutover: `+done+`, failover: `+over+` });
		showMoves(moved);
		at("move-list").textContent;
	}`)
	for _, want := range []string{"Cutover c-1", "billing: moved at 2026-01-02 03:04:05Z; at work on the target since",
		"Failover f-1", "not known", "42"} {
		if !strings.Contains(text, want) {
			b.t.Errorf("cutovers and failovers do not tell %q: %s", want, text)
		}
	}
	known := []*float64{nil, &lag, nil}
	measured := encoded(page.History{Times: []time.Time{then, then.Add(time.Minute), then.Add(2 * time.Minute)},
		Flows: []page.FlowHistory{{Flow: "old->new", Lag: known, Records: known, Bytes: known, CommitSeconds: known}}})
	text = eval[string](b, `shown.history = `+measured+`, showCharts(), at("chart-list").textContent`)
	if !strings.Contains(text, "Lag in records: now not known, highest 700 at 2026-01-02 03:05:05Z") {
		b.t.Errorf("the chart of the lag says %q", text)
	}
}

// isForEverybody looks with small, large, dark and light screens, and without eyes.
func (b *browser) isForEverybody() {
	b.t.Helper()
	rules, err := os.ReadFile("testdata/accessible.js")
	must(b.t, err)
	if os.Getenv("REPLICATOR_SCREENSHOTS") != "" {
		eventually(b.t, 5*time.Minute, "there are charts to be seen", func() bool {
			return eval[bool](b, `shown.history.every_seconds > 0 && shown.history.times.length > 3`)
		})
	}
	for _, screen := range []struct {
		name          string
		scheme        string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 360, 740}} {
		prefers := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: screen.scheme}}
		b.do(chromedp.EmulateViewport(screen.width, screen.height),
			chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
				_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: prefers})
				return err
			}))
		for _, what := range eval[[]string](b, string(rules)) {
			b.t.Errorf("%s: %s", screen.name, what)
		}
		if width := eval[int64](b, `document.documentElement.scrollWidth`); width > screen.width {
			b.t.Errorf("%s: the page is %d wide on a screen of %d", screen.name, width, screen.width)
		}
		b.keeps(screen.name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, what := range b.wrong {
		b.t.Errorf("the browser complains: %s", what)
	}
}

// keeps writes the whole page as a picture to the folder of REPLICATOR_SCREENSHOTS, if there is one.
func (b *browser) keeps(name string) {
	b.t.Helper()
	dir := os.Getenv("REPLICATOR_SCREENSHOTS")
	if dir == "" {
		return
	}
	size := eval[[]int64](b, `[innerWidth, document.documentElement.scrollHeight]`)
	b.do(chromedp.EmulateViewport(size[0], size[1]))
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(dir, "page-"+name+".png"), picture, 0o644))
}
