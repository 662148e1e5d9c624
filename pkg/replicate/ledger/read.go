package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

const (
	// cachedSegments bounds the segments kept in memory after a look into old history: 6 KiB each.
	cachedSegments = 128
	// shardsAtOnce bounds the partitions that are read at a time: a page of each is in memory.
	shardsAtOnce = 8
)

// Reader reads ledger partitions. Its methods may be called from any goroutine.
type Reader struct {
	cluster kafka.Config
	topic   string
	silence time.Duration // how long a partition may give nothing
	client  *kgo.Client

	mu    sync.Mutex
	cache map[segmentAt][]offsets.Run
	order []segmentAt // oldest first
}

// segmentAt is where a sealed segment lies.
type segmentAt struct {
	partition int32
	offset    int64
}

// OpenReader opens a reader of the ledger topic on the target; nothing is connected yet.
func OpenReader(target kafka.Config, topic string) (*Reader, error) {
	client, err := glance.Open(target)
	if err != nil {
		return nil, fmt.Errorf("open reader of %s: %w", topic, err)
	}
	return &Reader{cluster: target, topic: topic, silence: glance.Silence, client: client,
		cache: map[segmentAt][]offsets.Run{}}, nil
}

// Close ends the reader.
func (r *Reader) Close() error {
	r.client.Close()
	return nil
}

// Shard reads one ledger partition from its beginning to its end, at least up
// to offset `least`. Errors: *VersionError, *Damage, or what the cluster says.
func (r *Reader) Shard(ctx context.Context, partition int32, least int64) (*Shard, error) {
	var a *assembly
	part := glance.Part{Number: partition, To: -1, Least: least}
	err := r.read(ctx, &part, func() func(*kgo.Record) error {
		a = newAssembly()
		return a.take
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger %s/%d: %w", r.topic, partition, err)
	}
	return a.shard()
}

// Shards reads the first partitions of the ledger, each at least up to its offset.
func (r *Reader) Shards(ctx context.Context, least []int64) ([]*Shard, error) {
	shards := make([]*Shard, len(least))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(shardsAtOnce)
	for n := range least {
		g.Go(func() (err error) {
			shards[n], err = r.Shard(ctx, int32(n), least[n])
			return err
		})
	}
	return shards, g.Wait()
}

// Segment reads a sealed segment back: the Load of offsets.Map.
func (r *Reader) Segment(ctx context.Context, partition int32, head offsets.Head) ([]offsets.Run, error) {
	at := segmentAt{partition, head.Ledger}
	r.mu.Lock()
	runs, cached := r.cache[at]
	r.mu.Unlock()
	if cached {
		return runs, nil
	}
	// A commit answers before its marker is written: an end at or before the record is not final.
	part := glance.Part{Number: partition, From: head.Ledger, To: head.Ledger + 1, Least: head.Ledger + 1}
	err := r.read(ctx, &part, func() func(*kgo.Record) error {
		runs = nil
		return func(record *kgo.Record) (err error) {
			_, runs, err = decodeSeal(record.Value)
			return err
		}
	})
	if err == nil && (len(runs) == 0 || runs[0] != head.First) {
		err = fmt.Errorf("segment %d is not where it was written", head.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("read ledger %s/%d at %d: %w", r.topic, partition, head.Ledger, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, cached := r.cache[at]; cached { // by another who asked at the same time
		return runs, nil
	}
	if len(r.order) == cachedSegments {
		delete(r.cache, r.order[0])
		r.order = r.order[1:]
	}
	r.cache[at], r.order = runs, append(r.order, at)
	return runs, nil
}

// read reads what is committed.
func (r *Reader) read(ctx context.Context, part *glance.Part, begin func() func(*kgo.Record) error) error {
	part.Topic, part.Committed, part.Silence = r.topic, true, r.silence
	_, err := part.Read(ctx, r.client, begin)
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return r.cluster.Denied("Read", "topic "+r.topic, err)
	}
	return err
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
func (a *assembly) take(m *kgo.Record) error {
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
				offsets.Head{Number: k.number, First: runs[0], Ledger: m.Offset}}
		}
	}
	if err != nil {
		return refuse(k.key, m, err)
	}
	return nil
}

// refuse tells a value that a later release has written from one that is damaged.
func refuse(k Key, m *kgo.Record, err error) error {
	var own *VersionError
	var inner *offsets.VersionError
	switch {
	case errors.As(err, &own):
	case errors.As(err, &inner):
		err = &VersionError{What: inner.What, Got: inner.Got}
	default:
		return &Damage{k.Partition, fmt.Errorf("record at offset %d: %w", m.Offset, err)}
	}
	return fmt.Errorf("record at offset %d: %w", m.Offset, err)
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
	if record.MarkerFollows && !mapped {
		return nil, errors.New("a marker is said to follow the last record, but there is none")
	}
	return &State{Header: record.Header, Map: m, first: record.first, slots: record.slots}, nil
}
