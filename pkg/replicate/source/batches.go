package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

const (
	// parkedFor is how long a broker may hold a request while there is no news.
	parkedFor = 500 * time.Millisecond
	// retryAfter is how long to wait before leaders are asked for again.
	retryAfter = 250 * time.Millisecond
	// leadersWithin bounds the question for leaders: a broker that is gone without a word must not hold up the others.
	leadersWithin = 5 * time.Second
	// lossLasts is how long a partition may not be readable before its shard goes on without it: an election takes
	// seconds.
	lossLasts = 20 * time.Second
	// absenceLasts is how long a topic may be unknown to its leader before Next says so: a comparison of the topics tells
	// sooner that it was deleted, and the others are read on meanwhile.
	absenceLasts = 3 * time.Second
	// followsFor is how long a partition is read from a replica that is nearer than its leader, before the leader is
	// asked again which one is.
	followsFor = 5 * time.Minute
)

// BatchesConfig says what to read.
type BatchesConfig struct {
	Cluster kafka.Config
	// AnswerBytes bounds one answer of a broker. A batch always comes whole, so that a single larger one passes. Two
	// answers of a broker are in memory at most: one that is being copied, and one that has been asked for.
	AnswerBytes int
	Trouble     func(error)
	Absent      func()              // told that a topic may be gone, or another one by now; nil: nobody is
	Rebuilt     func(reason string) // told of each batch that could not travel as it was
	// LeftOut says whether a batch is not copied, by who wrote it: it must not go back to where it came from. Nil:
	// nobody knows, and all are copied.
	LeftOut func(context.Context, chunk.Written) (bool, error)
}

// Batches reads raw batches: the batch lane's door in. One goroutine for each
// broker that leads an assigned partition, its feeder, keeps one request under way,
// which names all partitions there; what it brings is handed over in pieces. A partition
// whose leader moves, or refuses it, is lost to its feeder and goes to another, while
// the others are read on. All methods are for one goroutine.
type Batches struct {
	cfg      BatchesConfig
	client   *kgo.Client
	made     *connections
	assigned map[chunk.Partition]*tail // as far as they were handed over
	answers  chan answer
	patience time.Duration           // lossLasts, but for tests
	renewal  time.Duration           // sessionLasts, but for tests
	sessions map[int32]*fetchSession // by broker; whoever feeds from it next closes the one before
	pending  chunk.Chunk             // of the last answer, what Next has not brought yet

	feeding      context.Context    // of the feeders
	stop         context.CancelFunc // ends them; nil: none run
	running      sync.WaitGroup
	feeders      map[int32]*feeder         // by broker
	fresh        []*feeder                 // of them, those that do not run yet: first they get all that is theirs
	lost         map[chunk.Partition]bool  // that no feeder has
	losses       map[chunk.Partition]*loss // since they were last read well
	leadersAsked time.Time                 // when leaders were last asked for

	absent      error     // the first topic that its leader did not know since the last Assign; nil: none
	absentSince time.Time // when that was
}

// loss is why a partition could not be read, and since when, as long as the source
// answers at all.
type loss struct {
	since time.Time // zero: not counted yet
	err   error
}

// answer is what a feeder hands over.
type answer struct {
	feeder    *feeder
	chunk     chunk.Chunk
	recovered []*tail  // that were lost before, and are read now
	lost      []*tail  // that the feeder has no more, after the chunk
	nearer    []nearer // that it has no more either
	absent    error    // a topic whose leader does not know it: its partitions are not read any more
	err       error    // what was in the way
	ended     bool     // the feeder is no more
	final     bool     // nothing can be read any more, because of err
}

// nearer is a tail that a replica nearer than the leader can serve (KIP-392).
type nearer struct {
	tail   *tail
	broker int32
}

// OpenBatches opens a reader that has nothing assigned yet.
func OpenBatches(cfg BatchesConfig) (*Batches, error) {
	made := &connections{}
	client, err := kafka.NewFranz(cfg.Cluster, kgo.MetadataMinAge(10*time.Millisecond), kgo.WithHooks(made))
	if err != nil {
		return nil, fmt.Errorf("open source reader: %w", err)
	}
	return &Batches{cfg: cfg, client: client, made: made, answers: make(chan answer), patience: lossLasts,
		renewal: sessionLasts, sessions: map[int32]*fetchSession{}}, nil
}

