package shard

import (
	"context"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/sink"
)

// Writer is the door out: one transaction is Begin, Write (any number of times; Push
// says that no more is at hand), AwaitAcks, Commit. After an error only Close may be called, and nothing is known
// of the transaction: Init of another writer settles it, then the ledger tells.
type Writer interface {
	Init(context.Context) error
	ProducerID() int64 // that the target knows the next transaction's batches by; -1: it does not tell
	Begin() error
	Write(ctx context.Context, part chunk.Part, topic string) error
	Push(context.Context) error
	AwaitAcks(context.Context) ([]sink.Acked, error)
	Commit(context.Context, []chunk.LedgerRecord) ([]int64, error)
	Close()
}

// ordersEvery is how often a shard with an undecided cut checks for an order.
const ordersEvery = 2 * time.Second

// transactions are those of a session's writer: each ends with records for the ledger, which are applied to the book
// and published with its commit.
type transactions struct {
	flow      *Flow
	shard     int
	out       Writer
	book      *ledger.Shard
	published *published.Shard
	seen      *seenNotes

	ledgerEnd int64     // where the ledger partition ends, by what this session has read and written
	asked     time.Time // when the target was last asked for that
}

// begin starts a transaction for records. The first one under a producer id comes
// after the claim of that id is committed; the target may hand out another id with
// every commit (KIP-890).
func (t *transactions) begin(ctx context.Context) error {
	for id := t.out.ProducerID(); id >= 0 && !t.book.Claims(id); id = t.out.ProducerID() {
		if err := t.write(ctx, t.book.PrepareClaim(id, time.Now())); err != nil {
			return err
		}
	}
	return t.out.Begin()
}

// write commits ledger records in a transaction of their own.
func (t *transactions) write(ctx context.Context, p *ledger.Prepared) error {
	if err := t.out.Begin(); err != nil {
		return err
	}
	return t.commit(ctx, p)
}

// commit commits ledger records, with all that was written since begin.
func (t *transactions) commit(ctx context.Context, p *ledger.Prepared) error {
	t.seen.join(p)
	err := t.published.Commit(ctx, p, func() ([]int64, error) {
		begun := time.Now()
		at, err := t.out.Commit(ctx, p.Records)
		if err != nil {
			return nil, t.flow.Target.Explain(err)
		}
		if n := len(at); n > 0 {
			t.ledgerEnd = at[n-1] + 2 // and the transaction's marker
		}
		t.flow.Metrics.Commit(t.flow.Name, time.Since(begun))
		return at, nil
	})
	if err == nil {
		t.seen.committed()
	}
	return err
}

// overtaken ends a session whose ledger partition somebody else has written to: an order about a cut shuts the shard's
// producer out, which one that has nothing to write would not notice.
func (t *transactions) overtaken(ctx context.Context) error {
	if time.Since(t.asked) < ordersEvery {
		return nil
	}
	t.asked = time.Now()
	end, err := t.flow.targetEnd(ctx, t.flow.Cfg.LedgerTopic(), int32(t.shard))
	if err != nil {
		return err
	}
	if int64(end) > t.ledgerEnd {
		return errAgain
	}
	return nil
}
