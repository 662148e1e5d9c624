package shard

import (
	"context"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// segments reads sealed segments of maps back.
func (f *cutFinder) segments(ctx context.Context) offsets.Load {
	return func(head offsets.Head) ([]offsets.Run, error) {
		return f.flow.Ledger.Segment(ctx, int32(f.shard), head)
	}
}

// lastCopied is where the last record is that was copied before a source offset; false:
// the map tells of none.
func (f *cutFinder) lastCopied(ctx context.Context, p chunk.Partition, state *ledger.State, t topics.Mirrored,
	before offsets.Source) (lastcopied.Record, bool, error) {
	from, to, mapped, err := state.Map.Before(before, f.segments(ctx))
	return lastcopied.Record{Source: p, SourceID: t.SourceID,
		Target: chunk.Partition{Topic: t.Target, Number: p.Number}, TargetID: state.TargetTopic,
		From: from, To: to}, mapped, err
}

// compareBefore compares the last record that was copied before a source offset.
func (f *cutFinder) compareBefore(ctx context.Context, c *candidate, at offsets.Source) (lastcopied.Comparison, error) {
	record, mapped, err := f.lastCopied(ctx, c.partition, c.state, c.topic, at)
	if err != nil || !mapped || record.From < c.earliest {
		return lastcopied.Unknown, err
	}
	found, err := f.flow.LastCopied.Compare(ctx, []lastcopied.Record{record})
	return found[c.partition], err
}

// compareLast compares what was copied last of the partitions of a chunk whose log may be
// another one than the one that was read before: what follows something else is not copied.
func (f *cutFinder) compareLast(ctx context.Context, a *assignment, c chunk.Chunk) error {
	var records []lastcopied.Record
	for i := range c.Parts {
		part := &c.Parts[i]
		r := a.routes[part.Partition]
		if !part.Anew || r == nil {
			continue
		}
		part.Anew = false
		state := f.book.State(r.key)
		if state == nil || state.TargetTopic != r.topic.TargetID {
			continue
		}
		record, mapped, err := f.lastCopied(ctx, r.key.Partition, state, r.topic, state.Progress)
		if err != nil {
			return err
		}
		if mapped {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return nil
	}
	found, err := f.flow.LastCopied.Compare(ctx, records)
	if err != nil {
		return err
	}
	for _, r := range records {
		if found[r.Source] == lastcopied.Differs {
			key := a.routes[r.Source].key
			f.signs.doubts[r.Source] = doubt{key: key, at: f.book.State(key).Progress, end: -1, sure: true}
			err = errAgain // the next assignment finds where the log was cut
		}
	}
	return err
}
