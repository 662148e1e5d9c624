package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// content is what a read_committed consumer finds in a topic, by partition.
type content []struct {
	records int64
	sum     uint32 // over timestamps, keys and values in their order
	last    []byte // value of the last record
}

// reader looks into one cluster.
type reader struct {
	bootstrap string
	client    *kgo.Client
	admin     *kadm.Client
}

func openReader(bootstrap string) (*reader, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ClientID("bench"),
		kgo.MetadataMinAge(watchEvery)) // contestants make topics while they are watched
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", bootstrap, err)
	}
	return &reader{bootstrap: bootstrap, client: client, admin: kadm.NewClient(client)}, nil
}

func (r *reader) close() { r.client.Close() }

// stable gives the last stable offset of each of so many partitions; nil while the
// topic is not there yet.
func (r *reader) stable(ctx context.Context, topic string, partitions int) ([]int64, error) {
	listed, err := r.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("ends of %s: %w", topic, err)
	}
	ends := make([]int64, partitions)
	for p := range ends {
		o, ok := listed.Lookup(topic, int32(p))
		if !ok || o.Err != nil {
			return nil, nil
		}
		ends[p] = o.Offset
	}
	return ends, nil
}

// content reads a topic up to its last stable offsets, from so many offsets
// before each of them; 0 reads all.
func (r *reader) content(ctx context.Context, topic string, partitions int, tail int64) (content, error) {
	ends, err := r.stable(ctx, topic, partitions)
	if err != nil {
		return nil, err
	}
	if ends == nil {
		return nil, fmt.Errorf("topic %s is not there, or without leaders", topic)
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, end := range ends {
		start := int64(0)
		if tail > 0 {
			start = max(0, end-tail)
		}
		if start < end {
			from[int32(p)], left[int32(p)] = kgo.NewOffset().At(start), end
		}
	}
	c := make(content, partitions)
	if len(left) == 0 {
		return c, nil
	}
	// Markers are kept to see where a partition ends.
	client, err := kgo.NewClient(kgo.SeedBrokers(r.bootstrap), kgo.ClientID("bench"), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			end, open := left[record.Partition]
			if !open || record.Offset >= end {
				return
			}
			c.add(record)
			if record.Offset == end-1 {
				delete(left, record.Partition)
			}
		})
	}
	return c, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c content) add(record *kgo.Record) {
	if record.Attrs.IsControl() {
		return
	}
	p := &c[record.Partition]
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], uint64(record.Timestamp.UnixMilli()))
	binary.BigEndian.PutUint32(head[8:12], uint32(len(record.Key)))
	binary.BigEndian.PutUint32(head[12:], uint32(len(record.Value)))
	p.records++
	p.sum = crc32.Update(p.sum, castagnoli, head[:])
	p.sum = crc32.Update(p.sum, castagnoli, record.Key)
	p.sum = crc32.Update(p.sum, castagnoli, record.Value)
	p.last = append(p.last[:0], record.Value...)
}

// differs says how the copy c is unlike the original, or "".
func (c content) differs(original content) string {
	var wrong []string
	for p := range c {
		have, want := c[p], original[p]
		switch {
		case have.records != want.records:
			wrong = append(wrong, fmt.Sprintf("partition %d has %d records instead of %d", p, have.records, want.records))
		case have.sum != want.sum:
			wrong = append(wrong, fmt.Sprintf("partition %d has other records, or in another order", p))
		}
	}
	return strings.Join(wrong, "; ")
}

// sameLast tells whether both end with the same records.
func (c content) sameLast(other content) bool {
	for p := range c {
		if !bytes.Equal(c[p].last, other[p].last) {
			return false
		}
	}
	return true
}

// clear deletes what a contestant made on a cluster: all topics but Kafka's own
// and those to keep. It returns when they are gone.
func (r *reader) clear(ctx context.Context, keep ...string) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		all, err := r.admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return fmt.Errorf("list topics: %w", err)
		}
		names := slices.DeleteFunc(all.Names(), func(name string) bool {
			kafkas := name == "__consumer_offsets" || name == "__transaction_state"
			return kafkas || slices.Contains(keep, name)
		})
		if len(names) == 0 {
			return nil
		}
		if _, err := r.admin.DeleteTopics(ctx, names...); err != nil {
			return fmt.Errorf("delete topics %v: %w", names, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("delete topics %v: %w", names, ctx.Err())
		case <-ticker.C:
		}
	}
}
