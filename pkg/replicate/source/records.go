// Package source is the door in: it reads the source partitions of one shard
// and hands on what is visible there, as chunks.
//
// There is one reader for each lane: [Records] on librdkafka, [Batches] on raw fetches.
// Both guarantee, on top of what [chunk.Chunk] promises:
//
//  1. only committed records come out; control records and aborted ones never do;
//  2. a partition is read from exactly the position it was assigned, or not at
//     all: nothing is ever reset to another offset;
//  3. Next of a part stands past trailing markers and aborted records.
//
// They do not know what has been copied. Where a position cannot be read any more,
// [Unreadable] says so and the caller asks the cluster what happened; a
// [chunk.Stop] names a partition whose log is damaged or has no leader.
package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Config says what to read and how much may wait in memory.
type Config struct {
	Cluster       kafka.Config
	Flow          string // names the consumer in the broker's logs and quotas
	PrefetchBytes int    // payload that librdkafka may hold ready, in all partitions together
	// PrefetchRecords bounds the same by count: small records cost several times their payload.
	PrefetchRecords int
	Trouble         func(error) // told of errors that librdkafka goes on retrying by itself
}

// Limit bounds what one Next takes.
type Limit struct {
	Records int           // in the record lane
	Bytes   int           // in the record lane in all, in the batch lane of one partition
	Wait    time.Duration // for the first record
}

// Unreadable says that some assigned position cannot be read: out of range,
// truncated, not authorised, or the topic is gone. librdkafka does not tell
// which partition it was.
type Unreadable struct {
	Err error
	// OutOfLog: the position is before or behind what the log holds, or its epoch ends before it.
	OutOfLog  bool
	Partition chunk.Partition // where it is known
	At        offsets.Source  // the position, with Partition
	absent    bool            // the leader does not know the topic, or one of another id
	End       offsets.Source  // where the epoch of the position ends; -1: not known
}

func (u *Unreadable) Error() string { return "a source position cannot be read: " + u.Err.Error() }
func (u *Unreadable) Unwrap() error { return u.Err }

// Remedy tells what to do.
func (u *Unreadable) Remedy() string {
	return "nothing, if it passes: the partition in question is looked for, and what is wrong with it is reported; " +
		"if it stays, see whether source topics were deleted, or the right Read on them is missing"
}

// pollSlice bounds how long one call into librdkafka blocks, and so how late
// a cancelled context is noticed.
const pollSlice = 100 * time.Millisecond

// metadataWait is how long a reader may take to reach its first broker.
const metadataWait = 10 * time.Second

// fetchBytes is what one fetch may bring of one partition, compressed. A shard often has few
// partitions, and small answers cost both sides a request each.
const fetchBytes = 3 << 19

// Records reads whole records through librdkafka. It belongs to one goroutine.
type Records struct {
	consumer *kafka.Consumer
	cfg      Config
	used     bool // the handle has had an assignment
	cluster  kafka.Config
	opened   kafka.Credentials
	trouble  func(error)
	stopped  error // a Stop that comes after what was read before it
	assigned map[chunk.Partition]*reading
	last     *reading // of the message before: neighbours mostly share it
	round    uint64   // counts calls of Next
}

// reading is one assigned partition.
type reading struct {
	partition chunk.Partition
	next      offsets.Source
	epoch     int32
	anew      bool           // nothing has come since a connection was made, or broke
	round     uint64         // of Next in which slot was given
	slot      int            // index of its part in the chunk of that round
	records   []chunk.Record // reused from round to round
}

// OpenRecords opens a reader that has nothing assigned yet. The error explains
// itself.
func OpenRecords(cfg Config) (*Records, error) {
	r := &Records{cfg: cfg, cluster: cfg.Cluster, trouble: cfg.Trouble, assigned: map[chunk.Partition]*reading{}}
	return r, r.open()
}

