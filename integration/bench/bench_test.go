package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"replicator/integration/cluster"
)

const (
	page    = "../../docs/benchmarks.md"
	results = "../../dist"
)

// TestBench compares on real brokers, if REPLICATOR_BENCH is full or quick; full
// writes its results into docs/benchmarks.md. It fails when a contestant has not
// made an equal copy; how fast it was is for the reader to judge.
func TestBench(t *testing.T) {
	size := os.Getenv("REPLICATOR_BENCH")
	o := Options{Say: say}
	switch size {
	case "full":
		o.Data, o.Rounds, o.Warm = Full(), 3, true
	case "quick":
		o.Data, o.Rounds = Quick(), 1
	case "", "profile":
		t.Skip("REPLICATOR_BENCH is neither full nor quick")
	default:
		t.Fatalf("REPLICATOR_BENCH is %q; want full, quick or profile", size)
	}
	if rounds := os.Getenv("REPLICATOR_BENCH_ROUNDS"); rounds != "" {
		n, err := strconv.Atoi(rounds)
		if err != nil || n < 1 {
			t.Fatalf("REPLICATOR_BENCH_ROUNDS is %q; want a number of at least 1", rounds)
		}
		o.Rounds = n
	}
	only := os.Getenv("REPLICATOR_BENCH_ONLY")
	if only != "" {
		o.Only = regexp.MustCompile(only)
	}
	site := newSite(t)
	got, err := Compare(t.Context(), site, o)
	if err != nil {
		t.Fatal(err)
	}
	text := Markdown(Machine(site, brokers), got)
	fmt.Println(text)
	for _, r := range got {
		for _, run := range r.Runs {
			if run.Failed != "" {
				t.Errorf("%s: round %d, %s: %s", r.Data.Name, run.Round, run.Contestant, run.Failed)
			}
		}
	}
	if size == "full" && only == "" && !t.Failed() {
		if err := WritePage(page, text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProfile copies the first of the full amounts with exactly_once and leaves
// CPU and heap profiles in dist/, if REPLICATOR_BENCH is profile.
func TestProfile(t *testing.T) {
	if os.Getenv("REPLICATOR_BENCH") != "profile" {
		t.Skip("REPLICATOR_BENCH is not profile")
	}
	folder, err := filepath.Abs(results)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := Build(t.Context(), folder, "replicator/integration/bench/profile")
	if err != nil {
		t.Fatal(err)
	}
	site := newSite(t)
	data := Full()[0]
	say("writing %s", data)
	if err := data.load(t.Context(), site.Source); err != nil {
		t.Fatal(err)
	}
	j := &job{site: &site, data: data, alias: "old", dir: site.Dir}
	path, err := j.write("flow.yaml", configuration(j, exactlyOnce))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-c", path,
		"-cpu", filepath.Join(folder, "cpu.prof"), "-heap", filepath.Join(folder, "heap.prof"))
	out, err := cmd.CombinedOutput()
	say("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// brokers says what newSite starts.
const brokers = "two brokers, Kafka " + cluster.DefaultVersion + " (KRaft, one process each, 512 MB of heap)"

// newSite starts two clusters as JVM processes: a container engine between them
// and the contestants would be measured as well.
func newSite(t *testing.T) Site {
	t.Setenv("REPLICATOR_KAFKA_PROVIDER", "jvm")
	// What a contestant leaves is deleted at once, not while the next one is at work.
	source, target := cluster.Pair(t, cluster.Config("log.segment.delete.delay.ms", "0"))
	return Site{
		Source: source.Bootstrap(), Target: target.Bootstrap(),
		Libs: cluster.Jars(t, cluster.DefaultVersion), Dir: t.TempDir(),
	}
}

// say prints at once, which a test's log does not.
func say(format string, args ...any) {
	fmt.Printf(time.Now().Format("15:04:05 ")+format+"\n", args...)
}
