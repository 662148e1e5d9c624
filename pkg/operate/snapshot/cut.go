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
func (view *PartitionView) seeCut(snap *Snapshot) {
	if view.Facts.OpenCut() {
		view.Cut = view.State.Cuts.Open()
		key := snap.keyOf(view.Book, view.Source)
		view.Order, view.OrderErr = ledger.OrderOf(view.Book.Shard, key, view.State.Cuts)
		return
	}
	switch view.Verdict.Action {
	case partition.CompareTarget:
		if at, found := snap.targetCuts[view.Source]; found {
			view.Cut = view.unseen(ledger.Cut{Target: true, At: at})
		}
	case partition.CompareSource:
		view.Cut = view.unseen(ledger.Cut{At: view.Facts.Source.Holds(view.Facts.Ledger)})
	}
}

// unseen is a cut that the flow has not noted yet.
func (view *PartitionView) unseen(cut ledger.Cut) *ledger.Cut {
	cut.Copied, cut.Epoch, cut.Resumed = view.State.Progress, view.State.Epoch, ledger.Undecided
	return &cut
}

// cutFix is what has to be done before copying goes on behind the cut; "": an order waits, or the flow has to look
// into it first.
func (view *PartitionView) cutFix() string {
	if view.Cut == nil || view.Cut.Seen.IsZero() || view.Order != nil && view.OrderFits() {
		return ""
	}
	_, fix := view.CutWords()
	return fix
}

// OrderFits says whether whoever owns the shard will carry the order out.
func (view *PartitionView) OrderFits() bool {
	return view.Unknown != nil || view.Order.Fits(view.Cut, view.High)
}

// CutWords say why the partition waits behind a cut, and what has it go on.
func (view *PartitionView) CutWords() (reason, remedy string) {
	stop := ledger.CutStop(view.Source, view.Cut)
	switch {
	case view.Cut.Seen.IsZero():
		return stop.Reason, "let the flow run, so that it looks into it and notes the cut; " + stop.Fix
	case view.Order == nil:
		return stop.Reason, stop.Fix
	case view.OrderFits():
		return fmt.Sprintf("%s; since %s an order of 'replicator resume' to go on at offset %d waits, which no replica has "+
				"carried out yet", stop.Reason, view.Order.Ordered.Format(time.RFC3339), view.Order.From),
			fmt.Sprintf("the replica that has shard %d carries it out within seconds; where none runs, start one with "+
				"'replicator run'", view.Shard)
	}
	return fmt.Sprintf("%s; the order of %s to go on at offset %d does not fit any more, since the log was cut again",
		stop.Reason, view.Order.Ordered.Format(time.RFC3339), view.Order.From), stop.Fix
}

// BeforeCut is the partition as far as both logs hold it: where one of them was cut, its ledger up to there. own is
// where our records end then on the target.
func (v *Viewer) BeforeCut(ctx context.Context, view *PartitionView) (kept *PartitionView, own offsets.Target,
	err error) {
	if view.Cut == nil {
		return view, view.State.Expected(), nil
	}
	state, short := *view.State, *view
	state.Map, state.Progress, short.State = state.Map.Clone(), min(state.Progress, view.Cut.At), &state
	_, err = state.Map.Cut(view.Cut.At, v.Segments(ctx, view))
	last, _ := state.Map.Last()
	return &short, last.TargetEnd(), err
}

// Segments reads sealed parts of a partition's map.
func (v *Viewer) Segments(ctx context.Context, view *PartitionView) offsets.Load {
	return func(head offsets.Head) ([]offsets.Run, error) { return v.Ledger.Segment(ctx, int32(view.Shard), head) }
}
