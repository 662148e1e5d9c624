package flowtest

import (
	"errors"
	"fmt"
	"strings"

	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// Look opens a look at the flow.
func (w *World) Look() *snapshot.Viewer {
	w.T.Helper()
	view, err := snapshot.Open(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("look", err)
	w.T.Cleanup(view.Close)
	return view
}

// CutAt60 makes a source whose log was cut at 60 of 100, all copied, before anybody looked.
func (w *World) CutAt60() {
	w.T.Helper()
	w.SourceOnDisk()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	saved := w.Source.Save()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Source.Restore(saved)
}

// OpenCut is the ledger's word on the cut of orders/0.
func (w *World) OpenCut() ledger.Cut {
	w.T.Helper()
	cut := w.State("orders", 0).Cuts.Open()
	if cut == nil {
		w.T.Fatal("the ledger knows of no cut that waits for an order")
	}
	return *cut
}

// StatusOf waits until the positions of a group in partition 0 of a topic are as wanted.
func (w *World) StatusOf(look *snapshot.Viewer, group, topic string,
	as func(*inspect.PositionStatus) bool) inspect.PositionStatus {
	w.T.Helper()
	var last inspect.PositionStatus
	w.Await(fmt.Sprintf("the position of %s is as wanted", group), func() bool {
		list, err := inspect.GroupStatuses(w.Ctx, look)
		w.Must("look", err)
		for i := range list {
			for _, p := range list[i].Positions {
				if list[i].Group == group && p.Topic == topic {
					last = p
				}
			}
		}
		return as(&last)
	})
	return last
}

// RefusedFor makes sure that a cutover is refused, in a plan as well, and goes on by force.
func (w *World) RefusedFor(figure string) {
	w.T.Helper()
	c, err := cutover.Open(w.Ctx, w.HandoverOptions())
	w.Must("open cutover", err)
	defer c.Close()
	states, err := c.Preview(w.Ctx)
	w.Must("look", err)
	var refused *stepwise.RefusedError
	if err := stepwise.Refusal(states); !errors.As(err, &refused) || !strings.Contains(err.Error(), figure) ||
		refused.Remedy() == "" {
		w.T.Errorf("the plan says %v, want a refusal that says %s", err, figure)
	}
	if _, err = c.Run(w.Ctx); err == nil || !strings.Contains(err.Error(), figure) || chunk.Remedy(err) == "" {
		w.T.Errorf("the cutover ends with %v, want a refusal that says %s", err, figure)
	}
	o := w.HandoverOptions()
	o.Force = true
	f, err := cutover.Open(w.Ctx, o)
	w.Must("open cutover", err)
	defer f.Close()
	record, err := f.Run(w.Ctx)
	w.Must("force", err)
	if !strings.Contains(strings.Join(record.GivenUp, "\n"), figure) {
		w.T.Errorf("by force it gives up %q, want %s", record.GivenUp, figure)
	}
}

// Partition is what status says of orders/0.
func (w *World) Partition(look *snapshot.Viewer) inspect.PartitionStatus {
	w.T.Helper()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	return status.Partitions[0]
}

// Drained looks at the consumers of the source.
func (w *World) Drained(look *snapshot.Viewer) *inspect.DrainedStatus {
	w.T.Helper()
	d, err := inspect.Drained(w.Ctx, look)
	w.Must("drained", err)
	return d
}

// PlanOf is the dry run of a flow between the world's clusters.
func (w *World) PlanOf(cfg settings.Config) *preflight.FlowPlan {
	w.T.Helper()
	look, err := snapshot.Open(w.Ctx, map[string]kafka.Config{
		cfg.From: w.Kafka(cfg.From, w.Sides.Source), cfg.To: w.Kafka(cfg.To, w.Sides.Target)}, cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	return plan
}

// Known says whether a metric has a value with these labels.
func Known(values map[string]float64, labels string) bool { _, ok := values[labels]; return ok }

// Settings reads what a topic of a cluster has, whether it was set or not.
func (w *World) Settings(bootstrap, topic string) map[string]string {
	w.T.Helper()
	admin := w.To
	if bootstrap == w.Sides.Source {
		admin = w.From
	}
	described, err := admin.DescribeTopicConfigs(w.Ctx, topic)
	w.Must("describe settings", err)
	all := map[string]string{}
	for _, c := range described[0].Configs {
		if c.Value != nil {
			all[c.Key] = *c.Value
		}
	}
	return all
}

// Kept is what the flow's ledger keeps of a topic's settings.
func (w *World) Kept(topic string) topics.Kept {
	w.T.Helper()
	books, err := ledger.ReadFirst(w.Ctx, w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic(), w.Cfg.Shards, 1)
	w.Must("read ledger", err)
	k, err := provenance.KeptNote(books[0], topic)
	w.Must("read note", err)
	return k
}

// Verify compares both sides of the world.
func (w *World) Verify(o verify.Options) *verify.Report {
	w.T.Helper()
	i, err := snapshot.Open(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("inspect", err)
	defer i.Close()
	v, err := verify.Flow(w.Ctx, i, o)
	w.Must("verify", err)
	return v
}
