package judge

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pair is two fake clusters, and what the tests do to them.
type pair struct {
	t      *testing.T
	ctx    context.Context
	sides  Sides
	source *kgo.Client
	target *kgo.Client
}

func newPair(t *testing.T) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &pair{t: t, ctx: ctx}
	for _, side := range []struct {
		bootstrap *string
		client    **kgo.Client
	}{{&p.sides.Source, &p.source}, {&p.sides.Target, &p.target}} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		*side.bootstrap = cluster.ListenAddrs()[0]
		client, err := kgo.NewClient(kgo.SeedBrokers(*side.bootstrap), kgo.TransactionalID("test"),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		*side.client = client
	}
	return p
}

func (p *pair) topic(client *kgo.Client, name string, partitions int32) {
	p.t.Helper()
	if _, err := kadm.NewClient(client).CreateTopic(p.ctx, partitions, 1, nil, name); err != nil {
		p.t.Fatalf("create %s: %v", name, err)
	}
}

// write puts records into partition 0 in transactions of at most perTransaction.
// With noise, an aborted transaction comes before each of them, so that offsets
// on the two sides differ.
func (p *pair) write(client *kgo.Client, topic string, records []*kgo.Record, perTransaction int, noise bool) {
	p.t.Helper()
	for batch := range slices.Chunk(records, perTransaction) {
		if noise {
			p.transaction(client, topic, []*kgo.Record{{Value: []byte("aborted")}, {Value: []byte("aborted")}}, false)
		}
		p.transaction(client, topic, batch, true)
	}
}

func (p *pair) transaction(client *kgo.Client, topic string, records []*kgo.Record, commit bool) {
	p.t.Helper()
	if err := client.BeginTransaction(); err != nil {
		p.t.Fatal(err)
	}
	copies := make([]*kgo.Record, len(records))
	for i, r := range records {
		c := *r
		c.Topic = topic
		copies[i] = &c
	}
	if err := client.ProduceSync(p.ctx, copies...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
	if err := client.EndTransaction(p.ctx, kgo.TransactionEndTry(commit)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) commit(client *kgo.Client, group, topic string, offset int64) {
	p.t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, offset, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(p.ctx, group, offsets); err != nil {
		p.t.Fatalf("commit %s: %v", group, err)
	}
}

// numbered makes n different records with a header each.
func numbered(n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{
			Key:       fmt.Appendf(nil, "key-%d", i),
			Value:     fmt.Appendf(nil, "value-%d", i),
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)),
			Headers:   []kgo.RecordHeader{{Key: "a", Value: fmt.Append(nil, i)}, {Key: "b", Value: []byte{}}},
		}
	}
	return records
}

// with returns a copy in which record i was changed by f.
func with(records []*kgo.Record, i int, f func(r *kgo.Record)) []*kgo.Record {
	changed := slices.Clone(records)
	r := *records[i]
	r.Headers = slices.Clone(r.Headers)
	f(&r)
	changed[i] = &r
	return changed
}

// join returns all parts in one new slice.
func join(parts ...[]*kgo.Record) []*kgo.Record { return slices.Concat(parts...) }
