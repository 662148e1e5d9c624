package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
)

// interleaved are a pair whose two logs hold the same records in two orders, and the last ones on their side alone.
func interleaved(t *testing.T) (*flowtest.World, chunk.Partition) {
	t.Helper()
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make", w.MakeTopic(w.Sides.Target, "orders"))
	all := 0
	for range 3 { // while nobody copies, so that each side has its own first
		w.Plain(w.Sides.Source, "orders", 0, 3)
		w.Plain(w.Sides.Target, "orders", 0, 2)
		all += 5
		r := p.StartFlows(p.There, p.Back)
		p.SameOnBoth("orders", all)
		r.Stop()
	}
	w.Plain(w.Sides.Source, "orders", 0, 2)
	w.Plain(w.Sides.Target, "orders", 0, 1)
	return w, chunk.Partition{Topic: "orders"}
}

// From the target to the source of a pair a position is the first record of the source that was not read on the target,
// which both maps tell: by the one of the flow alone a reader would pass by what the opposite flow brought.
func TestOffsetsBackOverBothMaps(t *testing.T) {
	w, orders := interleaved(t)
	source, target := w.Source.Read("orders", 0, 0), w.Target.Read("orders", 0, 0)
	look := w.Look()
	for at := range target[len(target)-1].Offset + 2 {
		got, err := inspect.Invert(w.Ctx, look, orders, offsets.Target(at))
		w.Must("invert", err)
		read := map[string]bool{}
		for _, r := range target {
			read[string(r.Value)] = r.Offset < at
		}
		next := slices.IndexFunc(source, func(r *kgo.Record) bool { return !read[string(r.Value)] })
		first := slices.IndexFunc(source, func(r *kgo.Record) bool { return r.Offset >= int64(got.Source) })
		if first != next || !got.ByBoth || got.OneMap != "" {
			t.Errorf("from target offset %d a reader goes on at source offset %d, record %d of the source, want %d: %+v", at,
				got.Source, first, next, got)
		}
	}
}

// While the source is away one map is all there is: the answer says so, and what may be wrong for it.
func TestOffsetsOfAPairByOneMap(t *testing.T) {
	w, orders := interleaved(t)
	w.Source.Close()
	look := tolerant(w)
	there, err := inspect.Translate(w.Ctx, look, orders, 5)
	w.Must("translate", err)
	back, err := inspect.Invert(w.Ctx, look, orders, 5)
	w.Must("invert", err)
	for _, got := range []*inspect.Translation{there, back} {
		if got.ByBoth || !strings.Contains(got.OneMap, "since the other one is on old, which does not answer") ||
			!strings.Contains(got.OneMap, "a reader from there on passes by what began its way on new") {
			t.Errorf("it is told as %+v", got)
		}
	}
}
