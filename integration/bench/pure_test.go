package bench

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/internal/config"
	"replicator/pkg/replicate/settings"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMarkdown(t *testing.T) {
	run := func(name string, round int, total, first, cpu, firstCPU float64, mb int64) Run {
		s := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
		return Run{Contestant: name, Round: round, Total: s(total), First: s(first), CPU: s(cpu), FirstCPU: s(firstCPU),
			Peak: mb << 20, Seen: 1000}
	}
	stream := func(name string, p50, p99, worst float64) StreamRun {
		ms := func(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }
		return StreamRun{Contestant: name, CPU: time.Second, Peak: 50 << 20, Records: 30_000,
			P50: ms(p50), P99: ms(p99), Worst: ms(worst)}
	}
	got := Markdown([]string{"a machine", "its broker"}, Results{Copies: []Result{
		{Data: Full(FewLarge)[0], Runs: []Run{
			run(plainLoop, 1, 10, 0.5, 12, 0.1, 300), run(rawCopy, 1, 9, 0.2, 1, 0.1, 100),
			run(exactlyOnce, 1, 12, 1, 1.6, 0.5, 120), run(recordExactOnce, 1, 13, 1, 16, 0.5, 320),
			run(mm2ExactOnce, 1, 45, 15, 60, 20, 900),
			run(mm2ExactOnce, 2, 41, 14, 58, 19, 930), run(exactlyOnce, 2, 14, 1.5, 1.8, 0.5, 130),
			run(rawCopy, 2, 11, 0.2, 1, 0.1, 100),
			run(plainLoop, 2, 10, 0.5, 12, 0.1, 310),
		}},
		{Data: Full(FewLarge)[1], Runs: []Run{ // failed runs count nowhere
			run(plainLoop, 1, 20, 0.5, 22, 0.1, 300),
			{Contestant: exactlyOnce, Round: 1, Failed: "partition 3 has 9 records | instead of 10\nand more"},
		}},
	}, Streams: []StreamResult{
		{Stream: Streams()[0], Runs: []StreamRun{{Contestant: mm2LeastOnce, Failed: "it ended"}}},
		{Stream: Streams()[1], Runs: []StreamRun{
			stream(mm2ExactOnce, 300, 478, 700), stream(exactlyOnce, 260, 502.4, 510), stream(fastCommits, 30, 61.5, 80),
		}},
	}, Losses: []LossRun{{Records: 1200, Age: 1250 * time.Millisecond, SaidRPO: time.Second, SaidRTO: time.Second / 2,
		Verb: time.Second / 4, First: time.Second / 2}}})
	const golden = "testdata/results.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("Markdown() =\n%s\nwant\n%s", got, want)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct {
		f    figures
		want string
	}{
		{nil, "-"},
		{figures{2.04}, "2.0"},
		{figures{3, 1}, "2.0 (1.0-3.0)"},
		{figures{9, 1, 2}, "2.0 (1.0-9.0)"},
	} {
		if got := c.f.text(1); got != c.want {
			t.Errorf("figures(%v).text(1) = %q, want %q", c.f, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	most, least := goal{limit: 2, atMost: true}, goal{limit: 2}
	worst := goal{limit: 2, atMost: true, worst: true}
	for _, c := range []struct {
		goal goal
		f    figures
		want string
	}{
		{most, nil, "not measured"},
		{most, figures{2}, "reached"},
		{most, figures{2.1}, "missed"},
		{least, figures{2}, "reached"},
		{least, figures{1.9}, "missed"},
		{most, figures{1, 1, 3}, "reached"},
		{worst, figures{1, 1, 3}, "missed"},
	} {
		c.goal.figures = c.f
		if _, got := c.goal.judge(); got != c.want {
			t.Errorf("%+v judges %v as %q, want %q", c.goal, c.f, got, c.want)
		}
	}
}

func TestPlace(t *testing.T) {
	before := "# Page\n\n" + beginMark + "\nold\n" + endMark + "\n\nafter\n"
	want := "# Page\n\n" + beginMark + "\n\nnew\n\n" + endMark + "\n\nafter\n"
	got, err := place(before, "\nnew\n")
	if err != nil || got != want {
		t.Errorf("place() = %q, %v; want %q", got, err, want)
	}
	if again, err := place(got, "new"); err != nil || again != want {
		t.Errorf("a second time: %q, %v; want %q", again, err, want)
	}
	for _, page := range []string{"", beginMark, endMark, endMark + beginMark} {
		if got, err := place(page, "new"); err == nil {
			t.Errorf("place(%q) = %q; want an error", page, got)
		}
	}
}

func TestPageHasItsMarks(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place(string(text), "new"); err != nil {
		t.Errorf("%s: %v", page, err)
	}
}

func TestProcFiles(t *testing.T) {
	// The name of a process may hold anything, spaces and parentheses too.
	stat := "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 1234 66 0 0 20 0"
	if got, want := cpuOf(stat), 13*time.Second; got != want {
		t.Errorf("cpuOf(%q) = %s, want %s", stat, got, want)
	}
	for _, broken := range []string{"", "4711 (x) S 1", "4711 (x) S 1 2 3 4 5 6 7 8 9 10 x y 0"} {
		if got := cpuOf(broken); got != 0 {
			t.Errorf("cpuOf(%q) = %s, want 0", broken, got)
		}
	}
	status := "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  100 kB\nVmRSS:\t   50 kB\n"
	if got, want := peakOf(status), int64(100<<10); got != want {
		t.Errorf("peakOf(%q) = %d, want %d", status, got, want)
	}
	if got := peakOf("Name:\tx\n"); got != 0 {
		t.Errorf("peakOf without the line = %d, want 0", got)
	}
	mounts := "/dev/a / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n/dev/b /dev/shmoo xfs rw 0 0\n/dev/c /tmp btrfs rw 0 0\n"
	for path, want := range map[string]string{
		"/dev/shm/x": "tmpfs", "/dev/shm": "tmpfs", "/dev/shmoo/y": "xfs", "/var": "ext4", "/tmp/x": "btrfs", "/tmpx": "ext4",
	} {
		if got := mountOf(mounts, path); got != want {
			t.Errorf("mountOf(%s) = %s, want %s", path, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000", 100000: "100,000",
	} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestDiffers(t *testing.T) {
	with := func(values ...string) content {
		c := make(content, 3)
		for i, v := range values {
			c.add(&kgo.Record{Partition: 2, Offset: int64(i), Timestamp: time.UnixMilli(5), Value: []byte(v)})
		}
		return c
	}
	original := with("a", "b", "c")
	if got := with("a", "b", "c").differs(original); got != "" {
		t.Errorf("an equal copy differs: %s", got)
	}
	for name, c := range map[string]struct {
		copy content
		want string
		last bool // it ends as the original does
	}{
		"lost":      {with("a", "c"), "partition 2 has 2 records instead of 3", true},
		"doubled":   {with("a", "b", "c", "c"), "partition 2 has 4 records instead of 3", true},
		"reordered": {with("b", "a", "c"), "partition 2 has other records, or in another order", true},
		"cut":       {with("ab", "", "d"), "partition 2 has other records, or in another order", false},
	} {
		if got := c.copy.differs(original); got != c.want {
			t.Errorf("%s: differs() = %q, want %q", name, got, c.want)
		}
		if got := c.copy.sameLast(original); got != c.last {
			t.Errorf("%s: sameLast() = %t, want %t", name, got, c.last)
		}
	}
}

func TestConfigurationIsAccepted(t *testing.T) {
	for _, c := range []struct {
		settings flowSettings
		delivery settings.Delivery
		lane     settings.Lane
		interval time.Duration
	}{
		{flowSettings{}, settings.ExactlyOnce, settings.LaneBatch, 500 * time.Millisecond},
		{flowSettings{interval: 50 * time.Millisecond}, settings.ExactlyOnce, settings.LaneBatch, 50 * time.Millisecond},
		{flowSettings{records: true}, settings.ExactlyOnce, settings.LaneRecord, 500 * time.Millisecond},
		{flowSettings{records: true, leastOnce: true}, settings.AtLeastOnce, settings.LaneRecord, 500 * time.Millisecond},
	} {
		j := &job{source: "127.0.0.1:1", target: "127.0.0.1:2", topic: "bench-a", codec: "zstd", alias: "x-a-1"}
		text := configuration(j, c.settings)
		cfg, err := config.Parse("flow.yaml", []byte(text), os.LookupEnv)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		flow := cfg.Flows[0]
		lane, _ := flow.LaneInUse()
		if flow.Delivery != c.delivery || lane != c.lane || flow.CommitInterval != c.interval {
			t.Errorf("%+v: %s on lane %s every %s; want %s, %s, %s",
				c.settings, flow.Delivery, lane, flow.CommitInterval, c.delivery, c.lane, c.interval)
		}
		if got := cfg.Clusters["new"].Properties["compression.type"]; got != j.codec {
			t.Errorf("codec of the target %q, want %q", got, j.codec)
		}
	}
}

// Whoever is to copy is a contestant, and what is copied has a name of its own.
func TestData(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Full(FewLarge) {
		if seen[d.Name] || strings.Contains(d.Name, ".") {
			t.Errorf("data %q: the name is taken, or has a dot", d.Name)
		}
		seen[d.Name] = true
		if got := choose(d.Name, d.By, nil); len(got) != len(d.By) {
			t.Errorf("data %s: %d contestants of %v", d.Name, len(got), d.By)
		}
	}
	o := Options{Data: Full(FewLarge), Only: regexp.MustCompile("^(a|b39)/raw$")}
	for version, want := range map[string]string{cluster.DefaultVersion: "a", OlderVersion: "b39", "1.0": ""} {
		got := ""
		for _, d := range o.to(version).Data {
			got += d.Name
		}
		if got != want || o.to(version).empty() != (want == "") {
			t.Errorf("to %s goes %q, want %q", version, got, want)
		}
	}
	for size, want := range map[int]int64{100: 64, 1000: 64, 1_000_000: 4} {
		if got := (Data{Size: size}).tail(); got != want {
			t.Errorf("a tail of %d records of %d bytes, want %d", got, size, want)
		}
	}
}

// Both ways of MirrorMaker 2 need some keys; a key given twice would be a slip.
func TestMM2Properties(t *testing.T) {
	j := &job{source: "127.0.0.1:1", target: "127.0.0.1:2", topic: "t", codec: "lz4", alias: "x"}
	line := regexp.MustCompile(`^[A-Za-z0-9.>-]+ = \S.*$`)
	for _, exact := range []bool{false, true} {
		keys := map[string]bool{}
		for text := range strings.Lines(mm2Properties(j, exact, 8083)) {
			text = strings.TrimSuffix(text, "\n")
			key, _, _ := strings.Cut(text, " = ")
			if !line.MatchString(text) || keys[key] {
				t.Errorf("exact %t: line %q is no property, or given twice", exact, text)
			}
			keys[key] = true
		}
		for key, want := range map[string]bool{
			"new.producer.compression.type":       true,
			"new.exactly.once.source.support":     exact,
			"x.consumer.isolation.level":          exact,
			"dedicated.mode.enable.internal.rest": exact,
		} {
			if keys[key] != want {
				t.Errorf("exact %t: key %s is there: %t, want %t", exact, key, keys[key], want)
			}
		}
	}
}
