package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

const (
	// parkedFor is how long a broker may hold a request while there is no news.
	parkedFor = 500 * time.Millisecond
	// againAfter is how long to wait after a broker did not answer, or has no leader to name.
	againAfter = 250 * time.Millisecond
)

// BatchesConfig says what to read.
type BatchesConfig struct {
	Cluster kafka.Config
	// AnswerBytes bounds one answer of a broker. A batch always comes whole, so that a single larger one passes. Two
	// answers of a broker are in memory at most: one that is being copied, and one that has been asked for.
	AnswerBytes int
	Trouble     func(error)
	Rebuilt     func(reason string) // told of each batch that could not travel as it was
	// Claimed says whether a batch, seen at that time, was written by a flow that copies from the cluster that is
	// written to here: it must not go back. Nil: there is no such flow.
	Claimed func(ctx context.Context, producer int64, seen time.Time) (bool, error)
}

// Batches reads raw batches: the batch lane's door in. One goroutine for each
// broker that leads an assigned partition keeps one request under way, which names
// all partitions there; what it brings is handed over whole. All methods are for
// one goroutine.
type Batches struct {
	cfg      BatchesConfig
	client   *kgo.Client
	assigned map[chunk.Partition]*tail
	answers  chan answer
	stop     context.CancelFunc // ends the feeders; nil: none run
	feeders  sync.WaitGroup
}

// answer is what a feeder hands over. After one with an error the feeder has
// ended.
type answer struct {
	chunk chunk.Chunk
	err   error
}

// errMoved says that some partition has another leader, or may have one.
var errMoved = errors.New("the leaders of source partitions have changed")

// OpenBatches opens a reader that has nothing assigned yet.
func OpenBatches(cfg BatchesConfig) (*Batches, error) {
	client, err := kafka.NewFranz(cfg.Cluster, kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("open source reader: %w", err)
	}
	return &Batches{cfg: cfg, client: client, answers: make(chan answer)}, nil
}

// Assign replaces what is read by the given positions.
func (b *Batches) Assign(positions []chunk.Position) error {
	b.halt()
	b.assigned = make(map[chunk.Partition]*tail, len(positions))
	for _, at := range positions {
		b.assigned[at.Partition] = &tail{partition: at.Partition, next: at.Offset, epoch: at.Epoch, most: at.Most}
	}
	return nil
}

// Next waits for the first news, at most limit.Wait. What it brings is one answer
// of a broker, whatever the other limits; it is the caller's. After an error the
// reader must be closed.
func (b *Batches) Next(ctx context.Context, limit Limit) (chunk.Chunk, error) {
	wait := time.NewTimer(limit.Wait)
	defer wait.Stop()
	for {
		if b.stop == nil && len(b.assigned) > 0 {
			switch err := b.feed(ctx); {
			case err == nil:
			case ctx.Err() != nil:
				return chunk.Chunk{}, nil
			case isUnreadable(err):
				return chunk.Chunk{}, err
			default:
				b.cfg.Trouble(err)
				select {
				case <-wait.C:
				case <-ctx.Done():
				case <-time.After(againAfter):
					continue
				}
				return chunk.Chunk{}, nil
			}
		}
		select {
		case <-wait.C:
			return chunk.Chunk{}, nil
		case <-ctx.Done():
			return chunk.Chunk{}, nil
		case a := <-b.answers:
			for _, part := range a.chunk.Parts {
				t := b.assigned[part.Partition]
				t.next, t.epoch = part.Next, part.Epoch
			}
			switch {
			case errors.Is(a.err, errMoved):
				b.halt() // and from where we are, with the leaders of now
				b.cfg.Trouble(a.err)
			case a.err != nil:
				return chunk.Chunk{}, a.err
			}
			if len(a.chunk.Parts) > 0 {
				return a.chunk, nil
			}
		}
	}
}

// halt ends the feeders. What they have not handed over is read again.
func (b *Batches) halt() {
	if b.stop != nil {
		b.stop()
		b.feeders.Wait()
		b.stop = nil
	}
}

