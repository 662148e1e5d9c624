package shard

import (
	"context"
	"fmt"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/wait"
)

// decide has one partition go on where the facts have it go on, or says why it does not. Nothing is decided by an
// answer that did not come: a log is not cut because its leader is silent.
func (a *assigner) decide(ctx context.Context, c *candidate, l logs) error {
	unknown := l.unknown(c)
	facts := a.facts(c, l, unknown != nil)
	verdict := partition.Decide(facts)
	switch {
	case unknown != nil && c.stop == nil:
		return &chunk.Trouble{Partition: c.partition, Err: unknown}
	case unknown != nil:
		if c.state == nil {
			c.header = ledger.Header{Start: ledger.NotStarted, Progress: ledger.NotStarted, Epoch: chunk.UnknownEpoch}
		}
		return nil
	case !facts.Ledger.Started:
		c.header = ledger.Header{Start: verdict.From, Progress: verdict.From, Epoch: chunk.UnknownEpoch}
	}
	verdict, err := a.cuts.find(ctx, c, facts)
	if err != nil || c.stop != nil {
		return err
	}
	switch verdict.Action {
	case partition.Begin, partition.Refill:
		if err := a.adopt(ctx, c, verdict); err != nil || c.stop != nil {
			return err
		}
	case partition.Continue:
	default:
		return nil
	}
	a.leaveHole(c, verdict.Hole)
	return nil
}

// adopt binds the map to the target topic that is there now. A topic that was
// created again begins another map and is filled from the source's beginning;
// one that holds records of somebody else is refused before anything is written.
func (a *assigner) adopt(ctx context.Context, c *candidate, verdict partition.Verdict) error {
	name := fmt.Sprintf("%s/%d", c.topic.Target, c.partition.Number)
	if err := a.flow.fillsAlone(ctx, c); err != nil || c.stop != nil {
		return err
	}
	if from := verdict.From; verdict.Action == partition.Refill {
		a.log.Warn("target topic was created again, copying it anew", "partition", c.partition, "target", name,
			"remedy", "nothing to do; the groups follow as the records arrive")
		c.header = ledger.Header{
			Generation: c.header.Generation + 1, Start: from, Progress: from, Epoch: chunk.UnknownEpoch,
			Holes: c.header.Holes, Lost: c.header.Lost, LastHole: c.header.LastHole, SourceTopic: c.header.SourceTopic,
			Cuts: c.header.Cuts.WithoutLeft(from, time.UnixMilli(time.Now().UnixMilli())),
		}
	}
	end, err := a.flow.targetEnd(ctx, c.topic.Target, c.partition.Number)
	if err != nil {
		return err
	}
	shared := a.flow.Writers.CarriesBack(c.topic.Target)
	if end > 0 && verdict.Foreign && !shared {
		at, found, err := a.flow.Scan.First(ctx, c.topic.Target, c.partition.Number, 0, end, true)
		if err != nil {
			return fmt.Errorf("look for foreign records in %s: %w", name, err)
		}
		if found {
			c.stop = a.flow.Writers.Stop(ctx, c.partition, chunk.Partition{Topic: c.topic.Target,
				Number: c.partition.Number}, at)
			return nil
		}
	} else if end > 0 && !shared {
		a.log.Warn("source topic was created again, its records follow those of the former one",
			"partition", c.partition, "target", name, "remedy", "nothing to do, if that was intended")
	}
	c.header.TargetTopic, c.header.Floor = c.topic.TargetID, end
	return nil
}

// fillsAlone refuses to bring back what a topic of the target had before it was made anew, if others would do so too.
func (f *Flow) fillsAlone(ctx context.Context, c *candidate) error {
	if f.SourceWriters == nil {
		return nil
	}
	stop, err := f.Writers.SeveralFill(c.partition, c.topic.Target)
	if err != nil || stop == nil {
		return err
	}
	again, err := f.SourceWriters.Refills(ctx, c.partition,
		provenance.Topics{Source: c.topic.SourceID, Target: c.topic.TargetID})
	if again {
		c.stop = stop
	}
	return err
}

// leaveHole has copying go on behind what retention has taken before it was copied.
func (a *assigner) leaveHole(c *candidate, hole chunk.Hole) {
	lost := hole.Offsets()
	if lost == 0 {
		return
	}
	a.log.Error("source records were deleted before they were copied", "partition", c.partition,
		"from", hole.From, "to", hole.To, "at_most", lost,
		"remedy", "raise retention on the source or give the daemon more room; what was deleted cannot be copied, "+
			"copying goes on after it")
	a.flow.Metrics.Hole(a.flow.Name, c.partition, lost)
	c.header.Holes++
	c.header.Lost += lost
	c.header.LastHole = hole
	c.header.Progress, c.header.Epoch = hole.To, chunk.UnknownEpoch
}

// commitHeaders writes what was decided, if it is news.
func (a *assigner) commitHeaders(ctx context.Context, list []*candidate) error {
	var changes []ledger.Change
	for _, c := range list {
		c.header.Stop = keepStop(c)
		if c.state == nil || !c.header.Equal(c.state.Header) {
			changes = append(changes, ledger.Change{Key: c.key, Header: c.header, Cut: c.mapCut, Foreign: c.foreign})
		}
	}
	if len(changes) == 0 && a.book.Made {
		return nil
	}
	p, err := a.book.Prepare(changes)
	if err != nil {
		return err
	}
	if !a.book.Made {
		a.book.PrepareMade(p, a.flow.Cfg.Shards)
	}
	if err := a.transactions.write(ctx, p); err != nil {
		return err
	}
	wait.Notify(a.flow.Notify)
	return nil
}
