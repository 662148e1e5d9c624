package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// WriteNotes writes notes to one ledger partition, from outside of the shard that
// owns it: they take no part in its transactions, and fence nobody. It needs no right
// but that on the topic; a note that is written twice says the same.
func WriteNotes(ctx context.Context, target kafka.Config, topic string, partition int32, notes []Record) error {
	client, err := openProducer(target, topic, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, onto(partition, notes)...).FirstErr(); err != nil {
		return fmt.Errorf("write to ledger %s/%d: %w", topic, partition, err)
	}
	return nil
}

// WriteInShard is FenceAndWrite to the ledger of a flow, under the transactional id of one of its shards. Errors are
// explained.
func WriteInShard(ctx context.Context, target kafka.Config, flow *settings.Config, shard int, records []Record) error {
	number := int32(shard)
	err := FenceAndWrite(ctx, target, flow.LedgerTopic(), flow.TransactionalID(number), number, records)
	if err != nil {
		return target.ExplainTransactions(flow.GroupID()+".", err)
	}
	return nil
}

// FenceAndWrite writes records to one ledger partition in one transaction, under the
// transactional id of the shard: whoever has worked under it is fenced first, and
// what it left open is settled. It is for commands that take a shard in hand while no
// worker should. After an error the same call settles what this one left.
func FenceAndWrite(ctx context.Context, target kafka.Config, topic, transactionalID string, partition int32,
	records []Record) error {
	var err error
	for _, lasts := range []time.Duration{fencedLasts, fencedLasts / 10} { // a target may take no more
		err = fenceAndWrite(ctx, target, topic, transactionalID, partition, records, lasts)
		if !errors.Is(err, kerr.InvalidTransactionTimeout) {
			break
		}
	}
	return err
}

// fencedLasts is how long the target lets the transaction of [FenceAndWrite] be open.
const fencedLasts = 40 * time.Second

func fenceAndWrite(ctx context.Context, target kafka.Config, topic, transactionalID string, partition int32,
	records []Record, lasts time.Duration) error {
	client, err := openProducer(target, topic, kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(lasts))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("take ledger %s/%d: %w", topic, partition, err)
	}
	err = client.ProduceSync(ctx, onto(partition, records)...).FirstErr()
	end := client.EndTransaction(ctx, kgo.TransactionEndTry(err == nil))
	if err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("take ledger %s/%d: %w", topic, partition, err)
	}
	return nil
}

// Fence ends, for each transactional id, what was left open under it, and fences
// whoever works under it.
func Fence(ctx context.Context, target kafka.Config, transactionalIDs []string) error {
	for _, id := range transactionalIDs {
		client, err := kafka.NewFranz(target, kgo.TransactionalID(id))
		if err != nil {
			return err
		}
		_, _, err = client.ProducerID(ctx)
		client.Close()
		if err != nil {
			return fmt.Errorf("shut out %s: %w", id, err)
		}
	}
	return nil
}

func openProducer(target kafka.Config, topic string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kafka.NewFranz(target, append([]kgo.Opt{
		kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}, opts...)...)
}

// onto makes Kafka records for one partition.
func onto(partition int32, records []Record) []*kgo.Record {
	list := make([]*kgo.Record, len(records))
	for i, r := range records {
		list[i] = &kgo.Record{Partition: partition, Key: r.Key, Value: r.Value}
	}
	return list
}
