package shard

import (
	"context"
	"fmt"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// logs are what the source says of its logs, and where those of the target end.
type logs struct {
	factsof.SourceOffsets
	targetEnds listoffsets.Offsets
}

// ask asks both clusters for what decide needs, in a few requests for all partitions.
func (a *assigner) ask(ctx context.Context, list []*candidate) (l logs, err error) {
	var names, filled []string
	var positions []chunk.Position
	fresh := false
	for _, c := range list {
		if len(names) == 0 || names[len(names)-1] != c.topic.Source {
			names = append(names, c.topic.Source)
		}
		fresh = fresh || c.state == nil
		if c.state != nil && c.header.TargetTopic == c.topic.TargetID &&
			(len(filled) == 0 || filled[len(filled)-1] != c.topic.Target) {
			filled = append(filled, c.topic.Target)
		}
		if c.state != nil {
			positions = append(positions, chunk.Position{
				Partition: c.partition, Offset: c.header.Progress, Epoch: c.header.Epoch,
			})
		}
	}
	if l.Earliest, err = a.flow.SourceOffsets.Earliest(ctx, names); err != nil {
		return l, err
	}
	if l.Start, err = a.askStart(ctx, names, l.Earliest, fresh); err != nil {
		return l, err
	}
	// After the start: a log that grows meanwhile does not look cut.
	if l.End, err = a.flow.SourceOffsets.Ends(ctx, names); err != nil {
		return l, err
	}
	if l.Epochs, err = a.flow.SourceOffsets.EpochEnds(ctx, positions); err != nil || len(filled) == 0 {
		return l, err
	}
	l.targetEnds, err = a.flow.TargetOffsets.Ends(ctx, filled)
	return l, err
}

// askStart asks where partitions start of which nothing is known yet.
func (a *assigner) askStart(ctx context.Context, names []string, earliest listoffsets.Offsets,
	fresh bool) (listoffsets.Offsets, error) {
	if !fresh || a.book.Made {
		return earliest, nil // what appeared after the flow was made starts at its beginning
	}
	if at, isTime := a.flow.Cfg.Start.Time(); isTime {
		return a.flow.SourceOffsets.At(ctx, names, at)
	}
	if a.flow.Cfg.Start == settings.Latest { // the last stable offset: what is open now commits later
		return a.flow.SourceOffsets.Stable(ctx, names)
	}
	return earliest, nil
}

// unknown is why something about a partition is not known that the source was asked for.
func (l logs) unknown(c *candidate) error {
	asked := []listoffsets.Offsets{l.Earliest, l.Start, l.End}
	if c.state != nil && c.header.Epoch >= 0 {
		asked = append(asked, l.Epochs)
	}
	for _, offsets := range asked {
		if offset, known := offsets[c.partition]; !known {
			return fmt.Errorf("the source does not know partition %s", c.partition)
		} else if offset.Err != nil {
			return fmt.Errorf("the source does not answer for partition %s: %w", c.partition, offset.Err)
		}
	}
	return nil
}

// facts are what is known of a candidate.
func (a *assigner) facts(c *candidate, l logs, silent bool) partition.Facts {
	p, at := c.partition, chunk.Partition{Topic: c.topic.Target, Number: c.partition.Number}
	facts := partition.Facts{
		Ledger: factsof.Ledger(a.book.Made, c.state), Source: l.Facts(p),
		Target: partition.Target{Topic: c.topic.TargetID, There: !c.waiting, End: factsof.End(l.targetEnds, at),
			Own: c.header.TargetTopic == c.topic.TargetID || a.book.Fills(p, c.topic.TargetID)},
		TopicStopped: c.topic.Stop != nil, Quarantined: c.stop != nil,
	}
	facts.Source.Silent = silent
	_, facts.Doubted = a.signs.doubts[p]
	if sign, behind := a.signs.behind[p]; behind {
		if end := facts.Target.End; end == partition.UnknownOffset || sign.at < end {
			facts.Target.End = sign.at
		}
	}
	return facts
}
