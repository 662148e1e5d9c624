package replicate

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// A source that was put back to an earlier state, and has grown beyond the progress
// under the leader epoch that it had, looks like one that was never cut. Only its records
// tell: so the one that was copied last is compared whenever the first records come after
// a connection to the source was made.

// comparison is what became of a record that was copied.
type comparison int

const (
	unknown comparison = iota // the target does not hold it any more, or the source's log begins behind it
	alike                     // it is the same on both sides
	differs                   // something else is in its place on the source
	gone                      // nothing is in its place on the source
)

// copiedPlace is where a record is that was copied.
type copiedPlace struct {
	source, target     chunk.Partition
	sourceID, targetID chunk.TopicID
	from               offsets.Source
	to                 offsets.Target
}

// both compares records of both sides.
type both struct {
	source, target             kafka.Config
	sourceClient, targetClient *kgo.Client
}

func openBoth(source, target kafka.Config) (*both, error) {
	b := &both{source: source, target: target}
	var err error
	if b.sourceClient, err = kafka.NewFranz(source); err != nil {
		return nil, err
	}
	if b.targetClient, err = kafka.NewFranz(target); err != nil {
		b.sourceClient.Close()
		return nil, err
	}
	return b, nil
}

func (b *both) close() {
	b.sourceClient.Close()
	b.targetClient.Close()
}

// compare looks what became of records that were copied, one of each partition at most;
// the answers are by partition of the source.
func (b *both) compare(ctx context.Context, places []copiedPlace) (map[chunk.Partition]comparison, error) {
	here, there := map[chunk.Partition]glance.Place{}, map[chunk.Partition]glance.Place{}
	for _, p := range places {
		here[p.source] = glance.Place{ID: p.sourceID, Offset: int64(p.from)}
		there[p.target] = glance.Place{ID: p.targetID, Offset: int64(p.to)}
	}
	var theirs, ours map[chunk.Partition]*kgo.Record
	g, looking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		theirs, err = glance.Records(looking, b.sourceClient, here)
		return b.source.Explain(err)
	})
	g.Go(func() (err error) {
		ours, err = glance.Records(looking, b.targetClient, there)
		return b.target.Explain(err)
	})
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("compare what was copied last: %w", err)
	}
	found := map[chunk.Partition]comparison{}
	for _, p := range places {
		found[p.source] = compareRecords(ours[p.target], theirs[p.source])
	}
	return found, nil
}

func compareRecords(ours, theirs *kgo.Record) comparison {
	switch {
	case ours == nil:
		return unknown
	case theirs == nil:
		return gone
	case sameRecord(ours, theirs):
		return alike
	}
	return differs
}

// sameRecord leaves timestamps out where the broker of our side has put its own, or the
// source's record has none.
func sameRecord(ours, theirs *kgo.Record) bool {
	const createTime = 0
	same := !theirs.Attrs.IsControl() && bytes.Equal(ours.Key, theirs.Key) && bytes.Equal(ours.Value, theirs.Value) &&
		len(ours.Headers) == len(theirs.Headers)
	if ours.Attrs.TimestampType() == createTime && theirs.Attrs.TimestampType() >= createTime {
		same = same && ours.Timestamp.Equal(theirs.Timestamp)
	}
	for i := range ours.Headers {
		same = same && ours.Headers[i].Key == theirs.Headers[i].Key &&
			bytes.Equal(ours.Headers[i].Value, theirs.Headers[i].Value)
	}
	return same
}

// lastCopied is where the last record is that was copied before a source offset; false:
// the map tells of none.
func (s *session) lastCopied(ctx context.Context, p chunk.Partition, state *ledger.State, t topics.Mirrored,
	before offsets.Source) (copiedPlace, bool, error) {
	from, to, mapped, err := state.Map.Before(before, s.segments(ctx))
	return copiedPlace{source: p, sourceID: t.SourceID,
		target: chunk.Partition{Topic: t.Target, Number: p.Number}, targetID: state.TargetTopic,
		from: from, to: to}, mapped, err
}

// compareBefore compares the last record that was copied before a source offset.
func (s *session) compareBefore(ctx context.Context, c *candidate, at offsets.Source) (comparison, error) {
	place, mapped, err := s.lastCopied(ctx, c.partition, c.state, c.topic, at)
	if err != nil || !mapped || place.from < c.earliest {
		return unknown, err
	}
	found, err := s.flow.both.compare(ctx, []copiedPlace{place})
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
	var places []copiedPlace
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
	found, err := s.flow.both.compare(ctx, places)
	if err != nil {
		return err
	}
	for _, p := range places {
		if found[p.source] == differs {
			key := s.routes[p.source].key
			s.doubts[p.source] = doubt{key: key, at: s.book.State(key).Progress, end: -1, sure: true}
			err = errAgain // with a look at where the log was cut
		}
	}
	return err
}
