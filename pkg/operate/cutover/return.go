package cutover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Return brings applications back to the source of a flow that failed over and was opened again: both directions run
// until each side has what the other has written, and the applications are handed over as in a [Cutover] of the
// opposite flow. Its methods belong to one goroutine.
type Return struct {
	o           Options         // Flow is the one that failed over
	there, back settings.Config // that flow, and its opposite: a pair
	viewer      *snapshot.Viewer
	record      handover.Failover // as the ledger has it
	leftOut     []inspect.LeftOut
}

// OpenReturn finds the failover. The opposite flow may be nil, where the configuration has none: it is made. Nothing is
// written yet. Errors have a remedy.
func OpenReturn(ctx context.Context, o Options, back *settings.Config) (*Return, error) {
	r := &Return{o: o}
	if o.Flow.Naming != policy.Identity {
		return nil, &kafka.Problem{What: fmt.Sprintf("flow %s names topics otherwise on its target", o.Flow.Name()),
			Fix: "applications return where naming: identity lets them find the same topics on both sides"}
	}
	r.pair(back)
	for _, flow := range []*settings.Config{&r.there, &r.back} {
		if flow.Self().LeavesOut == policy.Nothing {
			return nil, &kafka.Problem{What: fmt.Sprintf("flow %s cannot run beside its opposite: %s", flow.Name(),
				policy.BothLeaveOut), Fix: "set lane: batch and delivery: exactly_once in flow " + flow.Name()}
		}
	}
	var err error
	if r.viewer, err = snapshot.Open(ctx, o.Clusters, r.there, o.Log); err != nil {
		return nil, err
	}
	if err = r.find(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// pair takes both flows from the configuration, or makes the opposite one. Meanwhile all groups are shared: each is one
// application, which runs on one side.
func (r *Return) pair(back *settings.Config) {
	both := []settings.Config{r.o.Flow}
	if back != nil {
		both = append(both, *back)
	} else {
		made := settings.Opposite(r.o.Flow, nil)
		made.Topics, made.ExcludeTopics, made.SyncTopicConfigs = r.o.Flow.Topics, r.o.Flow.ExcludeTopics, false
		both = append(both, made)
	}
	for i := range both {
		both[i].SharedGroups = both[i].Groups
	}
	if back == nil {
		settings.Introduce(both)
	}
	for i, other := range []*settings.Config{&both[1], &both[0]} {
		both[i].Beside = slices.Clone(both[i].Beside)
		for j := range both[i].Beside {
			if both[i].Beside[j].Flow.Opposite(both[i].Flow) {
				both[i].Beside[j].SharedGroups = other.SharedGroups
			}
		}
	}
	r.there, r.back = both[0], both[1]
}

// find takes up the failover.
func (r *Return) find(ctx context.Context) error {
	book, err := ownBook(ctx, r.viewer, r.o)
	if err != nil {
		return err
	}
	if book == nil {
		return inspect.NeverRan(ctx, r.viewer, "see whether this is the right flow: nothing tells of a failover there")
	}
	r.record, err = handover.FailoverOf(book)
	if err == nil && r.record.State != handover.FailedBack && r.record.State != handover.Done {
		err = &kafka.Problem{What: fmt.Sprintf("flow %s has no record of a failover that is done", r.o.Flow.Name()),
			Fix: "a cutover is taken back by 'replicator rollback'"}
	}
	return err
}

// Close ends the connections.
func (r *Return) Close() { r.viewer.Close() }

// Record is the failover; its Returned is when the applications were back.
func (r *Return) Record() handover.Failover { return r.record }

// LeftOut is as that of a [Cutover].
func (r *Return) LeftOut() []inspect.LeftOut { return r.leftOut }

// Preview tells how far each step is, and changes nothing.
func (r *Return) Preview(ctx context.Context) (states []stepwise.State, err error) {
	if r.record.State != handover.FailedBack {
		for _, s := range r.steps(&mover{o: r.backOptions()}) {
			states = append(states, stepwise.State{Name: s.Name, Do: s.Do, Undo: s.Undo,
				Missing: "comes after the flow is open again"})
		}
		return states, stepwise.InTime(ctx, states)
	}
	m, err := openMover(ctx, r.backOptions(), true)
	if err != nil {
		return nil, stepwise.Late(ctx, "silent", err)
	}
	defer m.close()
	if err := r.daemonsRest(ctx, m); err != nil {
		return nil, err
	}
	states, err = m.watch(ctx, m.steps())
	r.leftOut = m.leftOut
	return states, err
}

// backOptions are those of the way back.
func (r *Return) backOptions() Options {
	o := r.o
	o.Flow = r.back
	return o
}

// Run brings everything about, however long it takes; ctx ends it. One that was begun before goes on. It answers the
// record of the way back. Both flows may go on afterwards.
func (r *Return) Run(ctx context.Context) (handover.Record, error) {
	record, err := r.run(ctx)
	return record, stepwise.Late(ctx, "running", err)
}

func (r *Return) run(ctx context.Context) (handover.Record, error) {
	if !r.record.Returned.IsZero() {
		return latest(ctx, r.backOptions())
	}
	m, err := openMover(ctx, r.backOptions(), true)
	if err != nil {
		return handover.Record{}, err
	}
	defer m.close()
	if err := r.daemonsRest(ctx, m); err != nil {
		return handover.Record{}, err
	}
	if err := r.openBack(ctx); err != nil {
		return handover.Record{}, err
	}
	err = m.carry(ctx, []settings.Config{r.there, r.back}, r.steps(m))
	r.leftOut = m.leftOut
	if err != nil {
		return m.recorder.record, err
	}
	r.record.Returned = time.Now().UTC().Truncate(time.Millisecond)
	return m.recorder.record, ledger.WriteNotes(ctx, r.o.Clusters[r.there.To], r.there.LedgerTopic(), 0,
		[]ledger.Record{ledger.NoteRecord(handover.FailoverName, handover.Encode(r.record))})
}

// Rest refuses while daemons of the two flows run by other rules: it is for before anything is opened.
func (r *Return) Rest(ctx context.Context) error {
	m, err := openMover(ctx, r.backOptions(), true)
	if err != nil {
		return err
	}
	defer m.close()
	return r.daemonsRest(ctx, m)
}

// daemonsRest refuses, before any application is asked to stop, while daemons run whose rules are others: for them not
// every group is shared.
func (r *Return) daemonsRest(ctx context.Context, back *mover) error {
	for _, v := range []*snapshot.Viewer{r.viewer, back.viewer} {
		replicas, _, err := v.Replicas(ctx)
		if err != nil {
			return err
		}
		for i := range replicas {
			if len(replicas[i].OtherRules) == 0 {
				continue
			}
			return &kafka.Problem{What: fmt.Sprintf("a daemon of flow %s runs, on %s, with other rules than this command "+
				"(%s)", v.Flow.Name(), replicas[i].Host, strings.Join(replicas[i].OtherRules, ", ")),
				Fix: "stop the daemons of both flows and give this again: the command runs both flows itself, and has every " +
					"group count as shared meanwhile; start the daemons when it is done"}
		}
	}
	return nil
}

// openBack opens the opposite flow's shards where a rollback before has closed them.
func (r *Return) openBack(ctx context.Context) error {
	target := r.o.Clusters[r.back.To]
	books, err := ledger.ReadAsItIs(ctx, target, r.back.LedgerTopic())
	if err != nil {
		return err
	}
	for shard, book := range books {
		d, err := handover.DirectionOf(book)
		if err != nil {
			return err
		}
		if !d.Closed {
			continue
		}
		d.Closed = false
		note := ledger.NoteRecord(handover.DirectionName, handover.Encode(d))
		if err := ledger.WriteInShard(ctx, target, &r.back, shard, []ledger.Record{note}); err != nil {
			return err
		}
	}
	return nil
}

// steps are those of the way back. While somebody writes to the target neither flow comes to its end, since what is
// carried back stands behind what is carried over.
func (r *Return) steps(m *mover) []stepwise.Step {
	steps := m.steps()
	return append([]stepwise.Step{r.begunStep(m), steps[0], r.carriedStep()}, steps[1:]...)
}

// begunStep begins the record of the way back, once that flow has its ledger.
func (r *Return) begunStep(m *mover) stepwise.Step {
	return stepwise.Step{
		Name: "begun",
		Do:   fmt.Sprintf("the ledger of flow %s notes that applications are on their way", r.back.Name()),
		Undo: "nothing to undo: a record that was begun and not done counts for nothing",
		Check: func(ctx context.Context) (string, error) {
			if m.recorder.record.ID != "" {
				return "", nil
			}
			book, err := firstBook(ctx, r.backOptions())
			if err != nil || book == nil {
				return "its ledger is being made", err
			}
			return "the record is to be begun", nil
		},
		Act: func(ctx context.Context) error {
			book, err := firstBook(ctx, r.backOptions())
			if err != nil || book == nil {
				return err
			}
			before, err := handover.RecordOf(book)
			if err != nil {
				return err
			}
			return m.begin(ctx, before, "", nil)
		},
	}
}

// carriedStep waits until the target has what the source holds.
func (r *Return) carriedStep() stepwise.Step {
	return stepwise.Step{
		Name: "carried",
		Do: fmt.Sprintf("what %s holds is on %s, but for what was given up: lag 0 of flow %s", r.there.From, r.there.To,
			r.there.Name()),
		Undo: "nothing to undo: the copy does no harm",
		Check: func(ctx context.Context) (string, error) {
			status, err := inspect.Status(ctx, r.viewer)
			if err != nil {
				return "", err
			}
			for i := range status.Partitions {
				if p := &status.Partitions[i]; !p.Phase.Free() || p.Behind+p.SourceOpen > 0 {
					return fmt.Sprintf("%s/%d %s, lag %d", p.Topic, p.Partition, p.Phase, p.Behind+p.SourceOpen), nil
				}
			}
			return "", nil
		},
	}
}
