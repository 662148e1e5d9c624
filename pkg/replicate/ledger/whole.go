package ledger

import (
	"context"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
)

// ShardsError reports a ledger that was made for another number of shards.
type ShardsError struct {
	Ledger     string
	Have, Want int
}

func (e *ShardsError) Error() string {
	return fmt.Sprintf("ledger topic %q has %d partitions, the configuration asks for %d shards", e.Ledger, e.Have, e.Want)
}

// Remedy tells what to do.
func (e *ShardsError) Remedy() string {
	return fmt.Sprintf("set shards: %d; the number is fixed once the ledger topic exists", e.Have)
}

// ledgerPartitions is how many partitions a ledger topic has, which must be readable; 0
// where it is not there.
func ledgerPartitions(ctx context.Context, target kafka.Config, name string) (int, error) {
	client, err := kafka.NewFranz(target)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	seen, err := kafka.Describe(ctx, client, target, []string{name})
	if err != nil {
		return 0, err
	}
	topic, there := seen.Topics[name]
	switch {
	case !there:
		return 0, nil
	case topic.Err != nil:
		return 0, topic.Err
	case !topic.May(kmsg.ACLOperationRead):
		return 0, target.Denied("Read", "topic "+name, nil)
	}
	return topic.Partitions, nil
}

// ReadWhole reads all partitions of a ledger topic, which has one for each shard; none where there is no ledger.
func ReadWhole(ctx context.Context, target kafka.Config, name string, shards int) ([]*Shard, error) {
	return ReadFirst(ctx, target, name, shards, shards)
}

// ReadFirst reads the first n partitions of it.
func ReadFirst(ctx context.Context, target kafka.Config, name string, shards, n int) (books []*Shard, err error) {
	err = readUpTo(ctx, target, name, shards, func(reader *Reader, ends []int64) error {
		books, err = reader.Shards(ctx, ends[:n])
		return err
	})
	return books, err
}

// ReadOne reads one partition of it; nil where there is no ledger.
func ReadOne(ctx context.Context, target kafka.Config, name string, shards int, shard int32) (book *Shard, err error) {
	err = readUpTo(ctx, target, name, shards, func(reader *Reader, ends []int64) error {
		book, err = reader.Shard(ctx, shard, ends[shard])
		return err
	})
	return book, err
}

// readUpTo has a ledger read that has so many partitions, each at least up to where it ends now. Where there is no
// ledger nothing is read.
func readUpTo(ctx context.Context, target kafka.Config, name string, shards int,
	read func(reader *Reader, ends []int64) error) error {
	partitions, err := ledgerPartitions(ctx, target, name)
	switch {
	case err != nil || partitions == 0:
		return err
	case partitions != shards:
		return &ShardsError{Ledger: name, Have: partitions, Want: shards}
	}
	listed, err := endsOf(ctx, target, name)
	if err != nil {
		return err
	}
	ends := make([]int64, shards)
	for shard := range ends {
		if ends[shard], err = listoffsets.OffsetOf(listed, chunk.Partition{Topic: name, Number: int32(shard)}); err != nil {
			return target.Explain(err)
		}
	}
	reader, err := OpenReader(target, name)
	if err != nil {
		return err
	}
	defer reader.Close() // only read
	if err := read(reader, ends); err != nil {
		return fmt.Errorf("ledger %s: %w", name, target.Explain(err))
	}
	return nil
}

// ReadAsItIs reads all partitions of a ledger topic, however many it has; none where it
// is not there. It waits for no open transaction.
func ReadAsItIs(ctx context.Context, target kafka.Config, name string) ([]*Shard, error) {
	return readAsItIs(ctx, target, name, math.MaxInt)
}

// ReadFirstAsItIs is ReadAsItIs of the first partition, which holds what concerns the flow as a whole.
func ReadFirstAsItIs(ctx context.Context, target kafka.Config, name string) (*Shard, error) {
	books, err := readAsItIs(ctx, target, name, 1)
	if err != nil || len(books) == 0 {
		return nil, err
	}
	return books[0], nil
}

func readAsItIs(ctx context.Context, target kafka.Config, name string, most int) ([]*Shard, error) {
	partitions, err := ledgerPartitions(ctx, target, name)
	if err != nil || partitions == 0 {
		return nil, err
	}
	reader, err := OpenReader(target, name)
	if err != nil {
		return nil, err
	}
	defer reader.Close() // only read
	books, err := reader.Shards(ctx, make([]int64, min(partitions, most)))
	if err != nil {
		return nil, target.Explain(err)
	}
	return books, nil
}

// endsOf are the ends of a topic's partitions, open transactions included: a reader
// that has come so far has seen all that was committed before.
func endsOf(ctx context.Context, cluster kafka.Config, topic string) (listoffsets.Offsets, error) {
	client, err := listoffsets.Open(cluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Ends(ctx, []string{topic})
}