// Close ends the connections.
func (b *Batches) Close() error {
	b.halt()
	b.client.Close()
	return nil
}

// feed finds the leaders and starts a feeder for each. A partition without a
// leader, or not known yet, is asked for again by a feeder that has nothing else
// to do.
func (b *Batches) feed(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	seen := map[string]bool{}
	for p := range b.assigned {
		if !seen[p.Topic] {
			seen[p.Topic] = true
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = kmsg.StringPtr(p.Topic)
			request.Topics = append(request.Topics, topic)
		}
	}
	response, err := request.RequestWith(ctx, b.client)
	if err != nil {
		return fmt.Errorf("find the leaders of source partitions: %w", err)
	}
	feeders := map[int32]*feeder{}
	known := 0
	for _, topic := range response.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			return &Unreadable{Err: fmt.Errorf("topic %q: %w", *topic.Topic, err)}
		}
		for _, p := range topic.Partitions {
			t := b.assigned[chunk.Partition{Topic: *topic.Topic, Number: p.Partition}]
			if t == nil {
				continue
			}
			leader := p.Leader
			if p.ErrorCode != 0 {
				leader = noLeader
			}
			f := feeders[leader]
			if f == nil {
				f = &feeder{b: b, broker: leader, ids: map[[16]byte]string{}}
				feeders[leader] = f
			}
			copied := *t // the feeder is ahead of what was handed over
			copied.topicID, copied.leaderEpoch = topic.TopicID, p.LeaderEpoch
			f.tails = append(f.tails, &copied)
			known++
			f.ids[topic.TopicID] = *topic.Topic
		}
	}
	if len(feeders) == 0 {
		return errors.New("find the leaders of source partitions: the source knows none of them")
	}
	if known < len(b.assigned) && feeders[noLeader] == nil {
		feeders[noLeader] = &feeder{b: b, broker: noLeader}
	}
	feeding, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	for _, f := range feeders {
		slices.SortFunc(f.tails, func(x, y *tail) int {
			if x.partition.Less(y.partition) {
				return -1
			}
			return 1
		})
		b.feeders.Go(func() { f.run(feeding) })
	}
	return nil
}

// noLeader stands for the broker of partitions that have none.
const noLeader = -1

// feeder keeps one request under way to one broker.
type feeder struct {
	b      *Batches
	broker int32
	tails  []*tail
	ids    map[[16]byte]string // topics
	turn   int                 // which partition is named first: a broker fills its answer in that order
}

// run feeds until it is told to end, or has something wrong to tell.
func (f *feeder) run(ctx context.Context) {
	for {
		var a answer
		if f.broker == noLeader {
			a.err = errMoved
		} else {
			a.chunk, a.err = f.fetch(ctx)
		}
		if a.err != nil && !isUnreadable(a.err) { // the leaders are looked for again, but not at once
			select {
			case <-ctx.Done():
			case <-time.After(againAfter):
			}
		}
		if len(a.chunk.Parts) > 0 || a.err != nil {
			select {
			case f.b.answers <- a:
			case <-ctx.Done():
				return
			}
		}
		if a.err != nil || ctx.Err() != nil {
			return
		}
	}
}

func isUnreadable(err error) bool {
	var u *Unreadable
	return errors.As(err, &u)
}

