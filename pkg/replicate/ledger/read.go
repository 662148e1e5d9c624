package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
)

const (
	pollSlice = 100 * time.Millisecond
	// connectWait bounds how long a new handle may take to find its brokers before it is used all the same.
	connectWait = time.Second
	// cachedSegments bounds the segments kept in memory after a look into old history: 6 KiB each.
	cachedSegments = 128
	// silence is how long a partition may say nothing: librdkafka does not tell of one that is gone.
	silence = 30 * time.Second
)

// Reader reads ledger partitions. Its methods may be called from any goroutine;
// they take turns.
type Reader struct {
	cluster kafka.Config
	topic   string
	silence time.Duration

	mu       sync.Mutex
	consumer *ck.Consumer
	fresh    bool // it has read nothing yet
	opened   kafka.Credentials
	failed   bool // the last read did
	cache    map[place][]offsets.Run
	order    []place // oldest first
}

// place is where a sealed segment lies.
type place struct {
	partition int32
	offset    int64
}

// OpenReader opens a reader of the ledger topic on the target.
func OpenReader(target kafka.Config, topic string) (*Reader, error) {
	r := &Reader{cluster: target, topic: topic, silence: silence, cache: map[place][]offsets.Run{}}
	return r, r.open()
}

// open opens a handle with the certificates and passwords of the moment.
func (r *Reader) open() (err error) {
	r.opened = r.cluster.Credentials()
	r.consumer, err = openConsumer(r.cluster, r.topic, "read_committed")
	r.fresh = err == nil
	return err
}

// connect lets a new handle find its brokers: where a partition is assigned before,
// librdkafka looks for its leader half a second later. A cluster that is away shows in
// what follows.
func (r *Reader) connect() {
	if r.fresh {
		_, _ = r.consumer.GetMetadata(&r.topic, false, int(connectWait.Milliseconds()))
		r.fresh = false
	}
}

// renew opens another handle where the one that failed holds former certificates or
// passwords.
func (r *Reader) renew() error {
	if r.consumer != nil {
		if !r.failed || r.opened.Renewed() == nil {
			return nil
		}
		_ = r.consumer.Close()
	}
	return r.open()
}

func openConsumer(cluster kafka.Config, topic, isolation string) (*ck.Consumer, error) {
	consumer, err := kafka.NewConsumer(cluster, map[string]any{
		"group.id":                   "replicator.ledger", // a name only: nothing is committed
		"enable.auto.commit":         false,
		"enable.auto.offset.store":   false,
		"enable.partition.eof":       true,
		"isolation.level":            isolation,
		"auto.offset.reset":          "error",
		"fetch.queue.backoff.ms":     10,
		"fetch.wait.max.ms":          10, // the end of a partition is known only when a fetch comes back
		"queued.max.messages.kbytes": 4096,
	})
	if err != nil {
		return nil, fmt.Errorf("open reader of %s: %w", topic, err)
	}
	return consumer, nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.consumer == nil {
		return nil
	}
	return r.consumer.Close()
}

// Shard reads one ledger partition from its beginning to its end, at least up
// to offset `least`. Errors: *VersionError, *Damage, or what the cluster says.
func (r *Reader) Shard(ctx context.Context, partition int32, least int64) (*Shard, error) {
	a := newAssembly()
	err := r.read(ctx, partition, ck.OffsetBeginning, func(m *ck.Message) (bool, error) {
		return false, a.take(m)
	}, least)
	if err != nil {
		return nil, fmt.Errorf("read ledger %s/%d: %w", r.topic, partition, err)
	}
	return a.shard()
}

// Segment reads a sealed segment back: the Load of offsets.Map.
func (r *Reader) Segment(ctx context.Context, partition int32, head offsets.Head) ([]offsets.Run, error) {
	at := place{partition, head.Ledger}
	r.mu.Lock()
	runs, cached := r.cache[at]
	r.mu.Unlock()
	if cached {
		return runs, nil
	}
	err := r.read(ctx, partition, ck.Offset(head.Ledger), func(m *ck.Message) (bool, error) {
		if int64(m.TopicPartition.Offset) != head.Ledger {
			return true, nil
		}
		var err error
		_, runs, err = decodeSeal(m.Value)
		return true, err
	}, head.Ledger+1) // a commit answers before its marker is written: an end at or before the record is not final
	if err == nil && (len(runs) == 0 || runs[0] != head.First) {
		err = fmt.Errorf("segment %d is not where it was written", head.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger %s/%d at %d: %w", r.topic, partition, head.Ledger, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == cachedSegments {
		delete(r.cache, r.order[0])
		r.order = r.order[1:]
	}
	r.cache[at], r.order = runs, append(r.order, at)
	return runs, nil
}

// read hands the records of one partition to take, from an offset on, until take
// has enough or the end is reached, which must be at `least` or later.
func (r *Reader) read(ctx context.Context, partition int32, from ck.Offset,
	take func(*ck.Message) (enough bool, err error), least int64) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.renew(); err != nil {
		return err
	}
	defer func() { r.failed = err != nil }()
	r.connect()
	topic := r.topic
	if err := r.consumer.Assign([]ck.TopicPartition{{Topic: &topic, Partition: partition, Offset: from}}); err != nil {
		return err
	}
	defer func() { _ = kafka.Unassign(r.consumer, err == nil) }()
	for heard := time.Now(); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Since(heard) > r.silence {
			return fmt.Errorf("the partition has said nothing for %s", r.silence)
		}
		switch event := r.consumer.Poll(int(pollSlice.Milliseconds())).(type) {
		case *ck.Message:
			if event.TopicPartition.Error != nil {
				return event.TopicPartition.Error
			}
			if enough, err := take(event); enough || err != nil {
				return err
			}
			heard = time.Now()
		case ck.PartitionEOF:
			if event.Partition == partition && int64(event.Offset) >= least {
				return nil
			}
			heard = time.Now()
		case ck.Error:
			if final(event) {
				return event
			}
			if err := r.opened.Renewed(); err != nil {
				return err
			}
		}
	}
}

