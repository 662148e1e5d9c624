package failback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wire"
)

// Choice is what becomes of the records that were never copied.
type Choice string

// The choices; "": nobody has chosen.
const (
	Append  Choice = "append"  // the flow copies them, behind what the target holds by now
	Export  Choice = "export"  // they are kept elsewhere, and not copied
	Abandon Choice = "abandon" // they are not copied
)

// Options say which flow is opened again.
type Options struct {
	Clusters map[string]kafka.Config // the flow's two at least
	Flow     settings.Config
	Orphans  Choice
	Where    orphans.Where // with Export
	Log      *slog.Logger
}

// Validate says what is wrong with the choice; nil: nothing.
func (o *Options) Validate() error {
	somewhere := o.Where != orphans.Where{}
	switch o.Orphans {
	case Export:
		if (o.Where.File != "") == (o.Where.Topics != "") {
			return errors.New("--orphans export needs one of --export FILE and --to-topic PREFIX")
		}
		return nil
	case "", Append, Abandon:
		if somewhere {
			return errors.New("--export and --to-topic go with --orphans export")
		}
		return nil
	}
	return fmt.Errorf("--orphans: %q is none of append, export and abandon", o.Orphans)
}

// Failback opens a flow again. Its methods belong to one goroutine.
type Failback struct {
	o      Options
	viewer *snapshot.Viewer
	record handover.Failover
	books  []*ledger.Shard
	found  *orphans.Found
	report *orphans.Report
	had    []HadRead
	left   []string
}

// HadRead is a group that had read orphans on the source before it was given up, and how many, as far as its positions
// there tell. Nobody on the target has seen them.
type HadRead struct {
	Group   string `json:"group"` // of the source
	Records int64  `json:"records"`
}

