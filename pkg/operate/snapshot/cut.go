package snapshot

import (
	"context"
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// seeCut is the cut that keeps a partition from being copied: the ledger's, or one that shows now and that the
// flow will note when it looks, if it does not find by the records that nothing was lost.
func (s *PartitionView) seeCut(snap *Snapshot) {
	if s.Facts.OpenCut() {
		s.Cut = s.State.Cuts.Open()
		key := s.Book.KeyOf(snap.Source.Topics[s.Source.Topic].Id, s.Source)
		s.Order, s.OrderErr = ledger.OrderOf(s.Book.Shard, key, s.State.Cuts)
		return
	}
	switch s.Verdict.Action {
	case partition.CompareTarget:
		if at, found := snap.targetCuts[s.Source]; found {
			s.Cut = s.unseen(ledger.Cut{Target: true, At: at})
		}
	case partition.CompareSource:
		s.Cut = s.unseen(ledger.Cut{At: s.Facts.Source.Holds(s.Facts.Ledger)})
	}
}

// unseen is a cut that the flow has not noted yet.
func (s *PartitionView) unseen(cut ledger.Cut) *ledger.Cut {
	cut.Copied, cut.Epoch, cut.Resumed = s.State.Progress, s.State.Epoch, ledger.Undecided
	return &cut
}

// cutFix is what has to be done before copying goes on behind the cut; "": an order waits, or the flow has to look
// into it first.
func (s *PartitionView) cutFix() string {
	if s.Cut == nil || s.Cut.Seen.IsZero() || s.Order != nil && s.OrderFits() {
		return ""
	}
	_, fix := s.CutWords()
	return fix
}

// OrderFits says whether whoever owns the shard will carry the order out.
func (s *PartitionView) OrderFits() bool { return s.Unknown != nil || s.Order.Fits(s.Cut, s.High) }

// CutWords say why the partition waits behind a cut, and what has it go on.
func (s *PartitionView) CutWords() (reason, remedy string) {
	stop := ledger.CutStop(s.Source, s.Cut)
	switch {
	case s.Cut.Seen.IsZero():
		return stop.Reason, "let the flow run, so that it looks into it and notes the cut; " + stop.Fix
	case s.Order == nil:
		return stop.Reason, stop.Fix
	case s.OrderFits():
		return fmt.Sprintf("%s; since %s an order of 'replicator resume' to go on at offset %d waits, which no replica has "+
				"carried out yet", stop.Reason, s.Order.Ordered.Format(time.RFC3339), s.Order.From),
			fmt.Sprintf("the replica that has shard %d carries it out within seconds; where none runs, start one with "+
				"'replicator run'", s.Shard)
	}
	return fmt.Sprintf("%s; the order of %s to go on at offset %d does not fit any more, since the log was cut again",
		stop.Reason, s.Order.Ordered.Format(time.RFC3339), s.Order.From), stop.Fix
}

// BeforeCut is the partition as far as both logs hold it: where one of them was cut, its ledger up to there. own is
// where our records end then on the target.
func (v *Viewer) BeforeCut(ctx context.Context, s *PartitionView) (kept *PartitionView, own offsets.Target, err error) {
	if s.Cut == nil {
		return s, s.State.Expected(), nil
	}
	state, short := *s.State, *s
	state.Map, state.Progress, short.State = state.Map.Clone(), min(state.Progress, s.Cut.At), &state
	_, err = state.Map.Cut(s.Cut.At, v.Segments(ctx, s))
	last, _ := state.Map.Last()
	return &short, last.TargetEnd(), err
}

// Segments reads sealed parts of a partition's map.
func (v *Viewer) Segments(ctx context.Context, s *PartitionView) offsets.Load {
	return func(head offsets.Head) ([]offsets.Run, error) { return v.Ledger.Segment(ctx, int32(s.Shard), head) }
}