// fetch makes one request and reads its answer.
func (f *feeder) fetch(ctx context.Context) (chunk.Chunk, error) {
	got, err := f.b.client.Broker(int(f.broker)).Request(ctx, f.request())
	if err != nil {
		return chunk.Chunk{}, fmt.Errorf("%w: broker %d: %w", errMoved, f.broker, err)
	}
	seen := time.Now()
	response := got.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return chunk.Chunk{}, fmt.Errorf("%w: broker %d: %w", errMoved, f.broker, err)
	}
	byName := make(map[chunk.Partition]*tail, len(f.tails))
	for _, t := range f.tails {
		byName[t.partition] = t
		t.stable = 0 // a broker that throttles leaves partitions out: an older answer's says nothing of this one
	}
	ask := asked{f.b.cfg.Rebuilt, func(b wire.Batch) (bool, error) {
		if f.b.cfg.Claimed == nil || b.ProducerID() < 0 {
			return false, nil
		}
		return f.b.cfg.Claimed(ctx, b.ProducerID(), seen)
	}}
	var c chunk.Chunk
	held := 0 // bytes of records in the whole answer
	for i := range response.Topics {
		for p := range response.Topics[i].Partitions {
			held += len(response.Topics[i].Partitions[p].RecordBatches)
		}
	}
	for i := range response.Topics {
		topic := &response.Topics[i]
		name := topic.Topic
		if response.Version >= 13 { // KIP-516: by id
			name = f.ids[topic.TopicID]
		}
		for p := range topic.Partitions {
			t := byName[chunk.Partition{Topic: name, Number: topic.Partitions[p].Partition}]
			if t == nil {
				continue
			}
			part, err := t.take(&topic.Partitions[p], ask)
			if err != nil {
				return c, err
			}
			if part.Next > 0 {
				c.Parts = append(c.Parts, part)
				for _, batch := range part.Batches {
					c.Records += batch.Count
					c.Bytes += len(batch.Raw)
				}
			}
		}
	}
	if held == 0 {
		err = f.skipEmpty(ctx, &c)
	}
	return c, err
}

// skipEmpty moves partitions of which an answer without any bytes holds nothing
// up to their last stable offset: what stood there, markers too, was compacted
// away. Where another partition fills the answer, an empty one says nothing; nor
// does it where old records are elsewhere (KIP-405) and were too slow to come.
func (f *feeder) skipEmpty(ctx context.Context, c *chunk.Chunk) error {
	var empty []*tail
	var topics []string
	for _, t := range f.tails {
		if t.stable > t.next {
			empty, topics = append(empty, t), append(topics, t.partition.Topic)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	slices.Sort(topics)
	local, err := kadm.NewClient(f.b.client).ListLocalLogStartOffsets(ctx, slices.Compact(topics)...)
	if err != nil {
		return fmt.Errorf("%w: ask where the broker's own log begins: %w", errMoved, err)
	}
	for _, t := range empty {
		at, known := local.Lookup(t.partition.Topic, t.partition.Number)
		if known && at.Err == nil && offsets.Source(at.Offset) <= t.next {
			t.next, t.epoch = t.stable, chunk.UnknownEpoch
			c.Parts = append(c.Parts, chunk.Part{Partition: t.partition, Next: t.next, Epoch: t.epoch})
		}
	}
	return nil
}

// request names all partitions of the broker. It asks without a session
// (KIP-227): all there is to save is naming them.
func (f *feeder) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = int32(parkedFor.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = int32(f.b.cfg.AnswerBytes)
	request.IsolationLevel = 1 // read_committed
	request.SessionEpoch = -1
	f.turn++
	at := map[string]int{}
	for i := range f.tails {
		t := f.tails[(f.turn+i)%len(f.tails)]
		n, ok := at[t.partition.Topic]
		if !ok {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = t.partition.Topic, t.topicID
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			at[t.partition.Topic] = n
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = t.partition.Number
		p.CurrentLeaderEpoch = t.leaderEpoch
		p.FetchOffset = int64(t.next)
		p.LastFetchedEpoch = t.epoch // KIP-595: a log that was cut answers where it was
		p.LogStartOffset = -1
		p.PartitionMaxBytes = int32(f.b.cfg.AnswerBytes)
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, p)
	}
	return request
}

// tail is one partition from where it is read on.
type tail struct {
	partition   chunk.Partition
	topicID     [16]byte
	leaderEpoch int32 // of its leader today
	next        offsets.Source
	epoch       int32          // of what stands before next
	stable      offsets.Source // by the last answer
	most        int            // bytes of the largest batch that the target takes; 0: not known
}
