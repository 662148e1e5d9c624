package page_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/internal/answers"
	"replicator/internal/flowtest"
	"replicator/internal/page"
	"replicator/internal/report/status"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// asker asks a page that runs.
type asker struct {
	*testing.T
	url string
}

func serve(t *testing.T, o page.Options) asker {
	t.Helper()
	o.Metrics, o.Words, o.Version = prometheus.NewRegistry(), status.Words, "v1"
	p := page.New(o)
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return asker{t, server.URL}
}

// get decodes an answer into v, which has all of its fields.
func (a asker) get(path string, code int, v any) http.Header {
	a.Helper()
	answer, err := http.Get(a.url + path)
	if err != nil {
		a.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != code {
		a.Fatalf("%s: %s, want %d", path, answer.Status, code)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.Fatal(err)
	}
	schema, _, _ := strings.Cut(path, "?")
	if code != http.StatusOK {
		schema = "refusal"
	}
	follows(a.T, schema, body)
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		a.Fatalf("%s: %v", path, err)
	}
	return answer.Header
}

// The API answers what status --json and offsets --json print.
func TestAnswersWhatVerbsPrint(t *testing.T) {
	w := flowtest.New(t)
	w.CutAt60()
	w.Topic("plain", 2)
	w.Plain(w.Sides.Source, "plain", 1, 30)
	w.Commit("readers", "plain", 1, 7)
	r := w.Start(nil)
	r.Stopped("orders", 0, chunk.StopSourceTruncated)
	r.Copies("plain", 1)
	look := w.Look()
	w.StatusOf(look, "readers", "plain", func(p *inspect.PositionStatus) bool { return p.State == "right" })

	a := serve(t, page.Options{Clusters: w.Clusters(), Flows: []settings.Config{w.Cfg}})
	var got page.Status
	a.get("/api/v1/status", http.StatusOK, &got)
	watcher := inspect.Watch(w.Clusters(), []settings.Config{w.Cfg})
	defer watcher.Close()
	want, failed := watcher.Status(w.Ctx)
	if len(failed) > 0 || len(got.Problems) > 0 || len(got.Flows) != 1 {
		t.Fatalf("failed: %v, %+v", failed, got.Problems)
	}
	want[0].Taken = got.Flows[0].Taken
	if g, w := inWords(t, got.Flows), inWords(t, want); g != w {
		t.Errorf("the API answers\n%s\nand status --json\n%s", g, w)
	}
	if said := got.Remarks[0]; said.Flow != "old->new" || !strings.Contains(said.Headline, "1 STOPPED") ||
		!strings.Contains(fmt.Sprint(said.Notes), "replicator resume") {
		t.Errorf("in words: %+v", said)
	}
	kinds := map[string]int{}
	for _, e := range got.Timeline {
		kinds[e.Kind]++
	}
	if kinds["stop"] != 1 || kinds["cut"] != 1 {
		t.Errorf("timeline: %+v", got.Timeline)
	}

	ask := func(topic string, partition, at int, inverse bool) string {
		return "/api/v1/offsets?" + url.Values{"flow": {"old->new"}, "topic": {topic}, "partition": {fmt.Sprint(partition)},
			"at": {fmt.Sprint(at)}, "inverse": {fmt.Sprint(inverse)}}.Encode()
	}
	var there, back answers.Translated
	a.get(ask("plain", 1, 7, false), http.StatusOK, &there)
	t7, err := inspect.Translate(w.Ctx, look, chunk.Partition{Topic: "plain", Number: 1}, 7)
	w.Must("translate", err)
	if g, w := inWords(t, there), inWords(t, answers.TranslatedOf(t7)); g != w {
		t.Errorf("the API translates\n%s\nand the verb\n%s", g, w)
	}
	a.get(ask("plain", 1, int(there.Is), true), http.StatusOK, &back)
	if back.At != 7 {
		t.Errorf("there and back: %+v", back)
	}
	var no page.Refusal
	a.get(ask("plain", 1, 1000, false), http.StatusUnprocessableEntity, &no)
	if !strings.Contains(no.Error, "beyond") || no.Remedy == "" {
		t.Errorf("an offset beyond the end: %+v", no)
	}
}

func inWords(t *testing.T, document any) string {
	t.Helper()
	text, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Clusters that do not answer are told of, with a remedy.
func TestClustersAway(t *testing.T) {
	t.Parallel()
	flow := settings.DefaultConfig()
	flow.From, flow.To = "old", "new"
	gone := func(name string) kafka.Config {
		return kafka.Config{Name: name, Properties: map[string]string{"bootstrap.servers": "127.0.0.1:1"}}
	}
	a := serve(t, page.Options{Clusters: map[string]kafka.Config{"old": gone("old"), "new": gone("new")},
		Flows: []settings.Config{flow}})
	var got page.Status
	a.get("/api/v1/status", http.StatusOK, &got)
	if len(got.Flows) != 0 || len(got.Problems) != 1 || got.Problems[0].Remedy == "" {
		t.Errorf("%+v", got)
	}
	var history page.History
	a.get("/api/v1/history", http.StatusOK, &history)
	var version page.Version
	a.get("/api/v1/version", http.StatusOK, &version)
	if len(history.Flows) != 1 || version.Version != "v1" {
		t.Errorf("%+v, %+v", history, version)
	}
	for path, code := range map[string]int{
		"/api/v1/offsets?topic=orders&partition=0&at=-1":   http.StatusBadRequest,
		"/api/v1/offsets?topic=orders&partition=x&at=1":    http.StatusBadRequest,
		"/api/v1/offsets?partition=0&at=1":                 http.StatusBadRequest,
		"/api/v1/offsets?flow=no&topic=a&partition=0&at=1": http.StatusBadRequest,
		"/api/v1/nothing": http.StatusNotFound,
	} {
		var no page.Refusal
		if a.get(path, code, &no); no.Error == "" || no.Remedy == "" {
			t.Errorf("%s: %+v", path, no)
		}
	}
}

// The page runs no script but its own, takes nothing from elsewhere, and cannot be framed.
func TestPageIsStrict(t *testing.T) {
	t.Parallel()
	a := serve(t, page.Options{})
	for _, path := range []string{"/", "/page.js", "/page.css", "/icon.svg", "/api/v1/version", "/nothing"} {
		answer, err := http.Get(a.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		head := answer.Header
		if head.Get("X-Content-Type-Options") != "nosniff" || head.Get("X-Frame-Options") != "DENY" ||
			head.Get("Access-Control-Allow-Origin") != "" ||
			!strings.HasPrefix(head.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; ") {
			t.Errorf("%s: %v", path, head)
		}
	}
	bad := map[string]*regexp.Regexp{
		"a script or style in the markup": regexp.MustCompile(`<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=`),
		"an address of elsewhere":         regexp.MustCompile(`(?:src|href|url|fetch)[=(]+["'\x60]?(?:https?:|//)`),
		"text that becomes markup":        regexp.MustCompile(`(?:inner|outer)HTML|AdjacentHTML|document\.write|eval\(`),
	}
	err := fs.WalkDir(os.DirFS("assets"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile("assets/" + path)
		for what, pattern := range bad {
			if found := pattern.Find(text); found != nil {
				t.Errorf("%s has %s: %s", path, what, found)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
