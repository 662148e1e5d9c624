package replicate_test

import (
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/verify"
)

// TestPairCarriesEachRecordOnce: two flows under the same names, both topics with records of their own from the start;
// each record is on each side once, whoever is restarted.
func TestPairCarriesEachRecordOnce(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 2)
	w.Must("make the topic", workload.Topics(w.Ctx, w.Sides.Target, 2, workload.KeepConfigs(), "orders"))
	written := 0
	write := func(n int) {
		for number := range int32(2) {
			w.Plain(w.Sides.Source, "orders", number, n)
			w.Plain(w.Sides.Target, "orders", number, n)
		}
		written += 4 * n
	}
	write(10)
	before := written / 2 // on the target when the flow first comes to it
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", written)
	write(15)
	p.SameOnBoth("orders", written)
	r.Stop()
	write(5)
	p.StartFlows(p.There)
	p.StartFlows(p.Back)
	write(5)
	p.SameOnBoth("orders", written)

	look := w.Look()
	w.Await("all is copied", func() bool { return w.Partition(look).Behind == 0 })
	v := w.Verify(verify.Options{})
	if v.Verdict != verify.Equal || v.Compared != int64(written/2) ||
		v.Unverified[compare.Native] != int64(written/2-before) || v.Unverified[compare.LeftOut] != int64(written/2) {
		t.Errorf("verify says %+v", v)
	}
}
