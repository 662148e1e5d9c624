package integration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

// newPair writes a configuration with flows in both directions under the same names.
func newPair(t *testing.T, lines ...string) *site {
	t.Helper()
	source, target := shared(t)
	s := newSite(t, source, target, lines...)
	back := fmt.Sprintf("  - from: new\n    to: old\n    ledger: __replicator.%s-back\n    refresh_interval: 1s\n"+
		"    group_sync_interval: 300ms\n    sync_topic_configs: false\n", unique(t))
	for _, line := range lines {
		back += "    " + line + "\n"
	}
	s.edit("http: ", back+"http: ")
	return s
}

// record is one of a log, by what must not change.
type record struct {
	partition int32
	digest    [32]byte
}

// shownBy reads what a cluster shows of a topic, in order.
func shownBy(ctx context.Context, t *testing.T, bootstrap, topic string) (list []record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	must(t, err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	must(t, err)
	left := map[int32]int64{}
	for n, end := range ends[topic] {
		if must(t, end.Err); end.Offset > 0 {
			left[n] = end.Offset
		}
	}
	for len(left) > 0 {
		fetched := client.PollFetches(ctx)
		must(t, fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				list = append(list, record{r.Partition, digestOf(r)})
			}
		})
		fetched.EachPartition(func(f kgo.FetchTopicPartition) {
			if n := len(f.Records); n > 0 && f.Records[n-1].Offset+1 >= left[f.Partition] {
				delete(left, f.Partition)
			}
		})
	}
	return list
}

// digestOf is over all of a record that must be the same on both sides.
func digestOf(r *kgo.Record) (sum [32]byte) {
	h := sha256.New()
	part := func(b []byte) {
		size := int64(len(b))
		if b == nil {
			size = -1
		}
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
		h.Write(b)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.Timestamp.UnixMilli())))
	part(r.Key)
	part(r.Value)
	for _, header := range r.Headers {
		part([]byte(header.Key))
		part(header.Value)
	}
	h.Sum(sum[:0])
	return sum
}

// bothHold waits until both sides show the same records of a topic, each once, so many in all.
func bothHold(ctx context.Context, t *testing.T, s *site, topic string, want int) {
	t.Helper()
	var source, target []record
	for {
		source, target = shownBy(ctx, t, s.source.Bootstrap(), topic), shownBy(ctx, t, s.target.Bootstrap(), topic)
		if len(source) >= want && len(target) >= want {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("topic %s: %d records on the source, %d on the target, want %d", topic, len(source), len(target), want)
		case <-time.After(200 * time.Millisecond):
		}
	}
	order := func(a, b record) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), bytes.Compare(a.digest[:], b.digest[:]))
	}
	slices.SortFunc(source, order)
	slices.SortFunc(target, order)
	if !slices.Equal(source, target) || len(source) != want || len(slices.Compact(source)) != want {
		t.Fatalf("topic %s: %d records on the source, %d on the target, want %d, the same ones, each once", topic,
			len(source), len(target), want)
	}
}

// TestBothDirectionsUnderTheSameNames: applications write on both sides, in transactions and without, while the daemon
// is killed again and again; a topic is lost on either side. Each record is on each side once, unchanged.
func TestBothDirectionsUnderTheSameNames(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	topic := unique(t)
	s := newPair(t, fmt.Sprintf("topics: [%s]", topic), "groups: []")
	sides := []string{s.source.Bootstrap(), s.target.Bootstrap()}
	for _, bootstrap := range sides {
		must(t, workload.Topics(ctx, bootstrap, 3, workload.KeepConfigs(), topic))
	}
	var records, want int     // written in all, and of these what is not aborted
	write := func(each int) { // on both sides at once
		t.Helper()
		done := make(chan workload.Written, len(sides))
		for i, bootstrap := range sides {
			from := records + i*each
			go func() {
				w, err := workload.Mixed(ctx, bootstrap, topic, workload.MixedSpec{
					Seed: uint64(from + 1), Records: each, Partitions: 3, From: from})
				if err != nil {
					t.Errorf("write: %v", err)
				}
				done <- w
			}()
		}
		for range sides {
			want += (<-done).Visible
		}
		records += len(sides) * each
	}
	write(2000)
	d := s.run()
	bothHold(ctx, t, s, topic, want)

	random := rand.New(rand.NewPCG(5, 6))
	written := make(chan struct{})
	go func() {
		defer close(written)
		write(6000)
	}()
	kills := 0
	for writing := true; writing; kills++ {
		select {
		case <-written:
			writing = false
		case <-time.After(time.Duration(300+random.IntN(1500)) * time.Millisecond): // at no particular moment
		}
		d.kill()
		d = s.run()
	}
	t.Logf("%d records, %d of them visible, killed %d times", records, want, kills)
	bothHold(ctx, t, s, topic, want)

	for i, bootstrap := range sides {
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(bootstrap, ",")...))
		must(t, err)
		defer client.Close()
		kept := shownBy(ctx, t, sides[1-i], topic)
		admin := kadm.NewClient(client)
		_, err = admin.DeleteTopic(ctx, topic)
		must(t, err)
		eventually(t, time.Minute, "the topic is made again", func() bool {
			listed, err := admin.ListTopics(ctx, topic)
			must(t, err)
			return listed.Has(topic) && len(listed[topic].Partitions) == 3
		})
		write(500) // while it is refilled
		bothHold(ctx, t, s, topic, want)
		if refilled := shownBy(ctx, t, bootstrap, topic); len(refilled) < len(kept) {
			t.Errorf("it was refilled with %d records of %d", len(refilled), len(kept))
		}
	}
	d.stop()
}
