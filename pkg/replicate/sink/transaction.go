package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wait"
	"replicator/pkg/replicate/wire"
)

// transaction is what a writer says to the target's coordinator, and what makes batches its own.
type transaction struct {
	id       string
	lasts    time.Duration // the longest that the target lets it be open
	client   *kgo.Client
	v2       bool // of the protocol: transaction.version 2, KIP-890
	producer wire.Producer
	began    bool                      // something was sent in it
	begun    time.Time                 // when it was started
	added    map[chunk.Partition]bool  // partitions that the first version's transaction knows
	next     map[chunk.Partition]int32 // sequence
}

// init fences a former owner, and waits until what it left open is settled.
func (t *transaction) init(ctx context.Context) error {
	request := t.initRequest()
	return t.retryWhileBusy(ctx, "take over "+t.id, func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, t.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err == nil {
			t.producer = wire.Producer{ID: answer.ProducerID, Epoch: answer.ProducerEpoch, Transactional: true}
		}
		return err
	})
}

func (t *transaction) initRequest() *kmsg.InitProducerIDRequest {
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID = kmsg.StringPtr(t.id)
	request.TransactionTimeoutMillis = int32(t.lasts.Milliseconds())
	return request
}

// begin starts one. The target learns of it with the first batch.
func (t *transaction) begin() {
	t.began, t.begun = false, time.Now()
	clear(t.added)
	if t.v2 {
		clear(t.next) // every transaction has an epoch of its own, and begins at 0
	}
}

// stamp makes a batch ours and the next in its partition.
func (t *transaction) stamp(at chunk.Partition, batch chunk.Batch) {
	wire.Batch(batch.Raw).Stamp(t.producer, t.next[at])
	t.next[at] = wire.NextSequence(t.next[at], batch.Count)
}

// addPartitions makes the first version's transaction know all partitions that are
// about to be written to. Before it does, nothing may be sent: a batch that comes
// too early is committed with no ledger record to tell of it.
func (t *transaction) addPartitions(ctx context.Context, order []*queue) error {
	t.began = true
	if t.v2 {
		return nil
	}
	var fresh []*queue
	for _, q := range order {
		if len(q.batches) > 0 && !t.added[q.target] {
			fresh = append(fresh, q)
		}
	}
	return t.requestPartitions(ctx, fresh)
}

// requestPartitions names the partitions of queues to the transaction, with AddPartitionsToTxn.
func (t *transaction) requestPartitions(ctx context.Context, queues []*queue) error {
	if len(queues) == 0 {
		return nil
	}
	request := kmsg.NewPtrAddPartitionsToTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch =
		t.id, t.producer.ID, t.producer.Epoch
	at, of := map[string]int{}, map[chunk.Partition]*queue{}
	for _, q := range queues {
		p := q.target
		of[p] = q
		n, ok := at[p.Topic]
		if !ok {
			topic := kmsg.NewAddPartitionsToTxnRequestTopic()
			topic.Topic = p.Topic
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			at[p.Topic] = n
		}
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, p.Number)
		t.added[p] = true
	}
	return t.retryWhileBusy(ctx, "announce partitions", func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, t.client)
		if err != nil {
			return err
		}
		added := 0
		for _, topic := range answer.Topics {
			for _, p := range topic.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				if err == nil {
					added++
				}
				if err == nil || err == kerr.OperationNotAttempted { // another one is to blame
					continue
				}
				q := of[chunk.Partition{Topic: topic.Topic, Number: p.Partition}]
				if q == nil || q.ledger || err == kerr.ConcurrentTransactions {
					return err
				}
				return refused(q.partition, topic.Topic, q.batches[0].First, err)
			}
		}
		if added < len(queues) {
			return fmt.Errorf("the target names %d of %d", added, len(queues))
		}
		return nil
	})
}

// commit commits it. After an error it is not known whether it was committed.
func (t *transaction) commit(ctx context.Context) error {
	if !t.began {
		return nil // the target has heard of nothing that could be committed
	}
	request := kmsg.NewPtrEndTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch, request.Commit =
		t.id, t.producer.ID, t.producer.Epoch, true
	err := t.retryWhileBusy(ctx, "commit", func(ctx context.Context) error {
		answer, err := request.RequestWith(ctx, t.client)
		if err == nil {
			err = kerr.ErrorForCode(answer.ErrorCode)
		}
		if err == nil && t.v2 {
			t.producer.ID, t.producer.Epoch = answer.ProducerID, answer.ProducerEpoch
		}
		return err
	})
	if err == nil {
		t.began = false
	}
	return err
}

// abort ends one that is open, if the target answers soon and nobody has taken over.
func (t *transaction) abort() {
	if !t.began {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callSlice)
	defer cancel()
	request := t.initRequest()
	request.ProducerID, request.ProducerEpoch = t.producer.ID, t.producer.Epoch // KIP-360: ours only
	_, _ = request.RequestWith(ctx, t.client)
}

// noted remembers of an error that another writer has taken over, or that the target
// has ended the transaction: it is not ours to end then.
func (t *transaction) noted(err error) error {
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		return err
	}
	t.began = false
	if took := time.Since(t.begun); took > t.lasts {
		return &Outlived{Took: took, Err: err}
	}
	return err
}

// retryWhileBusy makes a call of the coordinator again while it is busy with the
// transaction before.
func (t *transaction) retryWhileBusy(ctx context.Context, what string, call func(context.Context) error) error {
	if err := repeat(ctx, call); err != nil {
		return fmt.Errorf("%s: %w", what, t.noted(err))
	}
	return nil
}

// repeat does something again while the target is busy with the transaction before.
func repeat(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, blindAfter)
	defer cancel()
	for {
		err := call(ctx)
		if err != kerr.ConcurrentTransactions {
			return err
		}
		if wait.Pause(ctx, busyFor) != nil {
			return err
		}
	}
}
