package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Options say which flow fails over.
type Options struct {
	Clusters     map[string]kafka.Config // the flow's two at least
	Flow         settings.Config
	SourceIsDead bool // an operator says so: nobody is asked who writes there
	Log          *slog.Logger
	Report       func(step, missing string) // hears what is waited for; not nil
}

// Failover is a flow that fails over. Its methods belong to one goroutine.
type Failover struct {
	o      Options
	look   clients.Clients
	source *source
	target *kgo.Client
	known  *known
	shut   shutter

	found  handover.Failover // what the ledger says; State "": nothing
	record handover.Failover // as it will be written
	report *Report           // nil: not settled yet
}

// checkEvery is how often the target is asked whether a step is done.
const checkEvery = 100 * time.Millisecond

// Open makes sure that the target answers and that the flow has run. Nothing is written yet, and the source is not
// asked. Errors have a remedy.
func Open(ctx context.Context, o Options) (*Failover, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Failover{o: o}
	err := f.open()
	if err == nil {
		err = f.find(ctx)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Failover) open() (err error) {
	from, to := impatient(f.o.Clusters[f.o.Flow.From]), f.o.Clusters[f.o.Flow.To]
	if f.look, err = clients.Open(&f.o.Flow, from, to, f.o.Log); err != nil {
		return err
	}
	if f.target, err = kafka.NewFranz(to, kgo.RetryTimeout(kafka.AskLimit)); err != nil {
		return err
	}
	if f.source, err = openSource(&f.o.Flow, from, to, &f.look); err != nil {
		return err
	}
	f.source.givenUp = f.o.SourceIsDead
	f.known = &known{o: &f.o, look: &f.look, client: f.target, source: f.source}
	f.shut = shutter{flow: &f.o.Flow, target: to, client: f.target}
	return nil
}

// Close ends the connections.
func (f *Failover) Close() {
	if f.source != nil {
		f.source.close()
	}
	if f.target != nil {
		f.target.Close()
	}
	f.look.Close()
}

// find reads what the ledger says of its flow, and of a failover before.
func (f *Failover) find(ctx context.Context) error {
	flow, target := &f.o.Flow, f.o.Clusters[f.o.Flow.To]
	seen, err := kafka.Describe(ctx, f.target, target, []string{flow.LedgerTopic()})
	if err != nil {
		return err
	}
	first, err := ledger.ReadFirstAsItIs(ctx, target, flow.LedgerTopic())
	if err != nil {
		return err
	}
	if first == nil {
		return &kafka.Problem{What: fmt.Sprintf("flow %s has never run: there is no ledger %s on cluster %s", flow.Name(),
			flow.LedgerTopic(), flow.To), Fix: "see whether from and to of the flow are exchanged, or bootstrap.servers of " +
			"its clusters; what was never copied cannot be failed over to"}
	}
	if have := seen.Topics[flow.LedgerTopic()].Partitions; have != flow.Shards {
		return &ledger.ShardsError{Ledger: flow.LedgerTopic(), Have: have, Want: flow.Shards}
	}
	if err := f.own(first, seen.ID); err != nil {
		return err
	}
	if err := handover.NotClosed(first, first, flow.Name()); err != nil && !handover.IsFailedOver(err) {
		return err
	}
	f.found, err = handover.FailoverOf(first)
	return err
}

// own makes sure that the ledger is the flow's, as far as the target alone tells.
func (f *Failover) own(first *ledger.Shard, target string) error {
	says, err := first.Identity()
	if err != nil || says == nil {
		return err
	}
	f.source.id = says.SourceCluster
	f.look.Groups.AlsoKnownAs(says.Formerly)
	flow := &f.o.Flow
	differs := func(what, was, is, fix string) error {
		return &kafka.Problem{What: fmt.Sprintf("ledger topic %q belongs to another flow: its %s is %s, here it is %s",
			flow.LedgerTopic(), what, was, is), Fix: fix + "; nothing was changed"}
	}
	switch {
	case says.TargetCluster != target:
		return differs("target cluster", says.TargetCluster, target, "see whether bootstrap.servers of cluster "+flow.To+
			" lead to it")
	case says.Flow() != flow.Name():
		return differs("name", says.Flow(), flow.Name(), "name the clusters as the replicas of the flow do: its "+
			"transactional ids are made of their names")
	case says.Naming != string(flow.Naming):
		return differs("naming", says.Naming, string(flow.Naming), "set naming as the replicas of the flow do")
	}
	return nil
}

// Found is the latest failover that the ledger knows; State "": none.
func (f *Failover) Found() handover.Failover { return f.found }

// Again is what the ledger holds of the failover that it knows.
func (f *Failover) Again(ctx context.Context) (*Report, error) {
	first, err := ledger.ReadFirstAsItIs(ctx, f.o.Clusters[f.o.Flow.To], f.o.Flow.LedgerTopic())
	if err != nil {
		return nil, err
	}
	r := &Report{Record: f.found, Closed: true}
	if r.Topics, err = handover.LostTopics(first, f.found.ID); err == nil {
		r.Groups, err = handover.StoodGroups(first, f.found.ID)
	}
	r.sort()
	return r, err
}

// Preview tells how far each step is, and what would be known of the loss; it changes nothing. An error means that the
// target does not answer.
func (f *Failover) Preview(ctx context.Context) ([]stepwise.State, *Report, error) {
	if err := f.source.ask(ctx); err != nil { // what the first step says depends on it
		return nil, nil, err
	}
	states := stepwise.Check(ctx, f.steps())
	var err error
	target := f.o.Clusters[f.o.Flow.To]
	if f.known.books, err = ledger.ReadAsItIs(ctx, target, f.o.Flow.LedgerTopic()); err != nil {
		return states, nil, err
	}
	f.begin()
	report, err := f.known.report(ctx, f.record)
	if report != nil {
		report.Closed = f.found.State == handover.Begun
	}
	return states, report, err
}

// Run brings all steps about, however long it takes; ctx ends it. A failover that was begun before goes on.
func (f *Failover) Run(ctx context.Context) (*Report, error) {
	f.begin()
	report := func(step stepwise.Step, missing string) { f.o.Report(step.Name, missing) }
	err := stepwise.Late(ctx, "closed", stepwise.Run(ctx, f.steps(), checkEvery, report))
	var waits *stepwise.WaitingError
	if errors.As(err, &waits) {
		waits.Unforced = true
	}
	return f.report, err
}

// mayFailOver refuses to give up a source to which somebody writes. What the source said is asked for once, and does
// not count any more where the failover was begun before.
func (f *Failover) mayFailOver(ctx context.Context) (string, error) {
	if err := f.source.ask(ctx); err != nil {
		return "", err
	}
	writers := f.source.writers
	if len(writers) == 0 || f.o.SourceIsDead || f.found.State == handover.Begun {
		return "", nil
	}
	return "", &kafka.Problem{
		What: fmt.Sprintf("%s answers, and somebody writes there: %s", f.o.Flow.From, kafka.Few(writers)),
		Fix: fmt.Sprintf("stop them and use 'replicator cutover', which loses nothing; where %s is to be given up all the "+
			"same, --source-is-dead says so, and what comes to it from now on stays there", f.o.Flow.From),
	}
}

// closed answers what is missing until no replica can go on.
func (f *Failover) closed(context.Context) (string, error) {
	if !f.shut.done {
		return fmt.Sprintf("%d shards are to be closed", f.o.Flow.Shards), nil
	}
	return "", nil
}

// settled waits until the ledger is read to its end and no transaction of the flow is open on the target; those of
// others are named, and not waited for.
func (f *Failover) settled(ctx context.Context) (missing string, err error) {
	switch {
	case f.report != nil:
		return "", nil
	case !f.shut.done:
		return "comes after the shards are closed", nil
	}
	flow := &f.o.Flow
	f.known.books, err = ledger.ReadWhole(ctx, f.o.Clusters[flow.To], flow.LedgerTopic(), flow.Shards)
	if err == nil {
		err = f.alone()
	}
	if err != nil {
		return "", err
	}
	others, own, err := f.known.open(ctx)
	if err != nil {
		return "", err
	}
	if own > 0 {
		return fmt.Sprintf("%d transactions of the flow end", own), nil
	}
	f.record.Open = others
	f.report, err = f.known.report(ctx, f.record)
	return "", err
}

// alone makes sure that the shards are closed by this failover, and not by one of somebody else at the same time.
func (f *Failover) alone() error {
	for _, book := range f.known.books {
		d, err := handover.DirectionOf(book)
		if err != nil {
			return err
		}
		if d.Failover != f.record.ID || !d.Closed {
			return &kafka.Problem{What: fmt.Sprintf("flow %s is being failed over by another command at the same time",
				f.o.Flow.Name()), Fix: "let it come to its end; given again, this one says what it has found"}
		}
	}
	return nil
}

// recorded says whether the record is written.
func (f *Failover) recorded(context.Context) (string, error) {
	if f.record.State == handover.Done {
		return "", nil
	}
	return "the record is to be written", nil
}

// write notes what is known, and then the record: where it is, the rest is.
func (f *Failover) write(ctx context.Context) error {
	var notes []ledger.Record
	for _, t := range f.report.Topics {
		notes = append(notes, ledger.NoteRecord(handover.FailoverTopicName(t.Topic), handover.Encode(t)))
	}
	for _, g := range f.report.Groups {
		notes = append(notes, ledger.NoteRecord(handover.FailoverGroupName(g.Group), handover.Encode(g)))
	}
	if len(notes) > 0 {
		if err := f.shut.note(ctx, notes...); err != nil {
			return err
		}
	}
	done := f.report.Record
	done.State, done.Ended = handover.Done, time.Now().UTC().Truncate(time.Millisecond)
	if err := f.shut.note(ctx, ledger.NoteRecord(handover.FailoverName, handover.Encode(done))); err != nil {
		return err
	}
	f.record, f.report.Record, f.report.Closed = done, done, true
	return nil
}

// begin makes the record, or takes up one that was begun.
func (f *Failover) begin() {
	if f.record.ID != "" {
		return
	}
	if f.record = f.found; f.found.State != handover.Begun {
		f.record = handover.Failover{Version: handover.Version, ID: handover.NewID(), Flow: f.o.Flow.Name(),
			State: handover.Begun, Begun: time.Now().UTC().Truncate(time.Millisecond)}
	}
	f.record.SourceIsDead = f.o.SourceIsDead
}

// steps are what a failover consists of, in their order.
func (f *Failover) steps() []stepwise.Step {
	flow, to := f.o.Flow.Name(), f.o.Flow.To
	const back = "'replicator failback' opens the flow again"
	return []stepwise.Step{{
		Name: "source", Check: f.mayFailOver,
		Do:   f.source.silence(),
		Undo: "nothing to undo: it is only asked",
	}, {
		Name: "closed", Check: f.closed, Act: func(ctx context.Context) error { return f.shut.all(ctx, f.record) },
		Do:   fmt.Sprintf("the %d shards of flow %s are fenced and closed: no replica goes on", f.o.Flow.Shards, flow),
		Undo: back,
	}, {
		Name: "settled", Check: f.settled,
		Do:   fmt.Sprintf("the ledger is read to its end, and no transaction of the flow is open on %s", to),
		Undo: "nothing to undo: it is only waited for",
	}, {
		Name: "recorded", Check: f.recorded, Act: f.write,
		Do:   fmt.Sprintf("the ledger on %s notes what is known of the loss, and where groups stand", to),
		Undo: back,
	}}
}
