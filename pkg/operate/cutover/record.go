package cutover

import (
	"context"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
)

// recorder notes a cutover in the flow's ledger: that it is under way, and where everything stood when it was done.
type recorder struct {
	viewer  *snapshot.Viewer
	record  handover.Record           // as it will be written
	written string                    // what was noted of the positions; "": nothing yet
	before  map[string]handover.Topic // where topics ended in the stages before; nil: this is the first
}

// write notes where everything stands, of the groups that this stage moves.
func (r *recorder) write(ctx context.Context, seen *standing, moves *selection, givenUp []string) error {
	var notes []ledger.Record
	ends := map[string]*handover.Topic{}
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.record.Partitions, r.record.Groups = len(seen.Partitions), len(moves.before)
	for _, p := range seen.Partitions { // by topic and number
		t := ends[p.Topic]
		if t == nil {
			t = &handover.Topic{ID: r.record.ID, Topic: p.Topic, Target: p.TargetTopic}
			ends[p.Topic] = t
		}
		t.SourceEnds = append(t.SourceEnds, int64(p.SourceEnd))
		t.TargetEnds = append(t.TargetEnds, r.targetEnd(&p))
	}
	for name, t := range ends {
		notes = append(notes, ledger.NoteRecord(handover.TopicName(name), handover.Encode(t)))
	}
	for _, g := range seen.Groups {
		if !moves.has(g.Group) {
			continue
		}
		one := handover.Group{ID: r.record.ID, Ended: now, Group: g.Group, Target: g.Target}
		for _, p := range g.Positions {
			one.Positions = append(one.Positions, handover.Position{
				Topic: p.Topic, Partition: p.Partition, Source: int64(p.Source), Target: handover.OffsetOrNone(p.Target),
				Unread: p.UnreadDeleted})
		}
		r.record.Groups++
		notes = append(notes, ledger.NoteRecord(handover.GroupName(g.Group), handover.Encode(one)))
	}
	r.record.State, r.record.Ended = handover.Done, now
	r.record.GivenUp = givenUp
	if err := r.findOthers(ctx, seen); err != nil {
		return err
	}
	// The record comes last: where it is, the rest is.
	if err := r.note(ctx, notes...); err != nil {
		return err
	}
	return r.note(ctx, ledger.NoteRecord(handover.RecordName, handover.Encode(r.record)))
}

// endOpposite notes of a cutover of the opposite flow of a pair, by which applications came to the source, that it is
// taken back: so that flow can be cut over again, and keeps settings. It comes before this one is done.
func (r *recorder) endOpposite(ctx context.Context, seen *standing) error {
	name, on := provenance.AskedOppositeLedger(&r.viewer.Flow), r.viewer.SourceCluster
	comesBack, err := provenance.CarriedBack(&r.viewer.Flow)
	if err != nil || !slices.ContainsFunc(seen.Partitions, func(p inspect.PartitionStatus) bool {
		return comesBack(p.TargetTopic)
	}) {
		return err
	}
	book, err := ledger.ReadFirstAsItIs(ctx, on, name)
	if err != nil || book == nil {
		return err
	}
	record, err := handover.RecordOf(book)
	if err != nil || record.State != handover.Done {
		return err
	}
	record.State = handover.RolledBack
	return ledger.WriteNotes(ctx, on, name, 0,
		[]ledger.Record{ledger.NoteRecord(handover.RecordName, handover.Encode(record))})
}

// targetEnd is where a partition ends on the target; in a later stage where it ended before, if nothing came since:
// what is behind is the applications'.
func (r *recorder) targetEnd(p *inspect.PartitionStatus) int64 {
	before, n := r.before[p.Topic], int(p.Partition)
	if n < len(before.SourceEnds) && n < len(before.TargetEnds) && before.SourceEnds[n] == int64(p.SourceEnd) {
		return before.TargetEnds[n]
	}
	return handover.OffsetOrNone(p.TargetEnd)
}

// findOthers notes the topics of the target that are not part of this cutover.
func (r *recorder) findOthers(ctx context.Context, seen *standing) error {
	chosen, err := chosenThere(ctx, r.viewer)
	if err != nil {
		return err
	}
	r.record.Others = slices.DeleteFunc(chosen, func(topic string) bool {
		return slices.ContainsFunc(seen.Partitions, func(p inspect.PartitionStatus) bool { return p.Topic == topic })
	})
	return nil
}

func (r *recorder) note(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, r.viewer.TargetCluster, r.viewer.Flow.LedgerTopic(), 0, notes)
}

// begin notes that a cutover is under way, and what it gives up from the start; one that was begun before goes on. It
// answers what is given up by now.
func (r *recorder) begin(ctx context.Context, found handover.Record, takesBack string, givenUp []string) ([]string,
	error) {
	if found.State == handover.Begun && found.TakesBack == takesBack {
		r.record = found
		return found.GivenUp, nil // of which some cannot be seen any more
	}
	r.record = handover.Record{
		Version: handover.Version, ID: handover.NewID(), Flow: r.viewer.Flow.Name(), State: handover.Begun,
		Begun: time.Now().UTC().Truncate(time.Millisecond), TakesBack: takesBack, GivenUp: givenUp,
	}
	return givenUp, r.note(ctx, ledger.NoteRecord(handover.RecordName, handover.Encode(r.record)))
}
