package glance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
)

// Place is where a record is looked for.
type Place struct {
	ID     chunk.TopicID // of the topic that is meant; zero: whichever has the name
	Offset int64
}

// ErrOtherTopic says that a topic of another id has the name by now.
var ErrOtherTopic = errors.New("the topic was created again")

// Records reads the record at one place of each partition: a committed one, an aborted
// one or a marker. Where none is (any more) there is no entry. The error is about the
// cluster or the first partition that could not be read.
func Records(ctx context.Context, client *kgo.Client, at map[chunk.Partition]Place) (map[chunk.Partition]*kgo.Record,
	error) {
	names := map[string]bool{}
	for p := range at {
		names[p.Topic] = true
	}
	all, err := list(ctx, client, slices.Sorted(maps.Keys(names)))
	if err != nil {
		return nil, err
	}
	found := map[chunk.Partition]*kgo.Record{}
	byPartition := map[chunk.Partition]*Log{}
	for _, l := range all {
		p := chunk.Partition{Topic: l.Topic, Number: l.Number}
		place, asked := at[p]
		if !asked {
			continue
		}
		byPartition[p] = l
		if place.ID != (chunk.TopicID{}) && l.ID != (chunk.TopicID{}) && l.ID != place.ID {
			l.Err = ErrOtherTopic
		}
		l.At, l.End, l.Control = place.Offset, place.Offset+1, true
		l.Take = func(r *kgo.Record) error {
			if r.Offset == place.Offset {
				found[p] = r
			}
			return nil
		}
	}
	Read(ctx, client, slices.Collect(maps.Values(byPartition)))
	for p := range at {
		l := byPartition[p]
		switch {
		case l == nil:
			return nil, fmt.Errorf("%s: %w", p, kerr.UnknownTopicOrPartition)
		case l.Err != nil && !errors.Is(l.Err, kerr.OffsetOutOfRange) && !errors.Is(l.Err, ErrSilent):
			// Else the log begins behind it, or ends before.
			return nil, fmt.Errorf("%s: %w", p, l.Err)
		}
	}
	return found, nil
}
