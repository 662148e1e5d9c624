package shard

import (
	"context"
	"fmt"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// A cut of the target is a fact in the ledger as one of the source is: its log was put back
// to an earlier state, or a leader took over that lacked what had been acknowledged. It
// shows by an end before the last record of the map, by records of ours that are written before
// that, or by something else in the place of that record.

// belowError says that records of ours were written before the last ones of the map, which are
// gone then. Their transaction is aborted, but the target's log grows by it.
type belowError struct {
	key      ledger.Key
	topic    chunk.TopicID // of the target
	at, last offsets.Target
}

func (e *belowError) Error() string {
	return fmt.Sprintf("%s: a record was written at offset %d of the target, whose log had reached %d",
		e.key.Partition, e.at, e.last)
}

// Remedy tells what to do.
func (e *belowError) Remedy() string { return "nothing: where the target was cut is looked for" }

// targetCut notes it if the target's log was cut before the last record that was copied.
func (f *cutFinder) targetCut(ctx context.Context, c *candidate, facts partition.Facts) error {
	end, short := facts.Ledger.End, facts.TargetShort()
	if short {
		end = facts.Target.End
	}
	_, behind := f.signs.behind[c.partition]
	at, is, err := f.targetHeldUpTo(ctx, c, end, short, behind)
	if err != nil || !is {
		return err
	}
	c.note(ledger.Cut{Target: true, At: at})
	return nil
}

// targetHeldUpTo says whether the target holds the last record of the map no more, and up to
// which source offset it holds what was copied. An end that came too early is asked for
// again for a while: it may come from a leader that was one.
func (f *cutFinder) targetHeldUpTo(ctx context.Context, c *candidate, end offsets.Target, short, behind bool) (
	at offsets.Source, is bool, err error) {
	record, mapped, err := f.lastCopied(ctx, c.partition, c.state, c.topic, c.header.Progress)
	if err != nil || !mapped {
		return 0, false, err
	}
	found, err := f.flow.LastCopied.Compare(ctx, []lastcopied.Record{record})
	if err != nil {
		return 0, false, err
	}
	switch what := found[c.partition]; {
	case !short && what != lastcopied.Differs:
		return 0, false, nil // the source is compared next
	case !short:
		_, there, err := f.flow.Scan.First(ctx, c.topic.Target, c.partition.Number, record.To, record.To+1, true)
		if err != nil || there {
			return 0, false, err
		}
		at, err := f.lastEqual(ctx, c, c.header.Progress) // what is in its place was aborted: the log grew again since
		return at, err == nil, err
	case !behind && (what == lastcopied.Alike || f.mayPass(c.partition)):
		return 0, false, fmt.Errorf("the target says that %s/%d ends at offset %d, but records up to %d were copied to it",
			c.topic.Target, c.partition.Number, end, record.To)
	}
	answer, err := c.state.Map.Invert(end, c.header.Progress, f.segments(ctx))
	return answer.Source, err == nil, err
}

// mayPass says whether an end that came too early is asked for again, as its trouble has not lasted.
func (f *cutFinder) mayPass(p chunk.Partition) bool {
	lasted, patience := f.quarantine.TroubledFor(p)
	return lasted < patience/2
}

// targetHoldsAgain is up to which source offset the target holds what was copied, now that copying is
// to go on: all of it again, where its former data was put back.
func (f *cutFinder) targetHoldsAgain(ctx context.Context, c *candidate, cut *ledger.Cut) (offsets.Source, error) {
	found, err := f.compareBefore(ctx, c, c.header.Progress)
	if err != nil || found == lastcopied.Alike {
		return c.header.Progress, err
	}
	end, err := f.flow.targetEnd(ctx, c.topic.Target, c.partition.Number)
	if err != nil {
		return 0, err
	}
	answer, err := c.state.Map.Invert(end, c.header.Progress, f.segments(ctx))
	return min(cut.At, answer.Source), err
}

// cutCluster is whose log was cut.
func (f *Flow) cutCluster(cut *ledger.Cut) string {
	if cut.Target {
		return f.Cfg.To
	}
	return f.Cfg.From
}
