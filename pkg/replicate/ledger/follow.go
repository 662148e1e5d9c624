package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
	"replicator/pkg/replicate/listoffsets"
)

// Follower keeps what a ledger says that others write, and reads on what is new. It belongs to one goroutine; only
// Segment may be called from any.
type Follower struct {
	*Reader
	ends  *listoffsets.Client
	id    chunk.TopicID // of the topic that was read
	parts []followed    // by partition; none: there is no ledger
}

// followed is one ledger partition.
type followed struct {
	next int64 // offset to read on from
	read *assembly
	book *Shard // what was read; nil: to be put together anew
}

// OpenFollower opens a follower of a ledger topic; ends asks its cluster, and stays the caller's. Nothing is connected
// yet.
func OpenFollower(cluster kafka.Config, topic string, ends *listoffsets.Client) (*Follower, error) {
	reader, err := OpenReader(cluster, topic)
	if err != nil {
		return nil, err
	}
	return &Follower{Reader: reader, ends: ends}, nil
}

// ReadOn reads what was committed since it was called last: all of it, or it is an error. A topic that is not there
// says nothing.
func (f *Follower) ReadOn(ctx context.Context) error {
	stable, err := f.ends.Stable(ctx, []string{f.topic})
	if err != nil {
		return err
	}
	logs, err := glance.ReadAll(ctx, f.client, []string{f.topic}, func(l *glance.Log) { f.setup(l, stable) })
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		f.parts = nil
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = f.cluster.Denied("Read", "topic "+f.topic, err)
	}
	if err != nil {
		f.parts = nil // the topic may be another one by now
		return fmt.Errorf("read ledger %s: %w", f.topic, err)
	}
	var unknown error // less than all that was committed must not be taken for all
	for _, l := range logs {
		if err := endOf(l, stable); err != nil {
			unknown = fmt.Errorf("read ledger %s: the end of partition %d is not known: %w", f.topic, l.Number, err)
		}
		part := &f.parts[l.Number]
		if l.At > part.next {
			part.next, part.book = l.At, nil
		}
	}
	for n := range f.parts {
		if part := &f.parts[n]; part.book == nil {
			if part.book, err = part.read.shard(); err != nil {
				f.parts = nil
				return fmt.Errorf("ledger %s/%d: %w", f.topic, n, err)
			}
		}
	}
	return unknown
}

// setup says how a partition is read on: up to its last stable offset, as was asked before.
func (f *Follower) setup(l *glance.Log, stable listoffsets.Offsets) {
	if l.ID != f.id {
		f.id, f.parts = l.ID, nil
	}
	for int(l.Number) >= len(f.parts) {
		f.parts = append(f.parts, followed{read: newAssembly()})
	}
	part := &f.parts[l.Number]
	l.Committed, l.Take = true, part.read.take
	l.At = max(l.At, part.next)
	if endOf(l, stable) != nil {
		l.End = l.At
		return
	}
	l.End = min(l.End, stable[chunk.Partition{Topic: l.Topic, Number: l.Number}].Offset)
}

// endOf says why it was not told where a partition ends.
func endOf(l *glance.Log, stable listoffsets.Offsets) error {
	end, known := stable[chunk.Partition{Topic: l.Topic, Number: l.Number}]
	if !known {
		return kerr.UnknownTopicOrPartition // as it was when that was asked
	}
	return end.Err
}

// State is what the ledger says of a partition of the topic that has that id at the flow's source, and the ledger
// partition that says so; nil: nothing.
func (f *Follower) State(topic chunk.TopicID, p chunk.Partition) (*State, int32) {
	if len(f.parts) == 0 {
		return nil, 0
	}
	shard := p.Shard(len(f.parts))
	book := f.parts[shard].book
	if book == nil {
		return nil, 0
	}
	return book.State(book.KeyOf(topic, p)), int32(shard)
}