// open opens a handle.
func (r *Records) open() (err error) {
	cfg := r.cfg
	r.opened, r.used = cfg.Cluster.Credentials(), false
	r.consumer, err = kafka.NewConsumer(cfg.Cluster, map[string]any{
		// librdkafka wants a name here; with manual assignment no group comes into being.
		"group.id":                   "replicator.reader." + cfg.Flow,
		"enable.auto.commit":         false,
		"enable.auto.offset.store":   false,
		"enable.partition.eof":       true,
		"isolation.level":            "read_committed",
		"auto.offset.reset":          "error",
		"fetch.queue.backoff.ms":     10, // the default pauses a whole second whenever the prefetch limit is hit
		"queued.max.messages.kbytes": max(cfg.PrefetchBytes>>10, 1),
		"queued.min.messages":        max(cfg.PrefetchRecords, 1),
		"fetch.wait.max.ms":          100,
		"fetch.message.max.bytes":    fetchBytes,
	})
	if err != nil {
		return fmt.Errorf("open source reader: %w", err)
	}
	return nil
}

// Assign replaces what is read by the given positions, with a handle of its own:
// librdkafka 2.11.1 ends the process, with an assertion on rktp_started, where a
// partition is told to stop again before it has stopped, as when an assignment is
// replaced twice in a row.
func (r *Records) Assign(positions []chunk.Position) error {
	if r.used {
		if err := errors.Join(r.consumer.Close(), r.open()); err != nil {
			return err
		}
	}
	r.used = true
	r.assigned = make(map[chunk.Partition]*reading, len(positions))
	r.last, r.stopped = nil, nil
	list := make([]ck.TopicPartition, len(positions))
	for i, at := range positions {
		topic := at.Partition.Topic
		list[i] = ck.TopicPartition{Topic: &topic, Partition: at.Partition.Number, Offset: ck.Offset(at.Offset)}
		if at.Epoch >= 0 {
			epoch := at.Epoch
			list[i].LeaderEpoch = &epoch
		}
		r.assigned[at.Partition] = &reading{partition: at.Partition, next: at.Offset, epoch: at.Epoch, anew: true}
	}
	// Assigning before a broker is connected makes librdkafka ask for the leaders a whole second later.
	if _, err := r.consumer.GetMetadata(nil, false, int(metadataWait.Milliseconds())); err != nil {
		return fmt.Errorf("find the leaders of %d source partitions: %w", len(list), err)
	}
	if err := r.consumer.Assign(list); err != nil {
		return fmt.Errorf("assign %d source partitions: %w", len(list), err)
	}
	return nil
}

// Next waits for the first news, at most limit.Wait, and takes what has arrived
// by then up to the limits; the chunk may be empty. Its records are valid until
// the next call. After an error the reader must be closed.
func (r *Records) Next(ctx context.Context, limit Limit) (chunk.Chunk, error) {
	if r.stopped != nil {
		return chunk.Chunk{}, r.stopped
	}
	r.round++
	var c chunk.Chunk
	deadline := time.Now().Add(limit.Wait)
	for c.Records < limit.Records && c.Bytes < limit.Bytes {
		wait := 0
		if len(c.Parts) == 0 {
			left := min(time.Until(deadline), pollSlice)
			if left < 0 || ctx.Err() != nil {
				break
			}
			wait = int(left / time.Millisecond)
		}
		event := r.consumer.Poll(wait)
		if event == nil && len(c.Parts) > 0 {
			break
		}
		err := r.handle(ctx, &c, event)
		var stop *chunk.Stop
		if errors.As(err, &stop) && len(c.Parts) > 0 {
			r.stopped = err // first what stands before it
			break
		}
		if err != nil {
			return chunk.Chunk{}, err
		}
	}
	for i := range c.Parts { // the slices grew while they were filled
		part, reading := &c.Parts[i], r.assigned[c.Parts[i].Partition]
		part.Records, part.Next, part.Epoch = reading.records, reading.next, reading.epoch
		if n := len(part.Records); n > 0 {
			part.Newest = part.Records[n-1].Timestamp
		}
	}
	return c, nil
}

// handle adds one event to the chunk.
func (r *Records) handle(ctx context.Context, c *chunk.Chunk, event ck.Event) error {
	switch event := event.(type) {
	case nil:
	case *ck.Message:
		return r.addMessage(c, event)
	case ck.PartitionEOF:
		reading := r.find(event.Topic, event.Partition)
		if reading == nil {
			return nil
		}
		if end := offsets.Source(event.Offset); end > reading.next {
			r.part(c, reading)
			reading.next, reading.epoch = end, chunk.UnknownEpoch
		}
	case ck.Error:
		switch {
		case event.IsFatal():
			return fmt.Errorf("source reader: %w", event)
		case event.Code() == ck.ErrTopicAuthorizationFailed:
			var which *Unreadable
			if errors.As(r.probe(ctx, event), &which) {
				return which
			}
			return lost(event)
		case unreadable(event.Code()):
			return lost(event)
		case undecodable(event.Code()):
			r.trouble(event)
			return r.probe(ctx, event)
		default:
			for _, reading := range r.assigned { // librdkafka does not tell whose broker it was
				reading.anew = true
			}
			r.trouble(event)
			return r.opened.Renewed()
		}
	}
	return nil
}

