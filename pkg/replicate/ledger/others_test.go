package ledger

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// crowd is a cluster of two brokers where ledgers of many flows stand, the requests that it
// was sent, and a look at it.
type crowd struct {
	client   *kgo.Client
	others   *Others
	requests atomic.Int32
}

func ledgerName(n int) string { return fmt.Sprintf("__replicator.from-%02d.to", n) }

func crowdOf(t *testing.T, ledgers int) (context.Context, *crowd) {
	t.Helper()
	fake := kafkatest.Start(t, kfake.NumBrokers(2))
	for n := range ledgers {
		fake.Topic(ledgerName(n), 4)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	others, err := OpenOthers(kafka.Config{Name: "new", Properties: fake.Properties()})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{client: fake.Writer(), others: others}
	t.Cleanup(c.others.Close)
	fake.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		c.requests.Add(1)
		return nil, nil, false
	})
	return ctx, c
}

// put appends a record to each ledger's partition.
func (c *crowd) put(ctx context.Context, t *testing.T, ledgers int, partition int32, of func(n int) Record) {
	t.Helper()
	var records []*kgo.Record
	for n := range ledgers {
		r := of(n)
		records = append(records, &kgo.Record{Topic: ledgerName(n), Partition: partition, Key: r.Key, Value: r.Value})
	}
	if err := c.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// asked counts the requests that a look takes.
func (c *crowd) asked(look func()) int32 {
	c.requests.Store(0)
	look()
	return c.requests.Load()
}

// However many ledgers stand on a cluster, and however long they are, they are read with a
// handful of requests.
func TestManyLedgersAreReadTogether(t *testing.T) {
	const many = 40
	ctx, c := crowdOf(t, many)
	c.put(ctx, t, many, 0, func(n int) Record {
		return NoteRecord(IdentityName, EncodeIdentity(Identity{From: fmt.Sprint(n), To: "to"}))
	})
	state := func(n, partition int) Record {
		key := Key{Topic: chunk.TopicID{byte(n + 1)}, Partition: chunk.Partition{Topic: "orders", Number: int32(partition)}}
		p, err := NewShard().Prepare([]Change{{Key: key, Header: Header{TargetTopic: chunk.TopicID{100, byte(n)}}}})
		if err != nil {
			t.Fatal(err)
		}
		return p.Records[len(p.Records)-1]
	}
	for partition := range 4 {
		c.put(ctx, t, many, int32(partition), func(n int) Record { return state(n, partition) })
	}
	var names []string
	for n := range many {
		names = append(names, ledgerName(n))
	}
	look := func() {
		t.Helper()
		standing, err := c.others.Look(ctx)
		if err != nil || len(standing.Ledgers) != many {
			t.Fatalf("%d ledgers are found, %v, want %d", len(standing.Ledgers), err, many)
		}
		for n, l := range standing.Ledgers {
			if l.Err != nil || l.Identity == nil || l.Identity.From != fmt.Sprint(n) || !l.Begun {
				t.Fatalf("ledger %d is read as %+v", n, l)
			}
		}
	}
	fill := func() {
		t.Helper()
		fills, err := c.others.Fills(ctx, names)
		if err != nil {
			t.Fatal(err)
		}
		for n, name := range names {
			if !fills[name][chunk.TopicID{100, byte(n)}] || len(fills[name]) != 1 {
				t.Fatalf("ledger %s is about %v", name, fills[name])
			}
		}
	}
	// Twelve and seven were counted; each ledger by itself takes hundreds.
	if n := c.asked(look); n > 20 {
		t.Errorf("the first look takes %d requests", n)
	}
	if n := c.asked(fill); n > 20 {
		t.Errorf("what the ledgers fill takes %d requests", n)
	}
	// What is longer than one answer is read to its end, and does not keep the others.
	long := bytes.Repeat([]byte("x"), 300<<10)
	for range 3 {
		c.put(ctx, t, 1, 0, func(int) Record { return NoteRecord("long", long) })
	}
	c.put(ctx, t, 2, 0, func(n int) Record { return NoteRecord("last", []byte("word")) })
	standing, err := c.others.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if got := string(standing.Ledgers[n].Notes["last"]); got != "word" {
			t.Errorf("ledger %d: the last note is %q", n, got)
		}
	}
	if n := c.asked(look); n > 12 {
		t.Errorf("a look at nothing new takes %d requests", n)
	}
}
