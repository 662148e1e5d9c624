package cutover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// Rollback moves applications back to the source of a flow after they have run on
// its target: the opposite flow carries what was written there since the cutover, and
// the applications are handed over as in a [Cutover]. Its methods belong to one
// goroutine.
type Rollback struct {
	o      Options          // Flow is the one whose cutover is taken back
	record handover.Record  // of that cutover
	held   []handover.Group // where groups stood then
	back   Options          // Flow is its opposite
	viewer *snapshot.Viewer // of the flow whose cutover is taken back
	state  BackState

	movedSince []string
	restored   []topics.Back
	leftOut    []inspect.LeftOut
}

// OpenRollback finds the cutover that is to be taken back. Nothing is written yet.
// Errors have a remedy.
func OpenRollback(ctx context.Context, o Options) (*Rollback, error) {
	r := &Rollback{o: o}
	if o.Flow.Naming != policy.Identity {
		return nil, &kafka.Problem{What: fmt.Sprintf("flow %s names topics otherwise on its target", o.Flow.Name()),
			Fix: "a rollback needs naming: identity, under which applications find the same topics on both sides"}
	}
	var err error // a cluster that does not answer comes first: then nothing is known
	if r.viewer, err = snapshot.Open(ctx, o.Clusters, o.Flow, o.Log); err != nil {
		return nil, err
	}
	book, err := ownBook(ctx, r.viewer, o)
	if err == nil {
		err = r.find(ctx, book)
	}
	if err == nil {
		err = r.prepare(ctx, book)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// find takes up the cutover that is to be taken back; a nil book is no ledger.
func (r *Rollback) find(ctx context.Context, book *ledger.Shard) (err error) {
	flow := &r.o.Flow
	if book == nil {
		return inspect.NeverRan(ctx, r.viewer, "see whether this is the right flow: nothing tells of a cutover there")
	}
	if err = handover.NotFailedOver(book, flow.Name()); err != nil {
		return err
	}
	if r.record, err = handover.RecordOf(book); err != nil {
		return err
	}
	if err = handover.OwnCutover(book, r.record, flow.Name()); err != nil {
		return err
	}
	switch r.record.State {
	case handover.Done, handover.RolledBack:
		r.held, err = handover.GroupsOf(book, r.record.ID)
		return err
	case handover.Begun:
		return &kafka.Problem{What: fmt.Sprintf("cutover %s was begun at %s and has not come to its end", r.record.ID,
			r.record.Begun.Format(time.RFC3339)),
			Fix: "'replicator cutover' goes on with it, and --undo forgets it: until it is done applications use cluster " +
				flow.From}
	}
	return &kafka.Problem{What: fmt.Sprintf("flow %s has no record of a cutover", flow.Name()),
		Fix: "nothing was moved over by 'replicator cutover', so there is nothing to take back: the applications may use " +
			"cluster " + flow.From + " as before"}
}

// Close ends the connections.
func (r *Rollback) Close() { r.viewer.Close() }

// Found is the cutover that is to be taken back.
func (r *Rollback) Found() handover.Record { return r.record }

// Match compares the patterns of a command with what there is to be taken back: the
// groups on the flow's target. Those of the flow itself are about its source, and not
// among the answers.
func (r *Rollback) Match(ctx context.Context, given []inspect.Pattern) (*inspect.Matches, error) {
	viewer, err := snapshot.Open(ctx, r.o.Clusters, r.back.Flow, r.o.Log)
	if err != nil {
		return nil, err
	}
	defer viewer.Close()
	m, err := inspect.MatchNames(ctx, viewer, given)
	if err != nil {
		return nil, err
	}
	return &inspect.Matches{Given: m.Given, Topics: m.Topics}, nil
}

// State tells how far back is safe.
func (r *Rollback) State() BackState { return r.state }

// MovedSince are the groups that were used on the source after the cutover: their
// positions there are left as they are.
func (r *Rollback) MovedSince() []string { return r.movedSince }

// LeftOut is as that of a [Cutover].
func (r *Rollback) LeftOut() []inspect.LeftOut { return r.leftOut }

// Restored tells what became of the settings that the way back had put on topics of the
// source.
func (r *Rollback) Restored() []topics.Back { return r.restored }

// prepare makes the opposite flow, and finds what stands in its way.
func (r *Rollback) prepare(ctx context.Context, book *ledger.Shard) error {
	ends, err := handover.TopicsOf(book, r.record.ID)
	if err != nil {
		return err
	}
	topics := slices.Sorted(maps.Keys(ends))
	if err := r.noPair(topics); err != nil {
		return err
	}
	a := assessment{o: &r.o, viewer: r.viewer, record: r.record,
		state: BackState{Since: r.record.Ended, Topics: len(topics)}}
	defer func() { r.state = a.state }()
	ended := r.record.State == handover.RolledBack
	if !ended {
		if err := a.findMade(ctx, topics); err != nil {
			return err
		}
	}
	r.back = r.o
	r.back.Flow = settings.Opposite(r.o.Flow, append(topics, a.state.Made...))
	if ended {
		return nil
	}
	if n, err := r.viewer.CountReplicas(ctx); err != nil {
		return err
	} else if n > 0 {
		return &kafka.Problem{What: fmt.Sprintf("%d replicas of flow %s are running", n, r.o.Flow.Name()),
			Fix: "stop them: what is brought back must not be copied again"}
	}
	return a.measure(ctx)
}

// noPair refuses where another flow brings to the source what is written on the target: nothing is to be brought back.
func (r *Rollback) noPair(topics []string) error {
	flow := &r.o.Flow
	comesBack, err := provenance.CarriedBack(flow)
	if err != nil || r.record.State == handover.RolledBack || !slices.ContainsFunc(topics, comesBack) {
		return err
	}
	back := flow.To + "->" + flow.From
	return &kafka.Problem{What: fmt.Sprintf("flow %s makes a pair with flow %s, which brings to %s what is written on %s",
		flow.Name(), back, flow.From, flow.To), Fix: fmt.Sprintf("let both run, and take the applications back to %s by "+
		"'replicator cutover --flow \"%s\"'", flow.From, back)}
}

// Preview tells how far each step is, and changes nothing.
func (r *Rollback) Preview(ctx context.Context) ([]stepwise.State, error) {
	m, err := openMover(ctx, r.back, true)
	if err != nil {
		return nil, stepwise.Late(ctx, "turned", err)
	}
	defer m.close()
	states := stepwise.Check(ctx, []stepwise.Step{r.reverseStep()})
	if states[0].Missing == groupsToTake { // which may be so, or not: nothing but trying tells
		states[0].Done, states[0].Missing = true, ""
		rest, err := m.watch(ctx, m.steps())
		r.leftOut = m.leftOut
		return append(states, rest...), err
	}
	for _, s := range m.steps() {
		states = append(states, stepwise.State{Name: s.Name, Do: s.Do, Undo: s.Undo, Missing: "comes after the turn"})
	}
	return states, stepwise.InTime(ctx, states)
}

// reverseStep sets the opposite flow up.
func (r *Rollback) reverseStep() stepwise.Step {
	t := &reversal{clusters: r.o.Clusters, closes: r.o.Flow, opens: r.back.Flow, record: r.record, held: r.held,
		log: r.o.Log}
	return stepwise.Step{
		Name: "turned", Check: t.missing,
		Do: fmt.Sprintf("flow %s is closed; flow %s begins where it ended, with its map, and the groups' positions",
			r.o.Flow.Name(), r.back.Flow.Name()),
		Undo: "let the rollback come to its end: the flow may run again then",
		Act: func(ctx context.Context) error {
			err := t.run(ctx)
			r.movedSince = t.movedSince
			return err
		},
	}
}

// Run brings everything about, however long it takes; ctx ends it. One that was begun
// before goes on. It answers the record of the way back.
func (r *Rollback) Run(ctx context.Context) (handover.Record, error) {
	record, err := r.run(ctx)
	return record, stepwise.Late(ctx, "turned", err)
}

func (r *Rollback) run(ctx context.Context) (handover.Record, error) {
	if r.record.State == handover.RolledBack {
		return r.backRecord(ctx)
	}
	back, err := r.backRecord(ctx)
	if err != nil {
		return back, err
	}
	if !(back.State == handover.Done && back.TakesBack == r.record.ID) {
		if back, err = r.carryBack(ctx, back); err != nil {
			return back, err
		}
	}
	book, err := firstBook(ctx, r.back)
	if err != nil {
		return back, err
	}
	held, err := handover.GroupsOf(book, back.ID)
	if err != nil {
		return back, err
	}
	// The flow may run again from where its opposite ended, and be cut over again.
	again := &reversal{clusters: r.o.Clusters, closes: r.back.Flow, opens: r.o.Flow, record: back, held: held,
		log: r.o.Log}
	r.o.Report("returned", fmt.Sprintf("applications may start on %s; flow %s is opened again", r.o.Flow.From,
		r.o.Flow.Name()))
	if err := again.run(ctx); err != nil {
		return back, err
	}
	if r.restored, err = restorer(&r.back).Run(ctx, true, nil); err != nil {
		return back, err
	}
	r.record.State = handover.RolledBack
	note := ledger.NoteRecord(handover.RecordName, handover.Encode(r.record))
	return back, ledger.WriteNotes(ctx, r.o.Clusters[r.o.Flow.To], r.o.Flow.LedgerTopic(), 0, []ledger.Record{note})
}

// backRecord is the latest record of the opposite flow.
func (r *Rollback) backRecord(ctx context.Context) (handover.Record, error) {
	return latest(ctx, r.back)
}

// latest is the latest record of a flow; the zero Record: its ledger has none, or there is no ledger.
func latest(ctx context.Context, o Options) (handover.Record, error) {
	book, err := firstBook(ctx, o)
	if err != nil || book == nil {
		return handover.Record{}, err
	}
	return handover.RecordOf(book)
}

// carryBack copies until the applications can be handed over, and does that.
func (r *Rollback) carryBack(ctx context.Context, found handover.Record) (handover.Record, error) {
	if err := stepwise.Run(ctx, []stepwise.Step{r.reverseStep()}, checkEvery, r.o.reportStep); err != nil {
		return found, err
	}
	m, err := openMover(ctx, r.back, true)
	if err != nil {
		return found, err
	}
	defer m.close()
	if err := m.begin(ctx, found, r.record.ID, r.state.GivenUp); err != nil {
		return found, err
	}
	err = m.carry(ctx, []settings.Config{r.back.Flow}, m.steps())
	r.leftOut = m.leftOut
	return m.recorder.record, err
}