// Assign replaces what is read by the given positions.
func (b *Batches) Assign(positions []chunk.Position) error {
	b.halt()
	b.pending = chunk.Chunk{}
	b.assigned = make(map[chunk.Partition]*tail, len(positions))
	b.lost = make(map[chunk.Partition]bool, len(positions))
	for _, at := range positions {
		b.assigned[at.Partition] = &tail{partition: at.Partition, next: at.Offset, epoch: at.Epoch, most: at.Most}
		b.lost[at.Partition] = true
	}
	b.feeders, b.losses, b.leadersAsked = map[int32]*feeder{}, map[chunk.Partition]*loss{}, time.Time{}
	b.fresh, b.absent = nil, nil
	return nil
}

// Next waits for the first news, at most limit.Wait. What it brings is of one answer
// of a broker; it is the caller's. After an error the reader must be closed. A
// *chunk.Stop names a partition that cannot be read.
func (b *Batches) Next(ctx context.Context, limit Limit) (chunk.Chunk, error) {
	if len(b.pending.Parts) > 0 {
		return b.piece(limit.Bytes), nil
	}
	if b.absent != nil && time.Since(b.absentSince) > absenceLasts {
		return chunk.Chunk{}, b.absent
	}
	wait := time.NewTimer(limit.Wait)
	defer wait.Stop()
	for {
		var again <-chan time.Time
		if len(b.lost) > 0 {
			if due := retryAfter - time.Since(b.leadersAsked); due > 0 {
				again = time.After(due)
			} else if err := b.findLeaders(ctx); isFinal(err) {
				return chunk.Chunk{}, err
			} else if err != nil && ctx.Err() == nil {
				b.cfg.Trouble(err)
			}
		}
		select {
		case <-wait.C:
			return chunk.Chunk{}, nil
		case <-ctx.Done():
			return chunk.Chunk{}, nil
		case <-again:
		case a := <-b.answers:
			if err := b.accept(a); err != nil {
				return chunk.Chunk{}, err
			}
			if len(a.chunk.Parts) > 0 {
				b.pending = a.chunk
				return b.piece(limit.Bytes), nil
			}
		}
	}
}

// piece takes the next batches of each partition off what is pending, about so many bytes, but
// one batch at least.
func (b *Batches) piece(most int) chunk.Chunk {
	var taken chunk.Chunk
	var left []chunk.Part
	for _, part := range b.pending.Parts {
		n, size := 0, 0
		for ; n < len(part.Batches) && (n == 0 || size < most); n++ {
			size += len(part.Batches[n].Raw)
			taken.Records += part.Batches[n].Count
		}
		taken.Bytes += size
		if n < len(part.Batches) {
			after := part
			part.Batches, after.Batches, after.Anew = part.Batches[:n], part.Batches[n:], false
			last := &part.Batches[n-1]
			raw := wire.Batch(last.Raw)
			part.Next, part.Newest = last.End(), raw.MaxTimestamp()
			if epoch := raw.LeaderEpoch(); epoch >= 0 { // one that was rebuilt does not tell: then the whole part's will do
				part.Epoch = epoch
			}
			left = append(left, after)
		}
		taken.Parts = append(taken.Parts, part)
	}
	b.pending.Parts = left
	return taken
}

// accept takes over what a feeder hands over.
func (b *Batches) accept(a answer) error {
	if a.final {
		return a.err
	}
	for _, part := range a.chunk.Parts {
		t := b.assigned[part.Partition]
		t.next, t.epoch = part.Next, part.Epoch
	}
	if a.absent != nil && b.absent == nil {
		b.absent, b.absentSince = a.absent, time.Now()
		if b.cfg.Absent != nil {
			b.cfg.Absent()
		}
	}
	for _, t := range a.recovered {
		delete(b.losses, t.partition)
	}
	for _, t := range a.lost {
		b.lost[t.partition] = true
		b.lossOf(t.partition).err = a.err
		b.assigned[t.partition].leaderOnly = t.leaderOnly
	}
	if a.ended {
		delete(b.feeders, a.feeder.broker)
		for _, t := range a.feeder.arrivals() { // it has never seen them
			b.lost[t.partition] = true
		}
	}
	for _, n := range a.nearer {
		b.give(n.broker, n.tail, n.tail.partition)
	}
	b.begin()
	if a.err != nil {
		b.cfg.Trouble(a.err)
	}
	return nil
}

