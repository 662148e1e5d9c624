package shard

import (
	"context"
	"slices"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// lastCopied is where the last record is that was copied before a source offset; false:
// the map tells of none.
func (s *session) lastCopied(ctx context.Context, p chunk.Partition, state *ledger.State, t topics.Mirrored,
	before offsets.Source) (lastcopied.Place, bool, error) {
	from, to, mapped, err := state.Map.Before(before, s.segments(ctx))
	return lastcopied.Place{Source: p, SourceID: t.SourceID,
		Target: chunk.Partition{Topic: t.Target, Number: p.Number}, TargetID: state.TargetTopic,
		From: from, To: to}, mapped, err
}

// compareBefore compares the last record that was copied before a source offset.
func (s *session) compareBefore(ctx context.Context, c *candidate, at offsets.Source) (lastcopied.Comparison, error) {
	place, mapped, err := s.lastCopied(ctx, c.partition, c.state, c.topic, at)
	if err != nil || !mapped || place.From < c.earliest {
		return lastcopied.Unknown, err
	}
	found, err := s.flow.LastCopied.Compare(ctx, []lastcopied.Place{place})
	return found[c.partition], err
}

// interrupts says whether a chunk has records of a partition over a new connection, of
// which the present transaction holds some from before: those are in no map yet.
func (s *session) interrupts(c chunk.Chunk) bool {
	return slices.ContainsFunc(c.Parts, func(p chunk.Part) bool {
		r := s.routes[p.Partition]
		return p.Anew && r != nil && r.landed
	})
}

// compareLast compares what was copied last of the partitions of a chunk whose log may be
// another one than the one that was read before: what follows something else is not copied.
func (s *session) compareLast(ctx context.Context, c chunk.Chunk) error {
	var places []lastcopied.Place
	for i := range c.Parts {
		part := &c.Parts[i]
		r := s.routes[part.Partition]
		if !part.Anew || r == nil {
			continue
		}
		part.Anew = false
		state := s.book.State(r.key)
		if state == nil || state.TargetTopic != r.topic.TargetID {
			continue
		}
		place, mapped, err := s.lastCopied(ctx, r.key.Partition, state, r.topic, state.Progress)
		if err != nil {
			return err
		}
		if mapped {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return nil
	}
	found, err := s.flow.LastCopied.Compare(ctx, places)
	if err != nil {
		return err
	}
	for _, p := range places {
		if found[p.Source] == lastcopied.Differs {
			key := s.routes[p.Source].key
			s.doubts[p.Source] = doubt{key: key, at: s.book.State(key).Progress, end: -1, sure: true}
			err = errAgain // with a look at where the log was cut
		}
	}
	return err
}
