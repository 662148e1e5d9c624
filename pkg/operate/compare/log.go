package compare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
	"replicator/pkg/replicate/wire"
)

const (
	// pageBytes bounds a page as it travels. Three of a side are in memory at most.
	pageBytes = 2 << 20
	// unpackedBytes bounds a page unpacked, but for a record that is larger alone; a record counts recordBytes
	// beside what it holds, a header headerBytes.
	unpackedBytes            = 8 << 20
	recordBytes, headerBytes = 250, 100
	// parked is how long a broker may wait for something to answer with.
	parked = 250 * time.Millisecond
	// againAfter spaces the tries of a partition that moves.
	againAfter = 200 * time.Millisecond
	// patience is how long a log may give nothing and not come to its end.
	patience = 30 * time.Second
	// emptyAnswers in a row show that nothing is left below the stable offset, if the broker itself has that part of
	// the log: one that is slow may answer with nothing where something is.
	emptyAnswers = 3
)

// Remote is a [Log] in a cluster, read from the partition's leader: committed records
// of [From,To). Whatever is to be read below To must become stable, or reading fails.
type Remote struct {
	Client  *kgo.Client // used for this log alone meanwhile: a fetch holds up others
	Cluster kafka.Config
	Topic   string
	ID      chunk.TopicID
	Number  int32
	From    int64
	To      int64
}

// reading is one Read under way.
type reading struct {
	*Remote
	at      int64
	answer  *answer // what is left of the last one; nil: nothing
	leader  int32   // -1: not known
	epoch   int32
	empty   int       // answers in a row with nothing
	heard   time.Time // when it went on last
	trouble error     // since then
}

// Read implements [Log]. What retention removes meanwhile is passed over: the pages
// tell where the log starts.
func (l *Remote) Read(ctx context.Context, give func(Page) error) error {
	r := &reading{Remote: l, at: l.From, leader: -1, heard: time.Now()}
	for r.at < l.To {
		before := r.at
		page, err := r.step(ctx)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case final(err):
			return l.explain(err)
		default:
			r.leader, r.trouble = -1, err
			if err := wait.Pause(ctx, againAfter); err != nil {
				return err
			}
		}
		if r.at > before {
			r.heard, r.trouble = time.Now(), nil
		} else if time.Since(r.heard) > patience {
			return l.explain(r.stuck())
		}
		if page != nil {
			if err := give(*page); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reading) stuck() error {
	if r.trouble != nil {
		return r.trouble
	}
	return fmt.Errorf("the log does not become stable up to %d: at %d nothing has come for %s", r.To, r.at, patience)
}

// answer is what a leader said, as far as it was not read yet.
type answer struct {
	start   int64 // of the log
	more    bool  // than the range holds
	batches []byte
	aborted *wire.Aborted
}

// step reads on in the last answer, or asks once and reads what comes.
func (r *reading) step(ctx context.Context) (*Page, error) {
	if r.answer != nil {
		return r.page()
	}
	if r.leader < 0 {
		if err := r.find(ctx); err != nil {
			return nil, err
		}
	}
	answered, err := r.Client.Broker(int(r.leader)).Request(ctx, r.request())
	if err != nil {
		return nil, err
	}
	response := answered.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	if len(response.Topics) == 0 || len(response.Topics[0].Partitions) == 0 {
		return nil, nil // a broker that throttles leaves partitions out
	}
	said := &response.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
		if errors.Is(err, kerr.OffsetOutOfRange) {
			return r.restart(ctx)
		}
		return nil, err
	}
	return r.take(ctx, said)
}

// take makes a page of what a leader said.
func (r *reading) take(ctx context.Context, said *kmsg.FetchResponseTopicPartition) (*Page, error) {
	if len(said.RecordBatches) > 0 {
		r.empty = 0
		r.answer = &answer{start: said.LogStartOffset, more: said.LastStableOffset > r.To, batches: said.RecordBatches,
			aborted: wire.NewAborted(said.AbortedTransactions)}
		return r.page()
	}
	if said.LastStableOffset <= r.at {
		r.empty = 0
		return nil, nil
	}
	if r.empty++; r.empty < emptyAnswers {
		return nil, nil
	}
	r.empty = 0
	if err := r.mustBeHere(ctx); err != nil {
		return nil, err
	}
	r.at = min(said.LastStableOffset, r.To) // all of it was compacted away
	return &Page{Start: said.LogStartOffset, More: said.LastStableOffset > r.To}, nil
}

