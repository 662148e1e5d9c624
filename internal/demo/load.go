package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	plainTopic         = "orders"
	transactionalTopic = "payments"

	plainPartitions, transactionalPartitions = 4, 3

	plainRecords      = 3200 // some of them are deleted again
	committedLeast    = 3000 // records of committed transactions
	producers         = 3    // whose transactions lie between each other
	transactionMost   = 60   // records
	abortEvery        = 5    // transactions
	largeEvery        = 400  // plain records
	largeBytes        = 64 << 10
	deletedEach       = 45 // plain records, times the partition's number
	seedHigh, seedLow = 9, 1
)

// topics are those that the demonstration fills.
var topics = []string{plainTopic, transactionalTopic}

// made is what load has written.
type made struct {
	visible            int // records that a committed reader can see
	committed, aborted int // transactions
}

// loader writes to one cluster; the same data every time, but for their time.
type loader struct {
	*side
	dice  *rand.Rand
	base  time.Time
	count int // records made so far: no two are alike
	made
}

// load creates the topics and fills them.
func load(ctx context.Context, s *side) (made, error) {
	l := &loader{side: s, dice: rand.New(rand.NewPCG(seedHigh, seedLow)), base: time.Now().Add(-time.Hour)}
	for topic, partitions := range map[string]int32{
		plainTopic: plainPartitions, transactionalTopic: transactionalPartitions,
	} {
		if _, err := s.admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
			return made{}, fmt.Errorf("create topic %s on %s: %w", topic, s.name, err)
		}
	}
	if err := l.plain(ctx); err != nil {
		return made{}, fmt.Errorf("fill %s: %w", plainTopic, err)
	}
	if err := l.transactional(ctx); err != nil {
		return made{}, fmt.Errorf("fill %s: %w", transactionalTopic, err)
	}
	return l.made, nil
}

// record makes the next record: nulls, empties, headers that repeat, a few large values.
func (l *loader) record(topic string, partitions int) *kgo.Record {
	l.count++
	n := l.count
	r := &kgo.Record{
		Topic: topic, Partition: int32(l.dice.IntN(partitions)),
		Key:       []byte(fmt.Sprintf("customer-%d", l.dice.IntN(500))),
		Value:     []byte(fmt.Sprintf(`{"number":%d,"amount":%d.%02d,"note":"%x"}`, n, n%900, n%100, l.dice.Uint64())),
		Headers:   []kgo.RecordHeader{{Key: "number", Value: []byte(fmt.Sprint(n))}},
		Timestamp: l.base.Add(time.Duration(n) * 37 * time.Millisecond),
	}
	switch {
	case n%7 == 0:
		r.Key = nil
	case n%11 == 0:
		r.Key = []byte{}
	}
	switch {
	case n%13 == 0:
		r.Value = nil
	case n%17 == 0:
		r.Value = []byte{}
	case n%largeEvery == 0:
		r.Value = make([]byte, largeBytes)
		for i := range r.Value {
			r.Value[i] = byte(l.dice.Uint32())
		}
	}
	if n%3 == 0 {
		r.Headers = append(r.Headers,
			kgo.RecordHeader{Key: "trace", Value: []byte{0, 0xff, byte(n)}},
			kgo.RecordHeader{Key: "trace", Value: []byte("again")},
			kgo.RecordHeader{Key: "null"}, kgo.RecordHeader{Key: "", Value: []byte{}})
	}
	return r
}

// plain fills the topic without transactions, then deletes the first records of
// some partitions, as retention does: from there on no offset is the same on
// both sides.
func (l *loader) plain(ctx context.Context) error {
	client, err := l.open(kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer client.Close()
	list := make([]*kgo.Record, plainRecords)
	for i := range list {
		list[i] = l.record(plainTopic, plainPartitions)
	}
	if err := client.ProduceSync(ctx, list...).FirstErr(); err != nil {
		return err
	}
	l.visible += len(list)
	var starts kadm.Offsets
	for number := range int32(plainPartitions) {
		starts.AddOffset(plainTopic, number, int64(deletedEach*number), -1)
		l.visible -= int(deletedEach * number)
	}
	answer, err := l.admin.DeleteRecords(ctx, starts)
	if err != nil {
		return fmt.Errorf("delete the oldest records: %w", err)
	}
	return answer.Error()
}

// transactional lets several producers write transactions that overlap, a part
// of them aborted.
func (l *loader) transactional(ctx context.Context) error {
	var clients [producers]*kgo.Client
	for i := range clients {
		client, err := l.open(kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.TransactionalID(fmt.Sprintf("demo-%d", i)))
		if err != nil {
			return err
		}
		defer client.Close()
		clients[i] = client
	}
	ended := 0
	for visible := 0; visible < committedLeast; {
		var sizes [producers]int
		for i, client := range clients {
			if err := client.BeginTransaction(); err != nil {
				return err
			}
			sizes[i] = 1 + l.dice.IntN(transactionMost)
		}
		for half := range 2 { // every transaction is open while the others write
			for i, client := range clients {
				if err := l.produce(ctx, client, (sizes[i]+half)/2); err != nil {
					return err
				}
			}
		}
		for _, i := range l.dice.Perm(producers) {
			ended++
			if ended%abortEvery == 0 {
				l.aborted++
				if err := clients[i].EndTransaction(ctx, kgo.TryAbort); err != nil {
					return err
				}
				continue
			}
			if err := clients[i].EndTransaction(ctx, kgo.TryCommit); err != nil {
				return err
			}
			l.committed++
			visible += sizes[i]
			l.visible += sizes[i]
		}
	}
	return nil
}

// produce writes some records and waits until the cluster has them.
func (l *loader) produce(ctx context.Context, client *kgo.Client, n int) error {
	list := make([]*kgo.Record, n)
	for i := range list {
		list[i] = l.record(transactionalTopic, transactionalPartitions)
	}
	return client.ProduceSync(ctx, list...).FirstErr()
}
