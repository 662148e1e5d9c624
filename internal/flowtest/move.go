package flowtest

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
)

// Place is where a record is on the target by a map without sealed segments.
func Place(w *World, state *ledger.State, at offsets.Source) offsets.Target {
	w.T.Helper()
	answer, err := state.Map.Translate(at, state.Progress, nil)
	w.Must("translate", err)
	return answer.Target
}

// Resume orders what to do about the cut of orders/0.
func (w *World) Resume(fromEnd bool) {
	w.T.Helper()
	view := w.Look()
	cuts, err := inspect.OpenCuts(w.Ctx, view)
	w.Must("list cuts", err)
	if len(cuts) != 1 || cuts[0].At != 60 || cuts[0].Lost != 40 {
		w.T.Fatalf("cuts: %+v", cuts)
	}
	w.Must("resume", inspect.Resume(w.Ctx, view, cuts, fromEnd, "test"))
}

// HandoverOptions are a cutover of the world's flow that does not wait long.
func (w *World) HandoverOptions() cutover.Options {
	return cutover.Options{
		Clusters: w.Clusters(),
		Flow:     w.Cfg, SilentFor: 300 * time.Millisecond, Tail: time.Hour,
		Log:    slog.New(slog.NewTextHandler(&w.Log, nil)),
		Report: func(step, missing string) { fmt.Fprintf(&w.Log, "waits: %s: %s\n", step, missing) },
	}
}

// CutOver moves the applications over.
func (w *World) CutOver() handover.Record {
	w.T.Helper()
	c, err := cutover.Open(w.Ctx, w.HandoverOptions())
	w.Must("open cutover", err)
	defer c.Close()
	record, err := c.Run(w.Ctx)
	w.Must("cut over", err)
	if record.State != handover.Done {
		w.T.Fatalf("the cutover ended as %+v", record)
	}
	return record
}

// RollBack moves them back.
func (w *World) RollBack() (cutover.BackState, handover.Record) {
	w.T.Helper()
	r, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	w.Must("open rollback", err)
	defer r.Close()
	record, err := r.Run(w.Ctx)
	w.Must("roll back", err)
	return r.State(), record
}

// Swapped is the world seen from its target.
func (w *World) Swapped() judge.Sides {
	return judge.Sides{Source: w.Sides.Target, Target: w.Sides.Source}
}

// AtWorkOnTarget copies so many records, cuts over, and lets applications write as many
// there as they are told, and read on.
func (w *World) AtWorkOnTarget(topic string, before, after int) {
	w.T.Helper()
	w.Topic(topic, 3)
	w.Mixed(topic, 3, before)
	r := w.Start(nil)
	w.Groups([]string{topic})
	w.CutOver()
	r.Stop()
	w.WriteOnTarget(topic, after)
	w.MoveGroups(w.To, w.Sides.Target, topic)
}

// MoveGroups commits positions as consumers do: some go to the end, some into what
// is new, some stay.
func (w *World) MoveGroups(admin *kadm.Client, bootstrap, topic string) {
	w.T.Helper()
	ends, err := admin.ListCommittedOffsets(w.Ctx, topic)
	w.Must("list ends", err)
	var positions []workload.Position
	ends.Each(func(end kadm.ListedOffset) {
		for i := range int64(8) { // the last four stay where they are
			at := max(end.Offset-17*i, 0)
			positions = append(positions, workload.Position{
				Group: fmt.Sprintf("g-%02d", i), Topic: topic, Partition: end.Partition, At: at})
		}
	})
	w.Must("commit positions", workload.Commit(w.Ctx, bootstrap, positions))
}

// WorldGroups are the groups that world.groups makes.
func WorldGroups() []string {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("g-%02d", i))
	}
	return names
}

// BothWays compares both sides, and where the groups stand, from the target's side.
func (w *World) BothWays(topic string) {
	w.T.Helper()
	r, err := judge.Compare(w.Ctx, w.Swapped(), []string{topic})
	w.Must("compare", err)
	w.Must("compare", r.Err())
	g, err := judge.Groups(w.Ctx, w.Swapped(), WorldGroups(), []string{topic})
	w.Must("judge groups", err)
	w.Must("judge groups", g.Err())
}

// Cut deletes the records of partition 0 below an offset.
func (w *World) Cut(admin *kadm.Client, topic string, below int64) {
	w.T.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, 0, below, -1)
	_, err := admin.DeleteRecords(w.Ctx, o)
	w.Must("delete records", err)
}
