package cutover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/scan"
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

	engine     context.CancelFunc // ends the copying back; nil: it does not run
	ended      chan error
	movedSince []string
	restored   []topics.Back
	leftOut    []inspect.LeftOut
	putBack    bool // a log has lost its end since the cutover
}

// BackState is how far back is safe.
type BackState struct {
	Since   time.Time // of the cutover
	Records int64     // at most that many were written on the target since
	Topics  int       // of the cutover
	Written []string  // those of them that were written to since, by name on the source
	Made    []string  // topics that applications have made there since
	GivenUp []string  // what stands in the way, by partition, with its records
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

// Close ends the connections, and what copies.
func (r *Rollback) Close() {
	_ = r.stop()
	r.viewer.Close()
}

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

// prepare makes the opposite flow, and looks at what stands in its way.
func (r *Rollback) prepare(ctx context.Context, book *ledger.Shard) error {
	topics, err := topicsOf(book, r.record.ID)
	if err != nil {
		return err
	}
	r.state = BackState{Since: r.record.Ended, Topics: len(topics)}
	ended := r.record.State == handover.RolledBack
	if !ended {
		if err := r.findMade(ctx, topics); err != nil {
			return err
		}
	}
	r.back = r.o
	r.back.Flow = settings.Opposite(r.o.Flow, append(topics, r.state.Made...))
	if ended {
		return nil
	}
	if n, err := r.viewer.CountReplicas(ctx); err != nil {
		return err
	} else if n > 0 {
		return &kafka.Problem{What: fmt.Sprintf("%d replicas of flow %s are running", n, r.o.Flow.Name()),
			Fix: "stop them: what is brought back must not be copied again"}
	}
	return r.measure(ctx)
}

// measure finds how far back is safe.
func (r *Rollback) measure(ctx context.Context) error {
	snap, err := r.viewer.Take(ctx, func(string) bool { return true }, false)
	if err == nil {
		err = snap.LedgerErr
	}
	if err != nil {
		return err
	}
	if topic := snap.Source.WithoutID(); topic != "" {
		return &identity.NoTopicIDsError{Cluster: r.o.Flow.From, Topic: topic, Back: true}
	}
	d, err := handover.DirectionOf(snap.Books[0].Shard)
	if err != nil {
		return err
	}
	turned := d.Cutover == r.record.ID // what is on the source since is what was brought back
	views := snap.Views()
	if !turned {
		if err := r.findPutBack(ctx, snap, views); err != nil {
			return err
		}
	}
	source := scan.Open(r.o.Clusters[r.o.Flow.From], r.o.Log)
	defer source.Close() // only read
	for _, p := range slices.SortedFunc(maps.Keys(views), chunk.Partition.Compare) {
		if slices.Contains(r.state.Made, p.Topic) {
			continue // it is on the source since a run of this command that was killed
		}
		written, left, err := r.changed(ctx, views[p], source)
		if err != nil {
			return err
		}
		if n := len(r.state.Written); written > 0 && (n == 0 || r.state.Written[n-1] != p.Topic) {
			r.state.Written = append(r.state.Written, p.Topic)
		}
		r.state.Records += written
		if turned {
			left = 0
		}
		r.state.add(views[p], left, r.o.Flow.From, r.o.Flow.To)
	}
	if given := r.state.GivenUp; len(given) > 0 && !r.o.Force {
		fix := "save them by other means, then --force goes on without them"
		if r.putBack {
			fix = "find out who put a cluster back. Where its good copy can be put back once more, do that first; else " + fix
		}
		return &kafka.Problem{What: kafka.Few(given), Fix: fix}
	}
	return nil
}

// countMost bounds the records that are counted one by one in each partition.
const countMost = 10_000

// changed counts what was written since to one partition: on the target behind our last
// record, and on the source behind our progress. Markers are no records, nor is what was
// aborted.
func (r *Rollback) changed(ctx context.Context, s *snapshot.PartitionView, source *scan.Scanner) (written,
	left int64, err error) {
	if !s.TargetSame || !s.Started() || s.Blocked != "" {
		return 0, 0, nil // which is told otherwise
	}
	if from := max(s.State.Expected(), s.TargetEarliest); from < s.TargetStable {
		written, err = r.viewer.Scan.Count(ctx, s.Target.Topic, s.Target.Number, from, s.TargetStable, countMost)
	}
	if from := max(s.State.Progress, s.Earliest); err == nil && from < s.Stable {
		left, err = source.Count(ctx, s.Source.Topic, s.Source.Number, offsets.Target(from), offsets.Target(s.Stable),
			countMost)
	}
	return written, left, err
}

// add tells what stands in the way in one partition; left are the records that were written to
// the source since, and have not come from the target.
func (b *BackState) add(s *snapshot.PartitionView, left int64, source, target string) {
	give := func(format string, values ...any) {
		b.GivenUp = append(b.GivenUp, fmt.Sprintf("%s: "+format, append([]any{s.Source}, values...)...))
	}
	switch {
	case s.Blocked != "":
		return // it was not part of the cutover but for what was given up then
	case !s.TargetThere:
		give("it is gone from %s with what was written there since the cutover; up to %d records are on %s", target,
			int64(s.Stable-s.Earliest), source)
		return
	case !s.Started():
		give("it was not copied: up to %d records stay on %s, and all of up to %d records on %s are carried back",
			int64(s.Stable-s.Earliest), source, int64(s.TargetStable-s.TargetEarliest), target)
		return
	case !s.TargetSame:
		give("its topic on %s is another one than at the cutover: what was written to the one before is lost, and all of "+
			"up to %d records that are there now are carried back", target, int64(s.TargetStable-s.TargetEarliest))
		return
	}
	from := s.State.Expected()
	first := from // that the applications can have written
	if s.State.Marked {
		first++ // the marker of our last commit
	}
	if lost := int64(s.TargetEarliest - first); lost > 0 {
		give("retention has deleted up to %d records on %s that were written since the cutover", lost, target)
	}
	if left > 0 {
		give("up to %d records were written to %s after the cutover: they stay there, and %s lacks them", left, source,
			target)
	}
	for _, l := range s.State.Cuts.Left() {
		give("up to %d records that %s had lost before the cutover are not brought back to it", int64(l.To-l.From), source)
	}
	skipped := int64(0)
	for _, f := range s.State.Map.Foreign() {
		skipped += max(int64(min(f.To, from)-f.From), 0)
	}
	if skipped > 0 {
		give("up to %d records that somebody else wrote to %s before the last one that was copied are not brought "+
			"back", skipped, target)
	}
}

// topicsOf lists the topics of a cutover, by name on the source.
func topicsOf(book *ledger.Shard, id string) ([]string, error) {
	var list []string
	for _, name := range book.Notes() {
		var t handover.Topic
		if !handover.IsTopic(name) {
			continue
		}
		if err := handover.Decode(book.Note(name), &t); err != nil {
			return nil, err
		}
		if t.ID == id {
			list = append(list, t.Topic)
		}
	}
	return list, nil
}

// Preview tells how far each step is, and changes nothing.
func (r *Rollback) Preview(ctx context.Context) ([]stepwise.State, error) {
	h, err := openMover(ctx, r.back)
	if err != nil {
		return nil, stepwise.Late(ctx, "turned", err)
	}
	defer h.viewer.Close()
	h.back = true
	states := stepwise.Check(ctx, []stepwise.Step{r.turnStep()})
	if states[0].Missing == groupsToTake { // which may be so, or not: nothing but trying tells
		states[0].Done, states[0].Missing = true, ""
		rest, err := h.watch(ctx, h.steps())
		r.leftOut = h.leftOut
		return append(states, rest...), err
	}
	for _, s := range h.steps() {
		states = append(states, stepwise.State{Name: s.Name, Do: s.Do, Undo: s.Undo, Missing: "comes after the turn"})
	}
	return states, stepwise.InTime(ctx, states)
}

// turnStep sets the opposite flow up.
func (r *Rollback) turnStep() stepwise.Step {
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

// groupsToTake is what a turn lacks that was interrupted before its end.
const groupsToTake = "the groups' positions are to be taken over"

// missing is the Check of a turn.
func (t *reversal) missing(ctx context.Context) (string, error) {
	turned, err := t.done(ctx)
	switch {
	case err != nil:
		return "", err
	case !turned:
		return "the flow is to be turned", nil
	case !t.taken:
		return groupsToTake, nil
	}
	return "", nil
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
	r.o.Tell("returned", fmt.Sprintf("applications may start on %s; flow %s is opened again", r.o.Flow.From,
		r.o.Flow.Name()))
	if err := again.run(ctx); err != nil {
		return back, err
	}
	if r.restored, err = (&targettopics.Restorer{Clusters: r.o.Clusters, Flow: r.back.Flow, Log: r.o.Log}).Run(ctx, true,
		nil); err != nil {
		return back, err
	}
	r.record.State = handover.RolledBack
	note := ledger.NoteRecord(handover.RecordName, handover.Encode(r.record))
	return back, ledger.WriteNotes(ctx, r.o.Clusters[r.o.Flow.To], r.o.Flow.LedgerTopic(), 0, []ledger.Record{note})
}

// backRecord is the latest record of the opposite flow.
func (r *Rollback) backRecord(ctx context.Context) (handover.Record, error) {
	book, err := firstBook(ctx, r.back)
	if err != nil || book == nil {
		return handover.Record{}, err
	}
	return handover.RecordOf(book)
}

// carryBack copies until the applications can be handed over, and does that.
func (r *Rollback) carryBack(ctx context.Context, found handover.Record) (handover.Record, error) {
	if err := stepwise.Run(ctx, []stepwise.Step{r.turnStep()}, handoverEvery, r.o.tell); err != nil {
		return found, err
	}
	h, err := openMover(ctx, r.back)
	if err != nil {
		return found, err
	}
	defer h.viewer.Close()
	h.back = true
	if err := h.begin(ctx, found, r.record.ID, r.state.GivenUp); err != nil {
		return found, err
	}
	engine := replicate.New(replicate.Options{Clusters: r.o.Clusters, Flows: []settings.Config{r.back.Flow},
		Registry: prometheus.NewRegistry(),
		Log:      r.o.Log})
	h.copier = engine
	start := func(ctx context.Context) error {
		ctx, r.engine = context.WithCancel(ctx)
		r.ended = make(chan error, 1)
		go func() { r.ended <- engine.Run(ctx) }()
		return nil
	}
	steps := append([]stepwise.Step{{
		Name: "running", Check: r.running, Act: start,
		Do: "records are carried back while applications still write", Undo: "interrupt this command",
	}}, h.steps()...)
	err = stepwise.Run(ctx, steps, handoverEvery, h.o.tell)
	r.leftOut = h.leftOut
	if err != nil {
		return h.record, err
	}
	return h.record, r.stop()
}

// running says whether the opposite flow is at work in this process.
func (r *Rollback) running(context.Context) (string, error) {
	if r.engine == nil {
		return "it is to be started", nil
	}
	select {
	case err := <-r.ended:
		r.engine = nil
		if err == nil {
			err = errors.New("the copying has ended")
		}
		return "", err
	default:
		return "", nil
	}
}

// stop ends the copying and waits until its shards are let go.
func (r *Rollback) stop() error {
	if r.engine == nil {
		return nil
	}
	r.engine()
	r.engine = nil
	return <-r.ended
}
