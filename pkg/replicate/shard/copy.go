package shard

import (
	"context"
	"log/slog"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/quarantine"
	"replicator/pkg/replicate/txlimit"
	"replicator/pkg/replicate/wait"
)

const (
	littleBytes = 1 << 20 // less in half a commit interval is committed then: it is seen sooner
	// progressEvery is how often progress alone is committed: a shard that copies nothing should write next to nothing.
	progressEvery = 5 * time.Second
	// progressSoon is when that is committed after records: markers that trail them keep others waiting for lag 0.
	progressSoon = time.Second
)

// copier moves what was read to the target in transactions, each with the map and the progress of its records.
type copier struct {
	flow         *Flow
	log          *slog.Logger
	retry        *wait.Retry
	quarantine   *quarantine.Partitions
	size         *txlimit.Size
	published    *published.Shard
	book         *ledger.Shard
	assigned     *assignment
	intake       *intake
	transactions *transactions
	cuts         *cutFinder
	foreign      *foreignRecords

	committed time.Time // when progress was last committed, or found to be none
	trailing  bool      // it was committed with records
}

// copy copies in one transaction, which begins with what has arrived already. ctx says whether to gather more; finish
// is for what must not be left half done.
func (c *copier) copy(ctx, finish context.Context, read chunk.Chunk) error {
	begun := time.Now()
	var total chunk.Chunk
	err := c.transact(ctx, finish, read, &total)
	if err != nil && finish.Err() == nil {
		c.size.Failed(total.Bytes, time.Since(begun), err)
	}
	return err
}

// transact is one transaction; total is what it holds so far.
func (c *copier) transact(ctx, finish context.Context, read chunk.Chunk, total *chunk.Chunk) error {
	begun := time.Now()
	if err := c.transactions.begin(finish); err != nil {
		return err
	}
	if err := c.gather(ctx, finish, read, total, begun.Add(c.flow.Cfg.CommitInterval)); err != nil {
		return err
	}
	acked, err := c.transactions.out.AwaitAcks(finish)
	if err != nil {
		return c.flow.Target.Explain(err)
	}
	if err := c.sameTopics(finish, acked); err != nil {
		return err
	}
	if err := c.commit(finish, acked); err != nil {
		return err
	}
	c.trailing = true
	c.size.Committed(total.Bytes, time.Since(begun))
	c.flow.Metrics.Committed(c.flow.Name, *total, time.Since(begun))
	c.flow.CopiedBytes.Add(int64(total.Bytes))
	c.flow.Pace.Spent(time.Now(), total.Bytes)
	c.retry.Reset()
	return c.assigned.stopAt()
}

// gather writes what has arrived, and what arrives until the transaction is full or its time is over.
func (c *copier) gather(ctx, finish context.Context, read chunk.Chunk, total *chunk.Chunk, deadline time.Time) (
	err error) {
	onlyWaits := c.assigned.reached(c.flow.Goal.Now())
	for {
		read = c.intake.fit(read, total.Bytes)
		total.Records += read.Records
		total.Bytes += read.Bytes
		if err := c.write(finish, read); err != nil {
			return err
		}
		left := time.Until(deadline)
		if total.Bytes < littleBytes { // no backlog that a longer transaction would make cheaper
			left -= c.flow.Cfg.CommitInterval / 2
		}
		if left <= 0 || ctx.Err() != nil || c.endsWith(read, total, onlyWaits) {
			return nil
		}
		if read, err = c.intake.next(ctx, min(left, idleWait)); err != nil {
			return err
		}
		if c.assigned.interrupts(read) {
			c.intake.keep(read)
			return nil
		}
		if err = c.cuts.compareLast(finish, c.assigned, read); err != nil {
			return err // records are written by now: at least once, they stay there
		}
	}
}

// endsWith says whether a transaction of that total ends with what was read last, before its time is over.
func (c *copier) endsWith(read chunk.Chunk, total *chunk.Chunk, onlyWaits bool) bool {
	switch {
	case c.intake.full(total):
		return true // it takes no more, or what comes next has no room in it
	case c.paid(total):
		return true // the bound allows no more for now
	case !c.flow.CatchUp:
		return false // a daemon uses its time: fewer commits for as many records
	case read.Records == 0:
		return true // nothing more is at hand: whoever waits for a one-off copy wants to see this now
	case onlyWaits:
		return false // for other shards: there is no end to hurry to
	}
	return c.assigned.reached(c.flow.Goal.Now()) // with this, the one-off copy is over here
}

// paid says whether a transaction holds what the flow's bound allows for its time.
func (c *copier) paid(total *chunk.Chunk) bool {
	most := c.flow.Pace.Most(time.Now(), c.flow.Cfg.CommitInterval)
	return most > 0 && total.Bytes >= most
}

// write sends a chunk's records on, and notes the progress that they make.
func (c *copier) write(ctx context.Context, read chunk.Chunk) error {
	for _, part := range read.Parts {
		r := c.assigned.routes[part.Partition]
		if r == nil || r.stopAt != nil {
			continue
		}
		r.endBeforeRefused(&part)
		r.endBeforeUncarried(&part)
		if !part.Empty() {
			if err := c.transactions.out.Write(ctx, part, r.topic.Target); err != nil {
				return err
			}
			r.written = true
			r.newest = part.Newest
			r.bytes += int64(part.Bytes())
		}
		c.assigned.advance(r, &part)
	}
	return c.transactions.out.Push(ctx)
}

// note takes over progress that comes without records.
func (c *copier) note(read chunk.Chunk) {
	for _, part := range read.Parts {
		if r := c.assigned.routes[part.Partition]; r != nil && r.stopAt == nil {
			c.assigned.advance(r, &part)
			c.published.Progress(part.Partition, part.Next)
		}
	}
}