// addMessage adds one record, and refuses one that is not where it must be.
func (r *Records) addMessage(c *chunk.Chunk, m *ck.Message) error {
	if m.TopicPartition.Error != nil {
		u := lost(m.TopicPartition.Error)
		if m.TopicPartition.Topic != nil && !u.OutOfLog {
			u.Partition = chunk.Partition{Topic: *m.TopicPartition.Topic, Number: m.TopicPartition.Partition}
		}
		return u
	}
	reading := r.find(m.TopicPartition.Topic, m.TopicPartition.Partition)
	if reading == nil {
		return nil // left over from an assignment that was replaced
	}
	at := offsets.Source(m.TopicPartition.Offset)
	if at < reading.next {
		return fmt.Errorf("source reader: %s came back to offset %d after %d", reading.partition, at, reading.next)
	}
	r.part(c, reading)
	record := chunk.Record{Offset: at, Timestamp: -1, Key: m.Key, Value: m.Value}
	if m.TimestampType != ck.TimestampNotAvailable || !m.Timestamp.IsZero() {
		record.Timestamp = m.Timestamp.UnixMilli()
	}
	size := len(m.Key) + len(m.Value)
	if len(m.Headers) > 0 {
		record.Headers = make([]chunk.Header, len(m.Headers))
		for i, h := range m.Headers {
			record.Headers[i] = chunk.Header{Key: h.Key, Value: h.Value}
			size += len(h.Key) + len(h.Value)
		}
	}
	reading.records = append(reading.records, record)
	reading.next = at + 1
	reading.epoch = chunk.UnknownEpoch
	if m.TopicPartition.LeaderEpoch != nil {
		reading.epoch = *m.TopicPartition.LeaderEpoch
	}
	c.Records++
	c.Bytes += size
	return nil
}

// part makes sure that the chunk has a part for the partition.
func (r *Records) part(c *chunk.Chunk, reading *reading) {
	if reading.round == r.round {
		return
	}
	reading.round, reading.slot = r.round, len(c.Parts)
	clear(reading.records) // lets go of the payloads of the round before
	reading.records = reading.records[:0]
	c.Parts = append(c.Parts, chunk.Part{Partition: reading.partition, Anew: reading.anew})
	reading.anew = false
}

// find gives the assigned partition that an event is about, or nil.
func (r *Records) find(topic *string, number int32) *reading {
	if topic == nil {
		return nil
	}
	if r.last != nil && r.last.partition.Number == number && r.last.partition.Topic == *topic {
		return r.last
	}
	r.last = r.assigned[chunk.Partition{Topic: *topic, Number: number}]
	return r.last
}

// lost is what becomes of such an error.
func lost(err error) *Unreadable {
	u := &Unreadable{Err: err, End: -1}
	var code ck.Error
	if errors.As(err, &code) {
		switch code.Code() {
		case ck.ErrAutoOffsetReset, ck.ErrOffsetOutOfRange, ck.ErrLogTruncation:
			u.OutOfLog = true
		}
	}
	return u
}

// unreadable tells the errors after which a partition stays silent until
// something is done about it.
func unreadable(code ck.ErrorCode) bool {
	switch code {
	case ck.ErrAutoOffsetReset, ck.ErrOffsetOutOfRange, ck.ErrLogTruncation, ck.ErrUnknownTopicOrPart,
		ck.ErrTopicAuthorizationFailed, ck.ErrUnknownTopic, ck.ErrUnknownPartition,
		ck.ErrUnknownTopicID, ck.ErrTopicException:
		return true
	}
	return false
}

// Close lets go of the handle. It can be called once.
func (r *Records) Close() error {
	if r.consumer == nil {
		return nil // it could not be opened anew
	}
	return r.consumer.Close()
}
