package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MixedSpec says what [Mixed] writes.
type MixedSpec struct {
	Seed       uint64
	Records    int // visible and aborted together
	Partitions int
	From       int // the number of the first record, to go on where an earlier call ended
}

const (
	transactionalProducers = 3
	largestTransaction     = 60
	largestBurst           = 16
)

// Mixed writes transactional data: three transactional producers and a plain one
// take turns in bursts, so that their transactions overlap in every partition. A
// transaction has 1 to 60 records; one in five of each producer's is aborted.
// The topic must exist.
func Mixed(ctx context.Context, bootstrap, topic string, spec MixedSpec) (Written, error) {
	m := &mixer{spec: spec, topic: topic, random: newRand(spec.Seed)}
	defer m.close()
	for i := range transactionalProducers + 1 {
		id := ""
		if i < transactionalProducers {
			id = fmt.Sprintf("workload.%s.%d", topic, i)
		}
		client, err := newProducer(bootstrap, id, kgo.ManualFlushing())
		if err != nil {
			return m.written, err
		}
		m.writers = append(m.writers, &writer{client: client, transactional: id != ""})
	}
	if err := m.run(ctx); err != nil {
		return m.written, fmt.Errorf("mixed data for %s: %w", topic, err)
	}
	return m.written, nil
}

// writer is one producer; left is what its open transaction still lacks.
type writer struct {
	client        *kgo.Client
	transactional bool
	left, held    int
	fates         []bool // of its coming transactions: true is abort
}

type mixer struct {
	spec    MixedSpec
	topic   string
	random  *rand.Rand
	writers []*writer
	number  int
	written Written
}

func (m *mixer) close() {
	for _, w := range m.writers {
		w.client.Close()
	}
}

func (m *mixer) run(ctx context.Context) error {
	for m.number < m.spec.Records {
		w := m.writers[m.random.IntN(len(m.writers))]
		if err := m.burst(ctx, w); err != nil {
			return err
		}
	}
	for _, w := range m.writers {
		if err := m.end(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// burst writes a few records through one producer and waits for them, so that
// the order of producers in the log is the one decided here.
func (m *mixer) burst(ctx context.Context, w *writer) error {
	if w.transactional && w.left == 0 {
		if err := w.client.BeginTransaction(); err != nil {
			return err
		}
		w.left = 1 + m.random.IntN(largestTransaction)
	}
	n := min(1+m.random.IntN(largestBurst), m.spec.Records-m.number)
	if w.transactional {
		n = min(n, w.left)
	}
	records := make([]*kgo.Record, n)
	home := m.random.IntN(max(1, m.spec.Partitions)) // or every transaction would touch every partition
	for i := range records {
		records[i] = m.record(home)
	}
	if err := produce(ctx, w.client, m.topic, records); err != nil {
		return err
	}
	if !w.transactional {
		m.written.Visible += n
		return nil
	}
	w.held += n
	if w.left -= n; w.left == 0 {
		return m.end(ctx, w)
	}
	return nil
}

// end closes the open transaction of a producer, if it has one.
func (m *mixer) end(ctx context.Context, w *writer) error {
	if w.held == 0 {
		return nil
	}
	if len(w.fates) == 0 {
		w.fates = make([]bool, 5)
		w.fates[m.random.IntN(5)] = true
	}
	abort := w.fates[0]
	w.fates = w.fates[1:]
	if err := w.client.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
		return fmt.Errorf("end transaction: %w", err)
	}
	if m.written.Transactions++; abort {
		m.written.Aborted += w.held
	} else {
		m.written.Visible += w.held
	}
	w.left, w.held = 0, 0
	return nil
}

// record makes the next record, mostly for the partition given.
func (m *mixer) record(partition int) *kgo.Record {
	number := m.spec.From + m.number
	m.number++
	if m.random.IntN(4) == 0 {
		partition = m.random.IntN(max(1, m.spec.Partitions))
	}
	r := &kgo.Record{
		Partition: int32(partition),
		Key:       []byte("key-" + strconv.Itoa(m.random.IntN(500))),
		Value:     document(m.random, number, 40+m.random.IntN(400)),
	}
	if number%10 == 0 {
		r.Key = nil
	}
	if number%3 == 0 {
		r.Headers = []kgo.RecordHeader{{Key: "number", Value: strconv.AppendInt(nil, int64(number), 10)}}
	}
	return r
}

// document is a JSON object of about the given size in bytes, never less than
// its number takes; about half of it compresses.
func document(random *rand.Rand, number, size int) []byte {
	b := make([]byte, 0, size+48)
	b = append(b, `{"number":`...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, `,"customer":"customer-`...)
	b = strconv.AppendInt(b, int64(number%977), 10)
	b = append(b, `","state":"open","text":"`...)
	head := len(b)
	for len(b) < size-2 {
		b = strconv.AppendUint(b, random.Uint64(), 16)
		b = append(b, " some words that repeat "...)
	}
	b = b[:max(head, min(len(b), size-2))]
	return append(b, `"}`...)
}

// errSpec reports a specification that cannot be written.
var errSpec = errors.New("workload: bad specification")
