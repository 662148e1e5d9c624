package lastcopied

import (
	"bytes"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

// A source that was put back to an earlier state, and has grown beyond the progress
// under the leader epoch that it had, looks like one that was never cut. Only its records
// tell: so the one that was copied last is compared whenever the first records come after
// a connection to the source was made.

// Comparison is what became of a record that was copied.
type Comparison int

const (
	Unknown Comparison = iota // the target does not hold it any more, or the source's log begins behind it
	Alike                     // it is the same on both sides
	Differs                   // something else is in its place on the source
	Gone                      // nothing is in its place on the source
)

// Record is where a record is that was copied: the topics and the offsets on both sides.
type Record struct {
	Source, Target     chunk.Partition
	SourceID, TargetID chunk.TopicID
	From               offsets.Source // where it is on the source
	To                 offsets.Target // where its copy is
}

// Comparer compares records of both sides. It may be used by several goroutines.
type Comparer struct {
	source, target             kafka.Config
	sourceClient, targetClient *kgo.Client
}

// Open opens a client of each side, which Close closes.
func Open(source, target kafka.Config) (*Comparer, error) {
	c := &Comparer{source: source, target: target}
	var err error
	if c.sourceClient, err = kafka.NewFranz(source); err != nil {
		return nil, err
	}
	if c.targetClient, err = kafka.NewFranz(target); err != nil {
		c.sourceClient.Close()
		return nil, err
	}
	return c, nil
}

// Close closes both clients.
func (c *Comparer) Close() {
	c.sourceClient.Close()
	c.targetClient.Close()
}

// Compare finds out what became of records that were copied, one of each partition at most;
// the answers are by partition of the source.
func (c *Comparer) Compare(ctx context.Context, records []Record) (map[chunk.Partition]Comparison, error) {
	here, there := map[chunk.Partition]glance.Place{}, map[chunk.Partition]glance.Place{}
	for _, r := range records {
		here[r.Source] = glance.Place{ID: r.SourceID, Offset: int64(r.From)}
		there[r.Target] = glance.Place{ID: r.TargetID, Offset: int64(r.To)}
	}
	var theirs, ours map[chunk.Partition]*kgo.Record
	g, asking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		theirs, err = glance.Records(asking, c.sourceClient, here)
		return c.source.Explain(err)
	})
	g.Go(func() (err error) {
		ours, err = glance.Records(asking, c.targetClient, there)
		return c.target.Explain(err)
	})
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("compare what was copied last: %w", err)
	}
	found := map[chunk.Partition]Comparison{}
	for _, r := range records {
		found[r.Source] = compareRecords(ours[r.Target], theirs[r.Source])
	}
	return found, nil
}

func compareRecords(ours, theirs *kgo.Record) Comparison {
	switch {
	case ours == nil:
		return Unknown
	case theirs == nil:
		return Gone
	case sameRecord(ours, theirs):
		return Alike
	}
	return Differs
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
