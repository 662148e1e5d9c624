package bench

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMarkdown(t *testing.T) {
	run := func(name string, round int, total, first, cpu, firstCPU float64, mb int64) Run {
		s := func(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }
		return Run{Contestant: name, Round: round, Total: s(total), First: s(first), CPU: s(cpu), FirstCPU: s(firstCPU),
			Peak: mb << 20}
	}
	got := Markdown([]string{"a machine", "its broker"}, []Result{
		{Data: Full()[0], Runs: []Run{
			run(plainLoop, 1, 10, 0.5, 12, 0.1, 300), run(exactlyOnce, 1, 12, 1, 16, 0.5, 320),
			run(mm2ExactOnce, 1, 45, 15, 60, 20, 900),
			run(mm2ExactOnce, 2, 41, 14, 58, 19, 930), run(exactlyOnce, 2, 14, 1.5, 18, 0.5, 520),
			run(plainLoop, 2, 10, 0.5, 12, 0.1, 310),
		}},
		{Data: Full()[1], Runs: []Run{ // failed runs count nowhere
			run(plainLoop, 1, 20, 0.5, 22, 0.1, 300),
			{Contestant: exactlyOnce, Round: 1, Failed: "partition 3 has 9 records | instead of 10\nand more"},
		}},
	})
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
	atMost, atLeast := goal{limit: 2, atMost: true}, goal{limit: 2}
	worst := goal{limit: 2, atMost: true, worst: true}
	for _, c := range []struct {
		goal goal
		f    figures
		want string
	}{
		{atMost, nil, "not measured"},
		{atMost, figures{2}, "reached"},
		{atMost, figures{2.1}, "missed"},
		{atLeast, figures{2}, "reached"},
		{atLeast, figures{1.9}, "missed"},
		{atMost, figures{1, 1, 3}, "reached"},
		{worst, figures{1, 1, 3}, "missed"},
	} {
		if _, got := c.goal.judge(c.f); got != c.want {
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
	make := func(values ...string) *content {
		c := new(content)
		for i, v := range values {
			c.add(&kgo.Record{Partition: 2, Offset: int64(i), Timestamp: time.UnixMilli(5), Value: []byte(v)})
		}
		return c
	}
	original := make("a", "b", "c")
	if got := make("a", "b", "c").differs(original); got != "" {
		t.Errorf("an equal copy differs: %s", got)
	}
	for name, c := range map[string]struct {
		copy *content
		want string
		last bool // it ends as the original does
	}{
		"lost":      {make("a", "c"), "partition 2 has 2 records instead of 3", true},
		"doubled":   {make("a", "b", "c", "c"), "partition 2 has 4 records instead of 3", true},
		"reordered": {make("b", "a", "c"), "partition 2 has other records, or in another order", true},
		"cut":       {make("ab", "", "d"), "partition 2 has other records, or in another order", false},
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
	for _, delivery := range []string{exactlyOnce, atLeastOnce} {
		for _, data := range Full() {
			j := &job{site: &Site{Source: "127.0.0.1:1", Target: "127.0.0.1:2"}, data: data, alias: "x-" + data.Name + "-1"}
			text := configuration(j, delivery)
			cfg, err := config.Parse("flow.yaml", []byte(text), os.LookupEnv)
			if err != nil {
				t.Fatalf("%v\nin\n%s", err, text)
			}
			if got := string(cfg.Flows[0].Delivery); got != delivery {
				t.Errorf("delivery %q, want %q", got, delivery)
			}
			if got := cfg.Clusters["new"].Properties["compression.type"]; got != data.Codec {
				t.Errorf("codec of the target %q, want %q", got, data.Codec)
			}
		}
	}
}

// Both ways of MirrorMaker 2 need some keys; a key given twice would be a slip.
func TestMM2Properties(t *testing.T) {
	j := &job{site: &Site{Source: "127.0.0.1:1", Target: "127.0.0.1:2"}, data: Full()[1], alias: "x"}
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
