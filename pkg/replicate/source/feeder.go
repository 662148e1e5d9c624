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
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// feeder keeps one request under way to one broker. It ends when the broker does
// not answer, or when it has nothing to read.
type feeder struct {
	b        *Batches
	broker   int32
	tails    []*tail
	ids      map[[16]byte]string // topics
	session  *fetchSession
	rotation int   // which partition is named first: a broker fills its answer in that order
	first    *tail // that the request under way names first; nil: the order is the broker's own
	full     int   // partitions that the last answer had records of
	made     int   // connections to the broker, by the time of the last answer

	mu       sync.Mutex
	arriving []*tail // given, and not among the tails yet
}

// add gives the feeder one more partition.
func (f *feeder) add(t *tail) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arriving = append(f.arriving, t)
}

// arrivals are what was given since.
func (f *feeder) arrivals() []*tail {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.arriving
	f.arriving = nil
	return list
}

// run feeds until ctx ends, or ends by itself and says so.
func (f *feeder) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.welcome(f.arrivals())
		a := answer{feeder: f, ended: true}
		if len(f.tails) > 0 {
			a = f.fetch(ctx)
		}
		if len(a.chunk.Parts)+len(a.recovered)+len(a.lost)+len(a.nearer) > 0 || a.err != nil || a.ended || a.absent != nil {
			select {
			case f.b.answers <- a:
			case <-ctx.Done():
			}
		}
		if a.ended || a.final {
			return
		}
	}
}

// welcome reads on with new partitions too.
func (f *feeder) welcome(list []*tail) {
	for _, t := range list {
		f.tails = append(f.tails, t)
		f.ids[t.topicID] = t.partition.Topic
	}
	if len(list) > 0 {
		slices.SortFunc(f.tails, func(x, y *tail) int { return x.partition.Compare(y.partition) })
	}
}

// isFinal says whether an error ends the reading: it concerns a position, not the
// way to the broker.
func isFinal(err error) bool {
	var u *Unreadable
	var stop *chunk.Stop
	return errors.As(err, &u) || errors.As(err, &stop)
}

// fetch makes one request and reads its answer.
func (f *feeder) fetch(ctx context.Context) answer {
	a := answer{feeder: f}
	got, err := f.b.client.Broker(int(f.broker)).Request(ctx, f.request())
	if err == nil {
		err = kerr.ErrorForCode(got.(*kmsg.FetchResponse).ErrorCode)
	}
	if f.session.refused(err) {
		return a
	}
	if err != nil {
		a.lost, a.ended, a.err = f.tails, true, fmt.Errorf("read from the source's broker %d: %w", f.broker, err)
		return a
	}
	if made := f.b.made.to(f.broker); made != f.made { // another life of the broker may have answered
		f.made = made
		for _, t := range f.tails {
			t.anew = true
		}
	}
	seen, response := time.Now(), got.(*kmsg.FetchResponse)
	f.session.id = response.SessionID
	tell := callbacks{f.b.cfg.Rebuilt, func(p chunk.Partition, b wire.Batch) (bool, error) {
		if f.b.cfg.LeftOut == nil || b.ProducerID() < 0 {
			return false, nil
		}
		return f.b.cfg.LeftOut(ctx, chunk.Written{Partition: p, Offset: b.Last(), Producer: b.ProducerID(),
			Transactional: b.Transactional(), Seen: seen})
	}}
	byName := make(map[chunk.Partition]*tail, len(f.tails))
	for _, t := range f.tails {
		byName[t.partition] = t
		if f.session.namesAll() {
			t.stable = unknownOffset // a broker that throttles leaves partitions out: an older answer's says nothing of this one
		}
	}
	held := 0 // bytes of records in the whole answer
	f.full = 0
	for i := range response.Topics {
		topic := &response.Topics[i]
		name := topic.Topic
		if response.Version >= 13 { // KIP-516: by id
			name = f.ids[topic.TopicID]
		}
		for p := range topic.Partitions {
			if n := len(topic.Partitions[p].RecordBatches); n > 0 {
				held += n
				f.full++
			}
			t := byName[chunk.Partition{Topic: name, Number: topic.Partitions[p].Partition}]
			if t == nil {
				continue
			}
			f.merge(&a, t, &topic.Partitions[p], tell)
			if a.final {
				return a
			}
		}
	}
	if a.err == nil {
		f.skipEmpty(ctx, &a, held == 0)
	}
	return a
}

