package cutover_test

import (
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/settings"
)

// Applications of a pair go to and fro by cutovers of the one flow and of the other, while both run. What comes from
// the other side is not told as writes of somebody, and a rollback names the way.
func TestCutoversOfAPair(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	records, seen := 10, map[string]bool{}
	for round := range 2 {
		for _, flow := range []settings.Config{p.There, p.Back} {
			o := p.HandoverOptions()
			o.Flow = flow
			c, err := cutover.Open(w.Ctx, o)
			w.Must("open cutover", err)
			record, err := c.Run(w.Ctx)
			c.Close()
			w.Must("cut over", err)
			if record.State != handover.Done || seen[record.ID] {
				t.Fatalf("round %d: the cutover of flow %s ended as %+v", round, flow.Name(), record)
			}
			seen[record.ID] = true
			on := w.Sides.Target
			if flow.To == p.Back.To {
				on = w.Sides.Source
			}
			w.Plain(on, "orders", 0, 3)
			records += 3
			p.SameOnBoth("orders", records)
			tellsOfNoWrites(p, flow)
		}
	}
}

// tellsOfNoWrites sees what is said of the latest cutover of a flow, and of a way back.
func tellsOfNoWrites(p *flowtest.Pair, flow settings.Config) {
	p.T.Helper()
	v, err := snapshot.Open(p.Ctx, p.Clusters(), flow, nil)
	p.Must("open", err)
	defer v.Close()
	status, err := inspect.Status(p.Ctx, v)
	p.Must("look", err)
	if c := status.Cutover; c == nil || c.State != handover.Done || c.Written != 0 || c.Used != 0 {
		p.T.Errorf("status tells of the cutover of flow %s: %+v", flow.Name(), c)
	}
	o := p.HandoverOptions()
	o.Flow = flow
	_, err = cutover.OpenRollback(p.Ctx, o)
	if err == nil || !strings.Contains(err.Error(), "makes a pair with flow "+flow.To+"->"+flow.From) ||
		!strings.Contains(chunk.Remedy(err), "replicator cutover --flow") {
		p.T.Errorf("a rollback of flow %s: %v; %s", flow.Name(), err, chunk.Remedy(err))
	}
}
