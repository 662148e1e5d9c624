package shard

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/quarantine"
)

// A cut of the source is a fact in the ledger from the first comparison that shows it: an
// end, or the end of an epoch, before the progress, or a position that the source
// says is not in its log. However the log grows afterwards, the partition stays
// stopped until an operator's order is in the ledger; see docs/decisions/015-cut-of-the-source.md.

// cutFinder finds out whether a log was cut, on either side, where signs or ends say so, and has copying go on as an
// operator has ordered.
type cutFinder struct {
	flow       *Flow
	shard      int
	log        *slog.Logger
	book       *ledger.Shard
	signs      *signs
	quarantine *quarantine.Partitions
	foreign    *foreignRecords
}

// find finds out whether a log was cut, also where a partition is stopped for another reason: the log may
// have grown by the time that this has passed. It answers what becomes of the partition after that.
func (f *cutFinder) find(ctx context.Context, c *candidate, facts partition.Facts) (partition.Verdict, error) {
	c.earliest = facts.Source.First
	verdict, err := f.compareAndDecide(ctx, c, facts)
	if err == nil || ctx.Err() != nil {
		return verdict, err
	}
	if c.stop != nil { // which it is already, and is tried again
		f.log.Warn("whether the source was cut cannot be seen", "partition", c.partition, "error", err,
			"remedy", "nothing: it is looked at again when the partition goes on")
		return verdict, nil
	}
	return verdict, &chunk.Trouble{Partition: c.partition, Err: fmt.Errorf("look for a cut of a log: %w", err)}
}

// compareAndDecide compares what the facts cast doubt on, notes a cut that it finds, and acts on the order of an
// operator about one. It asks in this order, and decides anew after each answer, which may have changed the header:
//
//  1. the target, if its log may have been cut: a record of the source is compared with what the target has, so that
//     a cut there would look like one of the source. One that is found is an open cut, and the source is not asked;
//  2. the source, if its log may have been cut: that also tells up to which offset both hold what was copied;
//  3. the ledger, if a cut is open by now and the target partition is there, for an order about it. One that still
//     fits is carried out, which moves the progress to where the order says: what becomes of the partition there, a
//     hole among it, is decided once more.
//
// Without an order the candidate is stopped.
func (f *cutFinder) compareAndDecide(ctx context.Context, c *candidate, facts partition.Facts) (
	verdict partition.Verdict, err error) {
	p, heldUpTo := c.partition, facts.Source.Holds(facts.Ledger)
	verdict = partition.Decide(facts)
	if verdict.Action == partition.CompareTarget {
		if err = f.targetCut(ctx, c, facts); err != nil {
			return verdict, err
		}
		facts.TargetCompared = true
		verdict = c.decideAgain(&facts)
	}
	if verdict.Action == partition.CompareSource {
		if heldUpTo, err = f.sourceCut(ctx, c, heldUpTo); err != nil {
			return verdict, err
		}
		facts.SourceCompared = true
		verdict = c.decideAgain(&facts)
	}
	switch verdict.Action {
	case partition.Begin, partition.Refill, partition.Continue:
		delete(f.signs.doubts, p) // what a reader met was in another topic of that name, or was deleted, or is there
	}
	if verdict.Action != partition.Cut {
		return verdict, nil
	}
	cut := c.header.Cuts.Open()
	if !facts.Target.There {
		c.stop = ledger.CutStop(p, cut)
		return verdict, nil
	}
	if c.state.Cuts.Open() != nil {
		f.signs.forget(p) // the ledger knows
	}
	order, err := ledger.OrderOf(f.book, c.key, c.header.Cuts)
	if err != nil {
		return verdict, err
	}
	if order != nil && order.Fits(cut, facts.Source.End) {
		if err := f.resume(ctx, c, cut, order, heldUpTo); err != nil {
			return verdict, err
		}
		if c.stop == nil {
			facts.SourceCompared, facts.TargetCompared = true, true
			return c.decideAgain(&facts), nil
		}
	}
	c.stop = ledger.CutStop(p, cut)
	return verdict, nil
}

// decideAgain decides by what the candidate has become since the facts were gathered.
func (c *candidate) decideAgain(facts *partition.Facts) partition.Verdict {
	facts.Ledger = factsof.Ledger(facts.Ledger.Made, &ledger.State{Header: c.header, Map: c.state.Map})
	return partition.Decide(*facts)
}

// sourceCut notes it if the source's log was cut before the progress, and answers how far it holds what was copied.
func (f *cutFinder) sourceCut(ctx context.Context, c *candidate, heldUpTo offsets.Source) (offsets.Source, error) {
	d, doubted := f.signs.doubts[c.partition]
	if !doubted {
		d.at = c.header.Progress
	}
	is, err := f.isCut(ctx, c, heldUpTo, d)
	if err != nil || !is {
		return heldUpTo, err
	}
	if heldUpTo = min(heldUpTo, d.at); doubted && d.end >= 0 {
		heldUpTo = min(heldUpTo, d.end)
	}
	if heldUpTo, err = f.lastEqual(ctx, c, heldUpTo); err != nil {
		return heldUpTo, err
	}
	c.note(ledger.Cut{At: heldUpTo})
	return heldUpTo, nil
}

// note adds a cut that is seen now, about which nobody has decided.
func (c *candidate) note(cut ledger.Cut) {
	cut.Copied, cut.Epoch, cut.Resumed = c.header.Progress, c.header.Epoch, ledger.Undecided
	cut.Seen = time.UnixMilli(time.Now().UnixMilli())
	c.header.Cuts, c.noted = c.header.Cuts.Add(cut), &cut
}

