package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	fetchBytes = 1 << 20               // per request; a single larger batch still comes whole
	fetchWait  = 50 * time.Millisecond // one connection serves all cursors, so none may hold it for long
	emptyLimit = 5                     // empty answers below the bound until the rest counts as empty
	retryEvery = 100 * time.Millisecond
)

// errReplaced means that the log is not the one whose beginning was read.
var errReplaced = errors.New("the topic was deleted, recreated or truncated while it was read")

// cursor reads the visible records of one partition, [next, end), with plain
// Fetch requests: unlike a consumer it knows the offset that follows control
// and aborted records, and holds nothing that was not asked for.
type cursor struct {
	side   *side
	at     partition
	extent extent
	next   int64
	end    int64
	empty  int // consecutive answers without any batch
}

func newCursor(s *side, at partition, e extent, from int64) *cursor {
	return &cursor{side: s, at: at, extent: e, next: max(from, e.start), end: e.stable}
}

// extend moves the bound to what the cluster says now. It refuses a topic that
// was recreated: its offsets mean other records.
func (c *cursor) extend(e extent) error {
	if e.id != c.extent.id {
		return fmt.Errorf("%s on the %s: %w", c.at, c.side.name, errReplaced)
	}
	if e.stable < c.end {
		return fmt.Errorf("%s on the %s: end moved back from %d to %d: %w", c.at, c.side.name, c.end, e.stable, errReplaced)
	}
	c.extent, c.end, c.empty = e, e.stable, 0
	return nil
}

// read returns the next visible records; none means the bound is reached.
func (c *cursor) read(ctx context.Context) ([]*kgo.Record, error) {
	for c.next < c.end {
		records, err := c.fetch(ctx)
		switch {
		case err == nil && len(records) > 0:
			return records, nil
		case err == nil:
			continue
		case !again(err):
			return nil, fmt.Errorf("read %s at %d on the %s: %w", c.at, c.next, c.side.name, err)
		}
		if err := c.relocate(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// fetch sends one request and moves next past what it answered.
func (c *cursor) fetch(ctx context.Context) ([]*kgo.Record, error) {
	response, err := c.request().RequestWith(ctx, c.side.client.Broker(int(c.extent.leader)))
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer to a fetch does not hold the one partition asked for")
	}
	part := &response.Topics[0].Partitions[0]
	options := kgo.ProcessFetchPartitionOpts{
		Offset: c.next, IsolationLevel: kgo.ReadCommitted(), Topic: c.at.topic, Partition: c.at.number,
	}
	fetched, next := kgo.ProcessFetchPartition(options, part, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return nil, fetched.Err
	}
	if next == c.next { // nothing between here and the bound, or nothing yet
		if c.empty++; c.empty >= emptyLimit && part.LastStableOffset >= c.end {
			c.next = c.end // a cleaned tail in front of an empty segment
		}
		return nil, ctx.Err()
	}
	c.next, c.empty = min(next, c.end), 0 // what lies past the bound is read again once the bound moves
	records := fetched.Records
	for len(records) > 0 && records[len(records)-1].Offset >= c.end {
		records = records[:len(records)-1]
	}
	return records, nil
}

func (c *cursor) request() *kmsg.FetchRequest {
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition = c.at.number
	partition.FetchOffset = c.next
	partition.PartitionMaxBytes = fetchBytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = c.at.topic
	topic.TopicID = c.extent.id
	topic.Partitions = append(topic.Partitions, partition)
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis = int32(fetchWait.Milliseconds())
	request.MinBytes = 1
	request.MaxBytes = fetchBytes
	request.IsolationLevel = 1
	request.SessionEpoch = -1 // no fetch session
	request.Topics = append(request.Topics, topic)
	return request
}

// relocate waits a little and asks who leads the partition now.
func (c *cursor) relocate(ctx context.Context) error {
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("read %s at %d on the %s: %w", c.at, c.next, c.side.name, ctx.Err())
	case <-timer.C:
	}
	found, err := c.side.extents(ctx, []string{c.at.topic})
	if err != nil {
		return err
	}
	e, ok := found[c.at]
	if !ok || e.id != c.extent.id {
		return fmt.Errorf("%s on the %s: %w", c.at, c.side.name, errReplaced)
	}
	c.extent.leader = e.leader
	return nil
}

// again tells errors that pass when a leader moves or a broker comes back.
func again(err error) bool {
	return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err)
}

// one reads the single record at an offset, for a message; nil if it is gone.
func one(ctx context.Context, s *side, at partition, e extent, offset int64) *kgo.Record {
	e.stable = offset + 1
	records, err := newCursor(s, at, e, offset).read(ctx)
	if err != nil || len(records) == 0 || records[0].Offset != offset {
		return nil
	}
	return records[0]
}