// final tells errors that librdkafka does not get over by itself.
func final(err ck.Error) bool {
	switch err.Code() {
	case ck.ErrAutoOffsetReset, ck.ErrOffsetOutOfRange, ck.ErrUnknownTopicOrPart, ck.ErrUnknownTopic,
		ck.ErrTopicAuthorizationFailed, ck.ErrUnknownPartition,
		ck.ErrBadCompression, ck.ErrBadMsg, ck.ErrNotImplemented: // a batch that cannot be unpacked is asked for for ever
		return true
	}
	return err.IsFatal()
}

// assembly collects the records of one ledger partition, the latest of each key.
type assembly struct {
	made   bool
	claims map[int64]bool
	notes  map[string][]byte
	states map[Key]stateRecord
	deltas map[Key]map[int64]delta
	seals  map[Key]map[int64]seal
}

// seal is a sealed segment without its runs, but the first.
type seal struct {
	generation int64
	head       offsets.Head
}

func newAssembly() *assembly {
	return &assembly{
		claims: map[int64]bool{}, notes: map[string][]byte{},
		states: map[Key]stateRecord{}, deltas: map[Key]map[int64]delta{}, seals: map[Key]map[int64]seal{},
	}
}

// take adds one record.
func (a *assembly) take(m *ck.Message) error {
	k, err := decodeKey(m.Key)
	if err != nil {
		return err
	}
	switch k.kind {
	case kindShard:
		_, err = decodeShard(m.Value)
		a.made = true
	case kindClaim:
		_, err = decodeClaim(m.Value)
		a.claims[k.number] = true
	case kindNote:
		if m.Value == nil {
			delete(a.notes, k.note)
			break
		}
		var text []byte
		if text, err = decodeNote(m.Value); k.note == IdentityName {
			text = later(a.notes[k.note], text)
		}
		a.notes[k.note] = text
	case kindState:
		if m.Value == nil {
			delete(a.states, k.key)
			break
		}
		a.states[k.key], err = decodeState(m.Value)
	case kindDelta:
		if a.deltas[k.key] == nil {
			a.deltas[k.key] = map[int64]delta{}
		}
		if m.Value == nil {
			delete(a.deltas[k.key], k.number)
			break
		}
		a.deltas[k.key][k.number], err = decodeDelta(m.Value)
	case kindSeal:
		if a.seals[k.key] == nil {
			a.seals[k.key] = map[int64]seal{}
		}
		if m.Value == nil {
			delete(a.seals[k.key], k.number)
			break
		}
		generation, runs, decodeErr := decodeSeal(m.Value)
		if err = decodeErr; err == nil {
			a.seals[k.key][k.number] = seal{generation,
				offsets.Head{Number: k.number, First: runs[0], Ledger: int64(m.TopicPartition.Offset)}}
		}
	}
	if err != nil {
		return refuse(k.key, m, err)
	}
	return nil
}

// refuse tells a value that a later release has written from one that is damaged.
func refuse(k Key, m *ck.Message, err error) error {
	var own *VersionError
	var inner *offsets.VersionError
	switch {
	case errors.As(err, &own):
	case errors.As(err, &inner):
		err = &VersionError{What: inner.What, Got: inner.Got}
	default:
		return &Damage{k.Partition, fmt.Errorf("record at offset %d: %w", m.TopicPartition.Offset, err)}
	}
	return fmt.Errorf("record at offset %d: %w", m.TopicPartition.Offset, err)
}

// shard puts the collected records together and checks that they fit.
func (a *assembly) shard() (*Shard, error) {
	s := NewShard()
	s.Made, s.claims, s.notes = a.made, a.claims, a.notes
	for k, record := range a.states {
		state, err := a.state(k, record)
		if err != nil {
			return nil, &Damage{Partition: k.Partition, Err: err}
		}
		s.states[k] = state
	}
	return s, nil
}

// state restores one partition's map from its segments and deltas.
func (a *assembly) state(k Key, record stateRecord) (*State, error) {
	saved := offsets.Saved{TailNumber: record.tail, Foreign: record.foreign}
	for n := record.first; n < record.tail; n++ {
		seal, ok := a.seals[k][n]
		if !ok || seal.generation != record.Generation {
			return nil, fmt.Errorf("segment %d is not there", n)
		}
		saved.Heads = append(saved.Heads, seal.head)
	}
	for slot := int64(0); slot < record.slots; slot++ {
		d, ok := a.deltas[k][slot]
		if !ok || d.generation != record.Generation || d.segment != record.tail {
			return nil, fmt.Errorf("part %d of the newest segment %d is not there", slot, record.tail)
		}
		saved.Tail = append(saved.Tail, d.runs...)
	}
	m, err := offsets.Restore(saved)
	if err != nil {
		return nil, err
	}
	last, mapped := m.Last()
	if mapped && last.SourceEnd() > record.Progress {
		return nil, errors.New("the map goes beyond the progress")
	}
	if record.Marked && !mapped {
		return nil, errors.New("a marker is said to follow the last record, but there is none")
	}
	return &State{Header: record.Header, Map: m, first: record.first, slots: record.slots}, nil
}
