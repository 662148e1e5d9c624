package bench

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

func TestDated(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	for _, size := range []int{0, 50, 100, 1000} {
		value := dated(at, size)
		if got, err := dateOf(value); err != nil || !got.Equal(at) {
			t.Errorf("dateOf(%s) = %v, %v; want %v", value, got, err, at)
		}
		if size > 36 && len(value) != size {
			t.Errorf("a value of %d bytes, want %d: %s", len(value), size, value)
		}
	}
	for _, broken := range []string{"", `{"at":12`, `{"at":xxxxxxxxxxxxxxxxxxxx,"text":""}`} {
		if got, err := dateOf([]byte(broken)); err == nil {
			t.Errorf("dateOf(%q) = %v; want an error", broken, got)
		}
	}
}

func TestQuantile(t *testing.T) {
	list := make([]time.Duration, 200)
	for i := range list {
		list[i] = time.Duration(i + 1)
	}
	for percent, want := range map[int]time.Duration{1: 2, 50: 100, 99: 198, 100: 200} {
		if got := quantile(list, percent); got != want {
			t.Errorf("quantile(1 to 200, %d) = %d, want %d", percent, got, want)
		}
	}
	if got := quantile(list[:1], 99); got != 1 {
		t.Errorf("quantile of one value = %d, want that value", got)
	}
}

// Only what is written within the span counts, and the span begins when all
// partitions have been seen and the contestant has settled.
func TestRuler(t *testing.T) {
	r := &ruler{stream: Stream{Partitions: 2, Settle: time.Second, Span: 2 * time.Second}, seen: map[int32]bool{}}
	zero := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		partition    int32
		written, now int // milliseconds
	}{
		{0, 0, 50}, {0, 10, 60},
		{1, 20, 100},     // both are seen: the span is [1100, 3100)
		{1, 1099, 1200},  // too early
		{0, 1100, 1130},  // 30
		{1, 3099, 3199},  // 100
		{0, 3100, 3101},  // too late
		{1, 2000, 10000}, // 8000: late, but of the span
	} {
		at := zero.Add(time.Duration(c.written) * time.Millisecond)
		record := &kgo.Record{Partition: c.partition, Value: dated(at, 100)}
		if err := r.take(record, zero.Add(time.Duration(c.now)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	var run StreamRun
	if err := r.figures(&run); err != nil {
		t.Fatal(err)
	}
	const ms = time.Millisecond
	if run.Records != 3 || run.P50 != 100*ms || run.P99 != 8000*ms || run.Worst != 8000*ms || r.records != 8 {
		t.Errorf("%+v of %d records; want 3 of 8, p50 100 ms, p99 and worst 8 s", run, r.records)
	}
	if err := new(ruler).figures(&run); err == nil {
		t.Error("no records, and still figures")
	}
}

// A topic that is its own copy shows that everything written is waited for, and
// that a contestant that ends is noticed.
func TestMeasureStream(t *testing.T) {
	ctx, bootstrap := soon(t), fake(t)
	b := &bench{source: open(t, bootstrap), target: open(t, bootstrap)}
	s := Stream{Partitions: 3, Rate: 500, Size: 100, Span: 300 * time.Millisecond, Settle: 50 * time.Millisecond}
	if err := workload.Topics(ctx, bootstrap, int32(s.Partitions), nil, "t"); err != nil {
		t.Fatal(err)
	}
	p, err := start(exec.Command("sleep", "1000"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	run, err := b.measureStream(ctx, p, s, "t", "t")
	if err != nil {
		t.Fatal(err)
	}
	if run.Records == 0 || !slices.IsSorted([]time.Duration{0, run.P50, run.P99, run.Worst}) {
		t.Errorf("%+v; want records, and latencies that ascend", run)
	}
	all, err := b.source.content(ctx, "t", s.Partitions, 0)
	if err != nil {
		t.Fatal(err)
	}
	for p := range all {
		if d := all[0].records - all[p].records; d < 0 || d > 1 {
			t.Errorf("partition 0 has %d records, partition %d has %d; want them in turn", all[0].records, p, all[p].records)
		}
	}

	site := Site{Source: bootstrap, Target: bootstrap, Dir: t.TempDir()}
	b.site, b.options = &site, Options{Say: t.Logf}
	ends := contestant{name: "ends", prepare: func(context.Context, *job) (*exec.Cmd, error) {
		return exec.Command("false"), nil
	}}
	failed, err := b.follow(ctx, ends, s)
	if err != nil || failed.Failed == "" {
		t.Errorf("a contestant that ends at once: %+v, %v; want a run that says so", failed, err)
	}
}
