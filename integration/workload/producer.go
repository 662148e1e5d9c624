package workload

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProducerSpec says how a live producer works.
type ProducerSpec struct {
	Seed          uint64
	Rate          int    // records a second
	From          int    // number of the first record
	Transactional string // the transactional id; empty writes without transactions
	AbortEvery    int    // every so many transactions one is aborted; 0 never
}

// Produced is what a live producer wrote, in records.
type Produced struct {
	Acked       int64           // visible: acknowledged, and committed if transactional
	Aborted     int64           // acknowledged, then aborted
	ByPartition map[int32]int64 // of the acked ones
	Next        int             // the number that the next record would have had
}

const producerTick = 20 * time.Millisecond // also the length of a transaction

// Producer writes numbered records until it is stopped.
type Producer struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	produced Produced
	err      error
}

// StartProducer begins to write to all partitions of a topic. Stop must be called.
func StartProducer(ctx context.Context, bootstrap, topic string, spec ProducerSpec) (*Producer, error) {
	if spec.Rate < 1 {
		return nil, fmt.Errorf("%w: rate %d; at least 1", errSpec, spec.Rate)
	}
	client, err := newProducer(bootstrap, spec.Transactional, kgo.ManualFlushing())
	if err != nil {
		return nil, err
	}
	count, err := partitions(ctx, client, topic)
	if err != nil {
		client.Close()
		return nil, err
	}
	stopping, cancel := context.WithCancel(ctx)
	p := &Producer{cancel: cancel, ended: make(chan struct{}), produced: Produced{ByPartition: map[int32]int64{}}}
	l := &liveProducer{client: client, topic: topic, spec: spec, partitions: count, report: p,
		number: spec.From}
	p.produced.Next = spec.From
	go func() {
		defer close(p.ended)
		defer client.Close()
		err := l.run(ctx, stopping)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
	}()
	return p, nil
}

// Stop lets the producer finish what it began and says what it wrote.
func (p *Producer) Stop() (Produced, error) {
	p.cancel()
	<-p.ended
	return p.So(), p.err
}

// So says what has been written up to now.
func (p *Producer) So() Produced {
	p.mu.Lock()
	defer p.mu.Unlock()
	so := p.produced
	so.ByPartition = maps.Clone(so.ByPartition)
	return so
}

type liveProducer struct {
	client     *kgo.Client
	topic      string
	spec       ProducerSpec
	partitions int
	report     *Producer

	number, transactions int
}

// run writes what is due at each tick. ctx ends it hard, stopping between ticks.
func (l *liveProducer) run(ctx, stopping context.Context) error {
	random := newRand(l.spec.Seed)
	began := time.Now()
	ticker := time.NewTicker(producerTick)
	defer ticker.Stop()
	for {
		select {
		case <-stopping.Done():
			return nil
		case <-ticker.C:
		}
		due := l.spec.From + int(time.Since(began).Seconds()*float64(l.spec.Rate))
		n := min(due-l.number, max(1, l.spec.Rate)) // after a pause, at most a second's worth at once
		if n <= 0 {
			continue
		}
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{
				Partition: int32(random.IntN(l.partitions)),
				Key:       fmt.Appendf(nil, "live-%d", l.number),
				Value:     document(random, l.number, 100),
			}
			l.number++
		}
		if err := l.write(ctx, records); err != nil {
			return fmt.Errorf("live producer: %w", err)
		}
	}
}

func (l *liveProducer) write(ctx context.Context, records []*kgo.Record) error {
	aborted := false
	if l.spec.Transactional != "" {
		l.transactions++
		aborted = l.spec.AbortEvery > 0 && l.transactions%l.spec.AbortEvery == 0
		if err := l.client.BeginTransaction(); err != nil {
			return err
		}
	}
	if err := produce(ctx, l.client, l.topic, records); err != nil {
		return err
	}
	if l.spec.Transactional != "" {
		if err := l.client.EndTransaction(ctx, kgo.TransactionEndTry(!aborted)); err != nil {
			return fmt.Errorf("end transaction: %w", err)
		}
	}
	p := l.report
	p.mu.Lock()
	defer p.mu.Unlock()
	p.produced.Next = l.number
	if aborted {
		p.produced.Aborted += int64(len(records))
		return nil
	}
	p.produced.Acked += int64(len(records))
	for _, r := range records {
		p.produced.ByPartition[r.Partition]++
	}
	return nil
}