// halt ends the feeders. What they have not handed over is read again.
func (b *Batches) halt() {
	if b.stop != nil {
		b.stop()
		b.running.Wait()
		b.stop = nil
	}
}

// Close ends the connections.
func (b *Batches) Close() error {
	b.halt()
	b.client.Close()
	return nil
}

// findLeaders finds the leaders of lost partitions and gives each to its leader's feeder.
func (b *Batches) findLeaders(ctx context.Context) error {
	b.leadersAsked = time.Now()
	var names []string
	for p := range b.lost {
		names = append(names, p.Topic)
	}
	slices.Sort(names)
	asking, cancel := context.WithTimeout(ctx, leadersWithin)
	defer cancel()
	response, err := kafka.MetadataRequest(slices.Compact(names)).RequestWith(asking, b.client)
	if err != nil {
		for _, l := range b.losses {
			l.since = time.Time{} // the source as a whole is away
		}
		return fmt.Errorf("find the leaders of source partitions: %w", err)
	}
	if err := b.stopIfPersistent(); err != nil {
		return err
	}
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			return &Unreadable{Err: fmt.Errorf("topic %q: %w", *topic.Topic, err)}
		}
		for _, p := range topic.Partitions {
			at := chunk.Partition{Topic: *topic.Topic, Number: p.Partition}
			if b.lost[at] && p.ErrorCode == 0 && p.Leader >= 0 {
				b.give(p.Leader, &tail{topicID: topic.TopicID, leaderEpoch: p.LeaderEpoch}, at)
			}
		}
	}
	b.begin()
	return b.leaderless()
}

// lossOf is what is known of a partition that could not be read.
func (b *Batches) lossOf(p chunk.Partition) *loss {
	l := b.losses[p]
	if l == nil {
		l = &loss{}
		b.losses[p] = l
	}
	return l
}

// stopIfPersistent is the Stop of a partition that could not be read for long, while the
// source answered.
func (b *Batches) stopIfPersistent() error {
	for p := range b.lost {
		l := b.losses[p]
		switch {
		case l == nil || l.err == nil: // assigned a moment ago
		case l.since.IsZero():
			l.since = b.leadersAsked
		case b.leadersAsked.Sub(l.since) > b.patience:
			return (&chunk.Trouble{Partition: p, Err: l.err}).Stop()
		}
	}
	return nil
}

// leaderless names the partitions without a leader.
func (b *Batches) leaderless() error {
	if len(b.lost) == 0 {
		return nil
	}
	var names []string
	for p := range b.lost {
		names = append(names, p.String())
	}
	slices.Sort(names)
	err := fmt.Errorf("the source names no leader of %s", strings.Join(names, ", "))
	for p := range b.lost {
		b.lossOf(p).err = err
	}
	return err
}

// give hands a partition to a broker's feeder, from where it was handed over.
func (b *Batches) give(broker int32, t *tail, p chunk.Partition) {
	at := b.assigned[p]
	t.partition, t.next, t.epoch, t.most = p, at.next, at.epoch, at.most
	t.leaderOnly, t.wasLost, t.stable, t.anew = at.leaderOnly, b.losses[p] != nil, unknownOffset, true
	delete(b.lost, p)
	if b.stop == nil {
		b.feeding, b.stop = context.WithCancel(context.Background())
	}
	f := b.feeders[broker]
	if f == nil {
		if b.sessions[broker] == nil {
			b.sessions[broker] = &fetchSession{}
		}
		f = &feeder{b: b, broker: broker, ids: map[[16]byte]string{}, session: b.sessions[broker]}
		b.feeders[broker] = f
		b.fresh = append(b.fresh, f)
	}
	f.add(t)
}

// begin lets new feeders run.
func (b *Batches) begin() {
	for _, f := range b.fresh {
		b.running.Go(func() { f.run(b.feeding) })
	}
	b.fresh = nil
}