// merge adds what the broker answers for one partition to the answer.
func (f *feeder) merge(a *answer, t *tail, said *kmsg.FetchResponseTopicPartition, tell callbacks) {
	part, err := t.read(said, tell)
	leaves := true
	var unreadable *Unreadable
	switch {
	case errors.As(err, &unreadable) && unreadable.absent:
		a.absent = err
	case err != nil && isFinal(err):
		a.err, a.final = err, true
		return
	case err != nil:
		a.err = err
		a.lost = append(a.lost, t)
	case said.PreferredReadReplica >= 0 && said.PreferredReadReplica != f.broker:
		t.followerSince = time.Now()
		a.nearer = append(a.nearer, nearer{t, said.PreferredReadReplica})
	case !t.followerSince.IsZero() && time.Since(t.followerSince) > followsFor:
		a.lost = append(a.lost, t)
	default:
		leaves = false
		if t.wasLost {
			t.wasLost = false
			a.recovered = append(a.recovered, t)
		}
		if len(said.RecordBatches) > 0 {
			t.emptyUpTo = 0
		}
	}
	if leaves {
		f.drop(t)
	}
	if part.Next > 0 {
		t.anew = false
		a.chunk.Parts = append(a.chunk.Parts, part)
		for _, batch := range part.Batches {
			a.chunk.Records += batch.Count
			a.chunk.Bytes += len(batch.Raw)
		}
	}
}

// drop leaves a partition out from the next request on. Whoever walks over the tails
// goes on with those that there were.
func (f *feeder) drop(t *tail) {
	f.tails = slices.DeleteFunc(slices.Clone(f.tails), func(one *tail) bool { return one == t })
}

// skipEmpty moves partitions of which the answer holds nothing up to their last
// stable offset: what stood there, markers too, was compacted away. Where others fill
// the answer that says something only of the partition that was named first; where old
// records are elsewhere (KIP-405), and may have been too slow to come, it says nothing.
// Once may be a broker that was too slow to read, so it takes two answers. A follower
// is not believed at all: its leader is asked instead.
func (f *feeder) skipEmpty(ctx context.Context, a *answer, all bool) {
	var empty []*tail
	var topics []string
	for _, t := range f.tails {
		switch {
		case !all && t != f.first:
		case t.stable <= t.next:
			t.emptyUpTo = 0
		case t.emptyUpTo != t.stable:
			t.emptyUpTo = t.stable
		case !t.followerSince.IsZero():
			t.leaderOnly = true
			a.lost = append(a.lost, t)
			f.drop(t)
		default:
			empty, topics = append(empty, t), append(topics, t.partition.Topic)
		}
	}
	if len(empty) == 0 {
		return
	}
	slices.Sort(topics)
	local, err := kadm.NewClient(f.b.client).ListLocalLogStartOffsets(ctx, slices.Compact(topics)...)
	var some *kadm.ShardErrors
	if err != nil && !(errors.As(err, &some) && !some.AllFailed) {
		a.err = fmt.Errorf("ask where the broker's own log begins: %w", err)
		return
	}
	for _, t := range empty {
		at, known := local.Lookup(t.partition.Topic, t.partition.Number)
		if known && at.Err == nil && offsets.Source(at.Offset) <= t.next {
			t.next, t.epoch = t.stable, chunk.UnknownEpoch
			a.chunk.Parts = append(a.chunk.Parts,
				chunk.Part{Partition: t.partition, Next: t.next, Epoch: t.epoch, Anew: t.anew})
			t.anew = false
		}
	}
}

// request names the broker's partitions: all of them, or in a session those that have
// moved.
func (f *feeder) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = int32(parkedFor.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = int32(f.b.cfg.AnswerBytes)
	request.IsolationLevel = 1 // read_committed
	if !slices.ContainsFunc(f.tails, func(t *tail) bool { return t.leaderOnly }) {
		request.Rack = f.b.cfg.Cluster.Properties["client.rack"]
	}
	f.session.advance(f.tails, time.Now(), f.b.renewal)
	request.SessionID, request.SessionEpoch = f.session.id, f.session.epoch
	// Those that have records share an answer, so that the target is written to many at a time.
	each := max(request.MaxBytes/int32(max(f.full, 1)), 1)
	f.rotation++
	f.first = nil
	at := map[string]int{}
	for i := range f.tails {
		t := f.tails[(f.rotation+i)%len(f.tails)]
		switch {
		case !f.session.namesAll() && t.asked == t.position():
			continue
		case f.session.namesAll() && i == 0:
			f.first = t
		}
		t.asked = t.position()
		n, ok := at[t.partition.Topic]
		if !ok {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = t.partition.Topic, t.topicID
			request.Topics = append(request.Topics, topic)
			n = len(request.Topics) - 1
			at[t.partition.Topic] = n
		}
		request.Topics[n].Partitions = append(request.Topics[n].Partitions, t.request(each))
	}
	return request
}
