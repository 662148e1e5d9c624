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

	"replicator/integration/bench/delay"
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
		o.Data, o.Rounds, o.Warm = Full(number(t, "REPLICATOR_BENCH_LARGE", FewLarge)), 3, true
		o.Streams = Streams()
	case "quick":
		o.Data, o.Rounds = Quick(number(t, "REPLICATOR_BENCH_LARGE", FewLarge)), 1
		o.Streams = QuickStreams()
	case "", "profile":
		t.Skip("REPLICATOR_BENCH is neither full nor quick")
	default:
		t.Fatalf("REPLICATOR_BENCH is %q; want full, quick or profile", size)
	}
	o.Rounds = number(t, "REPLICATOR_BENCH_ROUNDS", o.Rounds)
	only := os.Getenv("REPLICATOR_BENCH_ONLY")
	if only != "" {
		o.Only = regexp.MustCompile(only)
	}
	var all Results
	var machine []string
	for _, version := range []string{cluster.DefaultVersion, OlderVersion} {
		part := o.to(version)
		if part.empty() {
			continue
		}
		t.Run("to "+version, func(t *testing.T) { // its brokers end with it
			site := newSite(t, version)
			got, err := Compare(t.Context(), site, part)
			all.add(got)
			if machine == nil {
				machine = Machine(site, brokers)
			}
			got.unequal(func(format string, args ...any) { t.Errorf(format, args...) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	if loss := TheLoss(o.Rounds); loss.Wanted(o.Only) {
		t.Run("failover", func(t *testing.T) { all.Losses = lose(t, loss) })
	}
	text := Markdown(machine, all)
	fmt.Println(text)
	if size == "full" && only == "" && !t.Failed() {
		if err := WritePage(page, text); err != nil {
			t.Fatal(err)
		}
	}
}

// lose measures a failover on clusters of its own, new ones in each round.
func lose(t *testing.T, loss Loss) (runs []LossRun) {
	t.Setenv("REPLICATOR_KAFKA_PROVIDER", "jvm")
	program, err := Build(t.Context(), t.TempDir(), "replicator/cmd/replicator")
	if err != nil {
		t.Fatal(err)
	}
	for round := range loss.Rounds {
		t.Run(strconv.Itoa(round+1), func(t *testing.T) { // its brokers end with it
			source, target := cluster.Start(t, cluster.Named("source")), cluster.Start(t, cluster.Named("target"))
			run, err := loss.Lose(t.Context(), Pair{source.Bootstrap(), target.Bootstrap(), source.Kill}, program, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			say("j: round %d: %s", round+1, run)
			runs = append(runs, run)
		})
	}
	return runs
}

// number reads a variable that holds a number of at least 1.
func number(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q; want a number of at least 1", variable, text)
	}
	return n
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
	site := newSite(t, cluster.DefaultVersion)
	data := Full(FewLarge)[0]
	say("writing %s", data)
	if err := data.load(t.Context(), site.Source); err != nil {
		t.Fatal(err)
	}
	j := &job{source: site.Source, target: site.Target, topic: data.topic(), codec: data.Codec, alias: "old",
		dir: site.Dir}
	path, err := j.write("flow.yaml", configuration(j, flowSettings{}))
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
const brokers = "two brokers, Kafka " + cluster.DefaultVersion + " but for the target where another version is named " +
	"(KRaft, one process each, 512 MB of heap)"

// newSite starts two clusters as JVM processes: a container engine between them
// and the contestants would be measured as well.
func newSite(t *testing.T, targetVersion string) Site {
	t.Setenv("REPLICATOR_KAFKA_PROVIDER", "jvm")
	source, farSource := newCluster(t, "source", cluster.DefaultVersion)
	target, farTarget := newCluster(t, "target", targetVersion)
	return Site{
		Source: source, Target: target, FarSource: farSource, FarTarget: farTarget,
		Libs: cluster.Jars(t, cluster.DefaultVersion), Dir: t.TempDir(),
	}
}

// newCluster starts one, and a long line to it. Beside what goes through it, the
// line costs nothing.
func newCluster(t *testing.T, name, version string) (bootstrap, far string) {
	line, err := delay.Listen(roundTrip / 2)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.Start(t, cluster.Named(name), cluster.Version(version), cluster.Through(line.Address()),
		// What a contestant leaves is deleted at once, not while the next one is at work.
		cluster.Config("log.segment.delete.delay.ms", "0"),
		cluster.Config("message.max.bytes", strconv.Itoa(8<<20)))
	ended := make(chan error, 1) // one answer
	go func() { ended <- line.Run(t.Context(), c.Behind()) }()
	t.Cleanup(func() { // before that of the cluster, and after the end of the context
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c.Bootstrap(), line.Address()
}

// say prints at once, which a test's log does not.
func say(format string, args ...any) {
	fmt.Printf(time.Now().Format("15:04:05 ")+format+"\n", args...)
}
