package cutover

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
)

// positions is what the record says of groups and topics, as one text to compare.
func (h *mover) positions() string {
	var b strings.Builder
	b.WriteString(h.tailID())
	for _, g := range h.status.Groups {
		for _, p := range g.Positions {
			fmt.Fprintf(&b, "%s %s/%d:%d>%d ", g.Group, p.Topic, p.Partition, p.Source, handover.OffsetOrNone(p.Target))
		}
	}
	return b.String()
}

// noted is what the record is to be about, as one text to compare.
func (h *mover) noted() string {
	if len(h.late) == 0 {
		return h.positions() + strings.Join(h.givenUp(), " ")
	}
	var steps []string
	for step, given := range h.given {
		if len(given) > 0 {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return "given up: " + strings.Join(steps, " ")
}

// recorded says whether the record is about how everything stands now; while something
// is given up that may move, about how it stood when the same was given up.
func (h *mover) recorded(context.Context) (string, error) {
	if h.status == nil {
		return copiedUnknown, nil
	}
	if h.written != h.noted() {
		return "the record is to be written", nil
	}
	return "", nil
}

// write notes in the ledger where everything stands.
func (h *mover) write(ctx context.Context) error {
	var notes []ledger.Record
	ends := map[string]*handover.Topic{}
	now := time.Now().UTC().Truncate(time.Millisecond)
	h.record.Partitions, h.record.Groups = len(h.status.Partitions), len(h.part)
	for _, p := range h.status.Partitions { // by topic and number
		t := ends[p.Topic]
		if t == nil {
			t = &handover.Topic{ID: h.record.ID, Topic: p.Topic, Target: p.TargetTopic}
			ends[p.Topic] = t
		}
		t.SourceEnds = append(t.SourceEnds, int64(p.SourceEnd))
		t.TargetEnds = append(t.TargetEnds, h.targetEnd(&p))
	}
	for name, t := range ends {
		notes = append(notes, ledger.NoteRecord(handover.TopicName(name), handover.Encode(t)))
	}
	for _, g := range h.status.Groups {
		if !h.moves(g.Group) {
			continue
		}
		one := handover.Group{ID: h.record.ID, Ended: now, Group: g.Group, Target: g.Target}
		for _, p := range g.Positions {
			one.Positions = append(one.Positions, handover.Position{
				Topic: p.Topic, Partition: p.Partition, Source: int64(p.Source), Target: handover.OffsetOrNone(p.Target),
				Unread: p.UnreadDeleted})
		}
		h.record.Groups++
		notes = append(notes, ledger.NoteRecord(handover.GroupName(g.Group), handover.Encode(one)))
	}
	h.record.State, h.record.Ended = handover.Done, now
	h.record.GivenUp = h.givenUp()
	if err := h.findOthers(ctx); err != nil {
		return err
	}
	// The record comes last: where it is, the rest is.
	if err := h.note(ctx, notes...); err != nil {
		return err
	}
	if err := h.note(ctx, ledger.NoteRecord(handover.RecordName, handover.Encode(h.record))); err != nil {
		return err
	}
	h.written = h.noted()
	return nil
}

// targetEnd is where a partition ends on the target; in a later stage where it ended before, if nothing came since:
// what is behind is the applications'.
func (h *mover) targetEnd(p *inspect.PartitionStatus) int64 {
	before, n := h.ends0[p.Topic], int(p.Partition)
	if n < len(before.SourceEnds) && n < len(before.TargetEnds) && before.SourceEnds[n] == int64(p.SourceEnd) {
		return before.TargetEnds[n]
	}
	return handover.OffsetOrNone(p.TargetEnd)
}

func (h *mover) note(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, h.viewer.TargetCluster, h.o.Flow.LedgerTopic(), 0, notes)
}

// begin notes that a cutover is under way, and what it gives up from the start; one that
// was begun before goes on.
func (h *mover) begin(ctx context.Context, found handover.Record, takesBack string, given []string) error {
	h.given["begun"] = given
	if found.State == handover.Begun && found.TakesBack == takesBack {
		h.record, h.given["begun"] = found, found.GivenUp // of which some cannot be seen any more
		return nil
	}
	h.record = handover.Record{
		Version: handover.Version, ID: newCutoverID(), Flow: h.o.Flow.Name(), State: handover.Begun,
		Begun: time.Now().UTC().Truncate(time.Millisecond), TakesBack: takesBack, GivenUp: given,
	}
	return h.note(ctx, ledger.NoteRecord(handover.RecordName, handover.Encode(h.record)))
}

// newCutoverID begins with the time, for people, and is never given twice.
func newCutoverID() string {
	return time.Now().UTC().Format("20060102T150405Z-") + strings.ToLower(rand.Text()[:8])
}
