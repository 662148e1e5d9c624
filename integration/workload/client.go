package workload

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	pollEvery = 100 * time.Millisecond
	atOnce    = 5000 // records; a client that flushes by hand refuses more than 10,000
)

// Written counts what a call wrote, in records.
type Written struct {
	Visible      int // what a read_committed reader sees before any compaction
	Aborted      int
	Transactions int // committed and aborted
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) }

// awayWithin is how long a broker may be away until another one, or it again, does its
// work: that of a group's or a transaction's coordinator too.
const awayWithin = 2 * time.Minute

func newClient(bootstrap string, opts ...kgo.Opt) (*kgo.Client, error) {
	all := append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ClientID("workload"),
		kgo.MetadataMinAge(pollEvery), // topics are new here, and should be found at once
		kgo.AlwaysRetryEOF(),          // a broker that was taken away, not one that speaks another protocol
		kgo.RetryTimeout(awayWithin), kgo.RequestRetries(math.MaxInt),
	}, opts...)
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", bootstrap, err)
	}
	return client, nil
}

// newProducer opens a client that writes each record to the partition it names;
// id is its transactional id, empty for none. It has no delivery timeout: kgo
// counts that from a record's timestamp, which may be old on purpose here.
func newProducer(bootstrap, id string, opts ...kgo.Opt) (*kgo.Client, error) {
	all := []kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}
	if id != "" {
		all = append(all, kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute))
	}
	return newClient(bootstrap, append(all, opts...)...)
}

// Produce writes records as they are, each to the partition it names, without a
// transaction.
func Produce(ctx context.Context, bootstrap, topic string, records ...*kgo.Record) error {
	client, err := newProducer(bootstrap, "", kgo.ManualFlushing())
	if err != nil {
		return err
	}
	defer client.Close()
	return produce(ctx, client, topic, records)
}

// produce waits until all records are acknowledged. Through a client that flushes
// by hand they travel together: no request of theirs overtakes another, so that
// a broker that answers the first one of a transaction with "retry" does not then
// see the second one out of sequence.
func produce(ctx context.Context, client *kgo.Client, topic string, records []*kgo.Record) error {
	for _, r := range records {
		r.Topic = topic
	}
	for some := range slices.Chunk(records, atOnce) {
		var first kgo.FirstErrPromise
		for _, r := range some {
			client.Produce(ctx, r, first.Promise())
		}
		err := client.Flush(ctx)
		if err == nil { // else not all promises are kept, and first would wait for them
			err = first.Err()
		}
		if err != nil {
			return fmt.Errorf("produce to %s: %w", topic, err)
		}
	}
	return nil
}

// partitions says how many partitions a topic has.
func partitions(ctx context.Context, client *kgo.Client, topic string) (int, error) {
	meta, err := kadm.NewClient(client).Metadata(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("metadata of %s: %w", topic, err)
	}
	t := meta.Topics[topic]
	if t.Err != nil {
		return 0, fmt.Errorf("metadata of %s: %w", topic, t.Err)
	}
	return len(t.Partitions), nil
}

// poll calls f until it is true, fails, or the context ends.
func poll(ctx context.Context, f func() (bool, error)) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if ok, err := f(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