// Open makes sure that both clusters answer and that the flow has failed over, and finds what was never copied. Nothing
// is written yet. Errors have a remedy.
func Open(ctx context.Context, o Options) (*Failback, error) {
	viewer, err := snapshot.Open(ctx, o.Clusters, o.Flow, o.Log)
	if err != nil {
		return nil, err
	}
	f := &Failback{o: o, viewer: viewer}
	if err = f.find(ctx); err == nil && f.record.State == handover.Done {
		err = f.look(ctx)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close ends the connections.
func (f *Failback) Close() { f.viewer.Close() }

// Record is the failover that is taken back; its State is failed_back where that was done before.
func (f *Failback) Record() handover.Failover { return f.record }

// Orphans are the records that were never copied; nil where the flow is open already.
func (f *Failback) Orphans() *orphans.Report { return f.report }

// Left are groups at work on the source, whose positions there were left as they are. Known once it was run.
func (f *Failback) Left() []string { return f.left }

// find reads the ledger, and the failover that it knows.
func (f *Failback) find(ctx context.Context) (err error) {
	flow := &f.o.Flow
	if err = f.viewer.CheckIdentity(ctx); err != nil {
		return err
	}
	f.books, err = ledger.ReadWhole(ctx, f.o.Clusters[flow.To], flow.LedgerTopic(), flow.Shards)
	switch {
	case err != nil:
		return err
	case len(f.books) == 0:
		return inspect.NeverRan(ctx, f.viewer, "see whether this is the right flow: nothing tells of a failover there")
	}
	if f.record, err = handover.FailoverOf(f.books[0]); err != nil {
		return err
	}
	switch f.record.State {
	case handover.Done, handover.FailedBack:
		return nil
	case handover.Begun:
		return &kafka.Problem{What: fmt.Sprintf("failover %s of flow %s was begun at %s and has not come to its end",
			f.record.ID, flow.Name(), f.record.Begun.Format(time.RFC3339)),
			Fix: "'replicator failover' goes on with it; once it is done, it can be taken back"}
	}
	return &kafka.Problem{What: fmt.Sprintf("flow %s has no record of a failover", flow.Name()),
		Fix: "nothing was given up by 'replicator failover', so there is nothing to open again; a cutover is taken back by " +
			"'replicator rollback'"}
}

// HadRead lists groups that had read orphans, by name: where these are appended they read them again.
func (f *Failback) HadRead() []HadRead { return f.had }

// look finds the records that were never copied, and who had read them.
func (f *Failback) look(ctx context.Context) (err error) {
	held, _, err := f.viewer.ReadGroups(ctx)
	if err != nil {
		return err
	}
	if f.found, err = orphans.Find(ctx, f.viewer, func(string) bool { return true }); err != nil {
		return err
	}
	had := make([]int64, len(held))
	stand := map[chunk.Partition]map[int]int64{} // offsets, by group
	for i := range held {
		for _, at := range held[i].Positions {
			if stand[at.Partition] == nil {
				stand[at.Partition] = map[int]int64{}
			}
			stand[at.Partition][i] = at.Source.Offset
		}
	}
	f.report, err = f.found.Read(ctx, func(r *kgo.Record, _ wire.Times) error {
		for group, at := range stand[chunk.Partition{Topic: r.Topic, Number: r.Partition}] {
			if r.Offset < at {
				had[group]++
			}
		}
		return nil
	})
	for i, records := range had {
		if records > 0 {
			f.had = append(f.had, HadRead{held[i].Group, records})
		}
	}
	return err
}

// Refusal is why the flow is not opened as it was asked for; nil: it may be.
func (f *Failback) Refusal() error {
	if f.report == nil {
		return nil
	}
	from, to := f.o.Flow.From, f.o.Flow.To
	unknown := 0
	for i := range f.report.Partitions {
		if f.report.Partitions[i].Unknown() {
			unknown++
		}
	}
	switch {
	case f.o.Orphans == Append, f.report.Records == 0 && unknown == 0:
		return nil
	case f.o.Orphans == "":
		what := fmt.Sprintf("%s holds %d records that were never copied", from, f.report.Records)
		if unknown > 0 {
			what += fmt.Sprintf("; of %d partitions it is not known whether that is all", unknown)
		}
		return &kafka.Problem{What: what, Fix: fmt.Sprintf("look at them with 'replicator orphans', then choose: --orphans "+
			"append has the flow copy them, behind what %s holds by now; --orphans export keeps them in a file or in topics "+
			"of their own, and --orphans abandon leaves them on %s alone", to, from)}
	case unknown > 0:
		return &kafka.Problem{What: fmt.Sprintf("of %d partitions of %s it is not known what was never copied: they cannot "+
			"be read, or a transaction is open", unknown, from), Fix: "'replicator orphans' says why; wait until it is known, " +
			"or --orphans append, which copies whatever comes of it"}
	}
	return nil
}

// Run does with orphans what was chosen, and opens the flow: replicas may work on it from then on. What is given up is
// what was seen when they were counted: what came later is copied.
func (f *Failback) Run(ctx context.Context) (kept orphans.Kept, err error) {
	kept.Report = f.report
	if err := f.otherChoice(); err != nil || f.record.State == handover.FailedBack {
		return kept, err
	}
	if err := f.Refusal(); err != nil {
		return kept, err
	}
	if f.o.Orphans == Export {
		if kept, err = f.found.Keep(ctx, f.o.Where); err != nil {
			return kept, err
		}
	}
	changes, err := f.givenUp(kept.Report)
	if err != nil {
		return kept, err
	}
	if f.left, err = f.takeGroups(ctx); err != nil {
		return kept, err
	}
	// What was decided is noted first: one that is killed between two shards goes on by the same word.
	if f.record.OrphansFound == 0 {
		f.record.Orphans, f.record.OrphansFound = cmp.Or(string(f.o.Orphans), "none"), kept.Records
	}
	if err := f.noteRecord(ctx); err != nil {
		return kept, err
	}
	// The first shard comes last: by it replicas see whether the flow is open.
	for number := len(f.books) - 1; number >= 0; number-- {
		if err := f.open(ctx, number, changes[number]); err != nil {
			return kept, err
		}
	}
	f.record.State, f.record.FailedBack = handover.FailedBack, time.Now().UTC().Truncate(time.Millisecond)
	return kept, f.noteRecord(ctx)
}

// noteRecord writes what is known of the failover, and of what became of it.
func (f *Failback) noteRecord(ctx context.Context) error {
	note := ledger.NoteRecord(handover.FailoverName, handover.Encode(f.record))
	return ledger.WriteNotes(ctx, f.o.Clusters[f.o.Flow.To], f.o.Flow.LedgerTopic(), 0, []ledger.Record{note})
}

// otherChoice refuses another word about the orphans than the one that was carried out.
func (f *Failback) otherChoice() error {
	done := f.record.Orphans
	open := f.record.State == handover.FailedBack
	if done == "" || f.o.Orphans == "" && open || string(f.o.Orphans) == done || f.record.OrphansFound == 0 {
		return nil
	}
	if !open {
		return &kafka.Problem{What: fmt.Sprintf("a failback of flow %s was begun, and has not come to its end: of its %d "+
			"orphans it was decided: %s", f.o.Flow.Name(), f.record.OrphansFound, done),
			Fix: "give it again with --orphans " + done + ": shards that are open by now have carried that out"}
	}
	return &kafka.Problem{What: fmt.Sprintf("flow %s is open since %s, and of its %d orphans it was decided then: %s",
		f.o.Flow.Name(), f.record.FailedBack.Format(time.RFC3339), f.record.OrphansFound, done),
		Fix: "nothing was changed now. What was given up stays on the source, where 'replicator orphans' does not count it " +
			"any more; what was appended is copied. Give the command without --orphans, or with the same word"}
}

// open lets replicas work on a shard again, with what was given up of it.
func (f *Failback) open(ctx context.Context, number int, changes []ledger.Change) error {
	flow, target, book := &f.o.Flow, f.o.Clusters[f.o.Flow.To], f.books[number]
	d, err := handover.DirectionOf(book)
	if err != nil || !d.Closed {
		return err // by a command that was killed
	}
	p, err := book.Prepare(changes)
	if err != nil {
		return err
	}
	book.PrepareNote(p, handover.DirectionName, handover.Encode(handover.Direction{Failover: f.record.ID}))
	return ledger.WriteInShard(ctx, target, flow, number, p.Records)
}

// givenUp puts progress behind orphans that are not to be copied, by shard.
func (f *Failback) givenUp(report *orphans.Report) (map[int][]ledger.Change, error) {
	changes := map[int][]ledger.Change{}
	if f.o.Orphans != Abandon && f.o.Orphans != Export {
		return changes, nil
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	var cannot []string
	for i := range report.Partitions {
		one := &report.Partitions[i]
		if one.Records == 0 {
			continue // the flow passes by the rest, and notes what was deleted as ever
		}
		p := chunk.Partition{Topic: one.Topic, Number: one.Partition}
		number := p.Shard(len(f.books))
		key, state := f.copied(number, p)
		if state == nil || state.Progress != offsets.Source(one.From) || state.Cuts.Open() != nil {
			cannot = append(cannot, p.String())
			continue
		}
		changes[number] = append(changes[number], ledger.Change{Key: key, Header: behind(state.Header, one, now)})
	}
	if len(cannot) > 0 {
		return nil, &kafka.Problem{What: fmt.Sprintf("what these partitions hold cannot be given up, as they were never "+
			"begun, or wait for an order about a cut: %s", kafka.Few(cannot)), Fix: "leave topics that were never begun out " +
			"with exclude_topics, and decide about cuts with 'replicator resume'; or --orphans append"}
	}
	return changes, nil
}

// behind is a partition's header with progress behind its orphans. What the source had deleted before they were counted
// is a hole, as ever.
func behind(h ledger.Header, one *orphans.Partition, now time.Time) ledger.Header {
	if one.Deleted > 0 {
		h.Holes, h.Lost = h.Holes+1, h.Lost+one.Deleted
		h.LastHole = chunk.Hole{From: h.Progress, To: h.Progress + offsets.Source(one.Deleted)}
		h.Progress = h.LastHole.To
	}
	to := offsets.Source(one.To)
	h.Cuts = h.Cuts.Add(ledger.Cut{At: h.Progress, Copied: h.Progress, Epoch: chunk.UnknownEpoch, Seen: now,
		Resumed: to, Decided: now, Orphans: one.Records})
	h.Progress, h.Epoch = to, chunk.UnknownEpoch
	return h
}

// copied is the state of a partition whose topic is on the source now; nil: it was never begun.
func (f *Failback) copied(number int, p chunk.Partition) (ledger.Key, *ledger.State) {
	key := f.books[number].KeyOf(f.found.SourceID(p.Topic), p)
	state := f.books[number].State(key)
	if state == nil || state.Start == ledger.NotStarted {
		return key, nil
	}
	return key, state
}
