package failback_test

import (
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/failback"
)

// After a failback of a pair both flows run, and a cutover of the opposite one takes the applications back.
func TestApplicationsGoBack(t *testing.T) {
	w := flowtest.New(t)
	p := failedOver(w, func() { w.Commit("billing", "orders", 0, 8) })
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target,
		[]workload.Position{{Group: "billing", Topic: "orders", At: 13}}))
	_, err := open(w, options(w, failback.Append)).Run(w.Ctx)
	w.Must("fail back", err)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 22)
	o := w.HandoverOptions()
	o.Flow = p.Back
	c, err := cutover.Open(w.Ctx, o)
	w.Must("open cutover", err)
	defer c.Close()
	record, err := c.Run(w.Ctx)
	w.Must("cut over", err)
	// On the target it has read what was copied, the marker behind that, and two records of those written there. On the
	// source the orphans come first, which it has not read: so those two are read again, and nothing is passed by.
	if at := w.Position(w.From, "billing", "orders", 0); at != 10 || record.Groups != 1 {
		t.Errorf("billing stands at %d on the source, want 10: %+v", at, record)
	}
}

// A process that runs other flows beside the one that failed over goes on with them, and with that one once it is
// failed back.
func TestOtherFlowsGoOn(t *testing.T) {
	w := flowtest.New(t)
	p := failedOver(w)
	r := p.StartFlows(p.There, p.Back)
	w.Await("what was written on the target is on the source", func() bool {
		return len(w.Holds(w.Sides.Source, "orders")) == 22
	})
	w.Await("the flow is said to be closed", func() bool {
		return strings.Contains(w.Log.String(), "flow stopped") && strings.Contains(w.Log.String(), "replicator failback")
	})
	if got := w.Holds(w.Sides.Target, "orders"); len(got) != 15 {
		t.Errorf("the target holds %q, and the flow is closed", got)
	}
	_, err := open(w, options(w, failback.Append)).Run(w.Ctx)
	w.Must("fail back", err)
	p.SameOnBoth("orders", 22)
	r.Stop()
}
