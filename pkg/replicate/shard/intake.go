package shard

import (
	"context"
	"math"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/txlimit"
)

// reader is the door in. Next returns what has arrived; what it returns is
// valid until the next call. After an error only Close may be called.
type reader interface {
	Assign([]chunk.Position) error
	Next(context.Context, source.Limit) (chunk.Chunk, error)
	Close() error
}

const (
	readBytes   = 1 << 20 // one call of Next: what is read is written while more arrives
	readRecords = 2000
	// readBatches is the same in the batch lane, in bytes of each partition: each may want a request for every few KB.
	readBatches = 256 << 10
	// idleWait bounds how long a worker without news takes to notice new partitions.
	idleWait = 250 * time.Millisecond

	transactionRecords = 50_000 // in the record lane; small records cost more than their bytes
)

// intake is what comes from the source, and what of it the last transaction had no room for.
type intake struct {
	in      reader
	size    *txlimit.Size
	limit   source.Limit // of one call of Next
	records int          // most of one transaction
	kept    chunk.Chunk  // had no room; valid until more is read
}

func newIntake(in reader, size *txlimit.Size, inBatches bool) *intake {
	i := &intake{in: in, size: size, limit: source.Limit{Records: readRecords, Bytes: readBytes},
		records: transactionRecords}
	if inBatches {
		i.limit.Bytes, i.records = readBatches, math.MaxInt
	}
	return i
}

// assign has other partitions read on, from there.
func (i *intake) assign(positions []chunk.Position) error {
	i.kept = chunk.Chunk{}
	return i.in.Assign(positions)
}

// next is what was kept, or else what comes next, perhaps nothing.
func (i *intake) next(ctx context.Context, wait time.Duration) (c chunk.Chunk, err error) {
	c, i.kept = i.kept, chunk.Chunk{}
	if len(c.Parts) > 0 {
		return c, nil
	}
	limit := i.limit
	limit.Bytes, limit.Wait = i.size.Limit(limit.Bytes), wait
	return i.in.Next(ctx, limit)
}

// fit is what of a chunk a transaction has room for that holds so many bytes; what it has not is kept.
func (i *intake) fit(c chunk.Chunk, held int) (now chunk.Chunk) {
	now, i.kept = i.size.Split(c, held)
	return now
}

// keep has a chunk come next.
func (i *intake) keep(c chunk.Chunk) { i.kept = c }

// full says whether a transaction that holds so much takes no more.
func (i *intake) full(total *chunk.Chunk) bool {
	return total.Records >= i.records || i.size.Full(total.Bytes) || len(i.kept.Parts) > 0
}