// isCut says whether the source does not hold any more what was copied last. An end
// before records that are still there came from a leader that was one: it is asked again.
func (f *cutFinder) isCut(ctx context.Context, c *candidate, end offsets.Source, d doubt) (bool, error) {
	at := min(d.at, c.header.Progress) // since it was met, more may have been read
	found, err := f.compareBefore(ctx, c, at)
	short := end < c.header.Progress
	switch {
	case err != nil:
		return false, err
	case found == lastcopied.Alike && short:
		return false, fmt.Errorf("the source says that its log ends at offset %d, but holds the record before %d", end,
			at)
	case short, found == lastcopied.Differs, found != lastcopied.Alike && d.sure:
		return true, nil
	}
	delete(f.signs.doubts, c.partition)
	f.log.Info("the source holds what was copied last: nothing was cut", "partition", c.partition, "progress",
		c.header.Progress, "end", end)
	return false, nil
}

// lastEqual finds where the log was cut: the end that was seen, or before it where
// the log has grown again since, with other records than those that were copied.
func (f *cutFinder) lastEqual(ctx context.Context, c *candidate, end offsets.Source) (offsets.Source, error) {
	cut, err := f.replaced(ctx, c, end, end)
	for low := min(c.earliest, end); err == nil && cut && low < end; {
		var here bool
		middle := low + (end-low)/2
		if here, err = f.replaced(ctx, c, middle+1, end); here {
			end = middle
		} else {
			low = middle + 1
		}
	}
	return end, err
}

// replaced says whether the source does not hold the last record any more that was
// copied before a source offset. Where compaction may have taken it on either side, or
// retention on the target, the next one tells that is there before top; if none does,
// it was: then too much is copied again rather than too little.
func (f *cutFinder) replaced(ctx context.Context, c *candidate, at, top offsets.Source) (bool, error) {
	found, err := f.compareBefore(ctx, c, at)
	if at == top {
		return found == lastcopied.Differs || found == lastcopied.Gone, err
	}
	for tries := 0; err == nil && (found == lastcopied.Gone || found == lastcopied.Unknown) && at < top &&
		tries < 50; tries++ {
		next := offsets.Target(at)
		if found == lastcopied.Gone {
			there := false
			next, there, err = f.flow.SourceScan.First(ctx, c.partition.Topic, c.partition.Number, next,
				offsets.Target(top), true)
			if err != nil || !there {
				return true, err
			}
		}
		at = offsets.Source(next) + 1
		found, err = f.compareBefore(ctx, c, at)
	}
	return found != lastcopied.Alike, err
}

// resume has copying go on as ordered; heldUpTo is how far the source may hold again what
// was copied, as when its former data was put back. What the source has lost stays on the target,
// and what comes now follows it there; the map forgets it, so that a group goes from
// the last record before the cut to the first one that comes after.
func (f *cutFinder) resume(ctx context.Context, c *candidate, cut *ledger.Cut, order *ledger.CutOrder,
	heldUpTo offsets.Source) error {
	at, err := f.heldUpToNow(ctx, c, cut, heldUpTo)
	if err != nil {
		return err
	}
	if at < cut.At { // it was cut again since
		cut.At = at
		c.header.Cuts, c.stop = c.header.Cuts.Replace(*cut), ledger.CutStop(c.partition, cut)
		return nil
	}
	cut.At = at
	from := max(order.From, at)
	end, err := f.flow.targetEnd(ctx, c.topic.Target, c.partition.Number)
	if err != nil {
		return err
	}
	load := f.segments(ctx)
	_, last, kept, err := c.state.Map.Before(cut.At, load)
	if err != nil {
		return err
	}
	expected := c.state.Expected()
	left := offsets.Stretch{From: c.header.Floor, To: max(end, expected)}
	if kept {
		left.From = last + 1
	}
	if cut.Target { // what came there since is not ours, and nothing of ours is left
		expected, left = min(left.From, end), offsets.Stretch{}
	}
	if c.foreign, err = f.foreign.between(ctx, c.key, c.topic, expected, end, true); err != nil {
		return err
	}
	cut.Resumed, cut.Decided, cut.Left = from, order.Ordered, left
	c.header.Cuts, c.mapCut = c.header.Cuts.Replace(*cut), &ledger.MapCut{At: cut.At, Load: load}
	c.header.Progress, c.header.Epoch, c.header.MarkerFollows = from, chunk.UnknownEpoch, false
	f.log.Warn("a log was cut, copying goes on as an operator has ordered", "partition", c.partition,
		"cluster", f.flow.cutCluster(cut), "cut", cut.At, "copied", cut.Copied, "from", from,
		"given_up_at_most", int64(from-cut.At),
		"remedy", "nothing to do; 'replicator status' keeps what was given up")
	return nil
}

// heldUpToNow is how far both sides hold what was copied, now that copying is to go on.
func (f *cutFinder) heldUpToNow(ctx context.Context, c *candidate, cut *ledger.Cut,
	heldUpTo offsets.Source) (offsets.Source, error) {
	if cut.Target {
		return f.targetHoldsAgain(ctx, c, cut)
	}
	found, err := f.compareBefore(ctx, c, heldUpTo)
	switch {
	case err != nil || found == lastcopied.Unknown:
		return min(cut.At, heldUpTo), err
	case found == lastcopied.Alike:
		return heldUpTo, nil
	}
	return f.lastEqual(ctx, c, heldUpTo)
}