// mustBeHere is an error unless the broker itself has what comes next. Old records may be elsewhere (KIP-405), and
// then be too slow to come with an answer.
func (r *reading) mustBeHere(ctx context.Context) error {
	starts, err := kadm.NewClient(r.Client).ListLocalLogStartOffsets(ctx, r.Topic)
	start, known := starts.Lookup(r.Topic, r.Number)
	if err == nil && !known {
		err = kerr.UnknownTopicOrPartition
	}
	if err == nil {
		err = start.Err
	}
	switch {
	case errors.Is(err, kerr.UnsupportedVersion): // a broker from before it could be elsewhere
		return nil
	case err == nil && start.Offset > r.at:
		return fmt.Errorf("nothing comes from offset %d on; the broker has only what follows %d itself", r.at, start.Offset)
	}
	return err
}

// page takes the next records off the answer, as many as a page holds. A batch that holds
// more is read on with the next page.
func (r *reading) page() (*Page, error) {
	page := &Page{Start: r.answer.start, More: r.answer.more}
	size := 0
	for r.at < r.To {
		b, rest, err := wire.Next(r.answer.batches)
		if errors.Is(err, wire.ErrPartial) { // also where nothing is left: the rest comes with the next answer
			break
		}
		if err == nil && len(page.Records) > 0 && b.Times() != page.Times {
			return page, nil // one page, one kind of times
		}
		if err == nil && !r.hidden(b) {
			page.Times = b.Times()
			err = wire.Records(b, r.at, func(one *kgo.Record) bool {
				if one.Offset >= r.To || size >= unpackedBytes {
					r.at = one.Offset
					return false
				}
				r.at = one.Offset + 1
				page.Records = append(page.Records, one)
				size += recordBytes + len(one.Key) + len(one.Value)
				for _, h := range one.Headers {
					size += headerBytes + len(h.Key) + len(h.Value)
				}
				return true
			})
		}
		if err != nil {
			r.answer = nil
			return nil, &unreadable{fmt.Errorf("what follows offset %d cannot be read: %w", r.at, err)}
		}
		if size >= unpackedBytes {
			return page, nil
		}
		if b.Magic() >= 2 {
			r.at = max(r.at, b.Last()+1)
		}
		r.answer.batches = rest
	}
	r.answer = nil
	return page, nil
}

// hidden says whether a batch holds nothing to see.
func (r *reading) hidden(b wire.Batch) bool {
	return b.Magic() >= 2 && (r.answer.aborted.Hides(b) || b.Last() < r.at)
}

// restart goes on where the log starts by now.
func (r *reading) restart(ctx context.Context) (*Page, error) {
	starts, err := kadm.NewClient(r.Client).ListStartOffsets(ctx, r.Topic)
	if err != nil {
		return nil, err
	}
	start, ok := starts.Lookup(r.Topic, r.Number)
	switch {
	case !ok:
		return nil, kerr.UnknownTopicOrPartition
	case start.Err != nil:
		return nil, start.Err
	case start.Offset <= r.at:
		return nil, fmt.Errorf("the log ends before offset %d", r.at)
	}
	r.at = min(start.Offset, r.To)
	return &Page{Start: start.Offset}, nil
}

// find asks for the partition's leader.
func (r *reading) find(ctx context.Context) error {
	metadata, err := kafka.MetadataRequest([]string{r.Topic}).RequestWith(ctx, r.Client)
	if err != nil {
		return err
	}
	for _, topic := range metadata.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return err
		}
		if id := chunk.TopicID(topic.TopicID); id != r.ID {
			return &unreadable{fmt.Errorf("the topic was created again: its id was %s and is %s", r.ID, id)}
		}
		for _, p := range topic.Partitions {
			if p.Partition == r.Number {
				r.leader, r.epoch = p.Leader, p.LeaderEpoch
				return kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return kerr.UnknownTopicOrPartition
}

func (r *reading) request() *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = int32(parked.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = pageBytes
	request.IsolationLevel = 1 // read_committed
	request.SessionEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.Topic, r.ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = r.Number, r.epoch, r.at
	p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = chunk.UnknownEpoch, -1, pageBytes
	topic.Partitions = append(topic.Partitions, p)
	request.Topics = append(request.Topics, topic)
	return request
}

// unreadable is an error that asking again does not mend.
type unreadable struct{ error }

func (u *unreadable) Unwrap() error { return u.error }

func final(err error) bool {
	var u *unreadable
	return errors.As(err, &u) || errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.UnknownTopicID)
}

func (l *Remote) explain(err error) error {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		err = l.Cluster.Denied("Read", "topic "+l.Topic, err)
	}
	return fmt.Errorf("read %s/%d on cluster %s: %w", l.Topic, l.Number, l.Cluster.Name, l.Cluster.Explain(err))
}
