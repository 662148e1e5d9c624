package source

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestOnlyCommittedRecordsComeOut: aborted records and markers do not come out; progress stands
// behind them, and in front of an open transaction.
func TestOnlyCommittedRecordsComeOut(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.begin(2)
		f.end(true) // 0 1, marker 2
		f.begin(3)
		f.end(false) // 3 4 5, marker 6
		f.begin(1)
		f.end(true) // 7, marker 8
		f.begin(2)
		f.end(false) // 9 10, marker 11
		f.assign(f.from(0))
		seen, last := f.upTo(12)
		epoch := chunk.UnknownEpoch // librdkafka tells none with the end of a partition
		if f.batches {
			epoch = f.fake.PartitionInfo("orders", 0).Epoch
		}
		want := []offsets.Source{0, 1, 7}
		if !reflect.DeepEqual(seen, want) || last.Next != 12 || last.Epoch != epoch {
			f.t.Errorf("read %v up to %d (epoch %d), want %v up to 12, epoch %d", seen, last.Next, last.Epoch, want, epoch)
		}
		f.begin(2) // 12 13, open
		behind := &kgo.Record{Topic: "orders", Value: []byte("behind it")}
		f.must("produce", f.plain.ProduceSync(f.ctx, behind).FirstErr())
		f.silent("from an open transaction on")
		f.end(true) // marker 15
		seen, last = f.upTo(16)
		if want := []offsets.Source{12, 13, 14}; !reflect.DeepEqual(seen, want) || last.Next != 16 {
			f.t.Errorf("read %v up to %d, want %v up to 16", seen, last.Next, want)
		}
		f.wasRebuilt(map[string]int{})
	})
}

// TestReadingBeginsAtThePosition: reading begins exactly there, also between records, within a batch,
// at the end, and behind the beginning of a transaction that is aborted later.
func TestReadingBeginsAtThePosition(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.begin(2)
		f.end(true)                               // 0 1, marker 2
		f.store(orders, f.encode(numbered(4)...)) // 3-6, one batch
		f.begin(1)                                // 7, aborted at 12
		f.store(orders, f.encode(numbered(2)...)) // 8-9, in between
		f.more(2)                                 // 10 11
		f.end(false)                              // marker 12
		f.store(orders, f.encode(numbered(1)...)) // 13
		visible := []offsets.Source{0, 1, 3, 4, 5, 6, 8, 9, 13}
		inside := 0
		for at := range offsets.Source(14) {
			var want []offsets.Source
			for _, o := range visible {
				if o >= at {
					want = append(want, o)
				}
			}
			f.assign(f.from(at))
			if seen, _ := f.upTo(14); !reflect.DeepEqual(seen, want) {
				f.t.Errorf("from %d: read %v, want %v", at, seen, want)
			}
			if at > 3 && at <= 6 || at == 9 {
				inside++
			}
			if inside > 0 {
				f.wasRebuilt(map[string]int{"progress_inside": inside})
			}
		}
	})
}

// TestRecordsComeOutUnchanged: what may be in a record comes out as it is, from whole batches and from
// within one.
func TestRecordsComeOutUnchanged(t *testing.T) {
	var want []chunk.Record
	var out []*kgo.Record
	for i, bytes := range [][]byte{nil, {}, []byte("x"), {0, 255, 0}} {
		for j, ms := range []int64{0, 5, -1, -1500, 1_700_000_000_123} {
			r := chunk.Record{Offset: offsets.Source(5*i + j), Timestamp: ms, Key: bytes, Value: bytes}
			if j > 1 {
				r.Headers = []chunk.Header{{Key: "b", Value: bytes}, {Key: "a"}, {Key: "b", Value: []byte{}}, {Value: []byte("1")}}
			}
			want = append(want, r)
			copied := &kgo.Record{Topic: "orders", Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(ms)}
			for _, h := range r.Headers {
				copied.Headers = append(copied.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			out = append(out, copied)
		}
	}
	onLanes(t, func(f *fixture) {
		for _, r := range out[:10] {
			f.must("produce", f.plain.ProduceSync(f.ctx, &kgo.Record{Topic: "orders", Key: r.Key, Value: r.Value,
				Headers: r.Headers, Timestamp: r.Timestamp}).FirstErr())
		}
		f.store(orders, f.encode(out[10:]...))
		for _, first := range []int{0, 13} {
			f.assign(f.from(offsets.Source(first)))
			got := f.all(map[chunk.Partition]offsets.Source{orders: 20})[orders]
			if len(got) != len(want)-first {
				f.t.Fatalf("from %d: %d records came, want %d", first, len(got), len(want)-first)
			}
			for i, want := range want[first:] {
				if !reflect.DeepEqual(got[i], want) {
					f.t.Errorf("record %d came as %+v, want %+v", first+i, got[i], want)
				}
			}
		}
		f.wasRebuilt(map[string]int{"progress_inside": 1})
	})
}

// TestCompactedBatchesKeepTheirOffsets: what compaction has left of a batch comes out where it stands.
func TestCompactedBatchesKeepTheirOffsets(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.must("create topic", f.fake.CreateTopic("latest", 1, map[string]string{
			"cleanup.policy": "compact", "retention.ms": "-1"}))
		latest := chunk.Partition{Topic: "latest"}
		for _, keys := range []string{"zabcd", "ab", "bx", "c", "q"} { // 0-4 5-6 7-8 9 10
			records := numbered(len(keys))
			for i, r := range records {
				r.Key = []byte{keys[i]}
			}
			f.store(latest, f.encode(records...))
		}
		f.fake.Compact()
		f.assign(start(latest))
		got := f.all(map[chunk.Partition]offsets.Source{latest: 11})[latest]
		// z of the first batch is left with d behind it, a of the second at its beginning.
		want := []offsets.Source{0, 4, 5, 7, 8, 9, 10}
		if !reflect.DeepEqual(offsetsOf(got), want) || string(got[1].Key) != "d" || string(got[1].Value) != "4" {
			f.t.Errorf("read %v, want %v", offsetsOf(got), want)
		}
		f.wasRebuilt(map[string]int{"gaps": 1})
	})
}

// TestReassignedPartitionBeginsAnew: what was assigned before is not heard of any more, and what is
// assigned again begins anew.
func TestReassignedPartitionBeginsAnew(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.begin(5)
		f.end(true)
		f.assign(f.from(0))
		f.upTo(1)
		f.assign(start(orders1))
		f.silent("from a partition that is not assigned any more")
		f.assign()
		f.silent("with nothing assigned")
		f.assign(f.from(2))
		if seen, _ := f.upTo(6); !reflect.DeepEqual(seen, []offsets.Source{2, 3, 4}) {
			f.t.Errorf("assigned again from 2: read %v", seen)
		}
	})
}

// TestPositionBeyondTheLogIsRefused: a position that the source does not have is refused, not replaced by another.
func TestPositionBeyondTheLogIsRefused(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.begin(5)
		f.end(true)
		var below kadm.Offsets
		below.AddOffset("orders", 0, 3, -1)
		_, err := kadm.NewClient(f.client).DeleteRecords(f.ctx, below)
		f.must("delete records", err)
		for why, at := range map[string]offsets.Source{"before the log's start": 1, "behind its end": 100} {
			f.assign(f.from(at))
			f.unreadable(why)
		}
		denied := f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Count: -1,
			Err: kerr.TopicAuthorizationFailed})
		f.assign(f.from(3))
		f.unreadable("not allowed")
		denied.Remove()
	})
}

// unreadable expects that what is assigned is refused, and opens a reader that may go on.
func (f *fixture) unreadable(why string) {
	f.t.Helper()
	var unreadable *Unreadable
	if err := f.refusal(); !errors.As(err, &unreadable) || unreadable.Remedy() == "" {
		f.t.Errorf("%s: %v, want Unreadable", why, err)
	}
	f.open(1 << 20)
}

// TestDeletedTopicIsRefused: a topic that is deleted is refused, and so is one that was made again under its name.
func TestDeletedTopicIsRefused(t *testing.T) {
	onLanes(t, func(f *fixture) {
		for _, again := range []bool{true, false} {
			for range 3 {
				f.store(orders, f.encode(numbered(2)...))
			}
			f.assign(f.from(0))
			f.upTo(6)
			f.must("delete", f.fake.DeleteTopic("orders"))
			if again {
				f.fake.Topic("orders", 2)
			}
			f.unreadable(fmt.Sprintf("deleted, made again: %t", again))
		}
	})
}

// TestCancellingEndsTheWaiting: a cancelled context ends the waiting, also in front of a broker that is silent.
func TestCancellingEndsTheWaiting(t *testing.T) {
	onLanes(t, func(f *fixture) {
		f.assign(f.from(0))
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		began := time.Now()
		c, err := f.reader.Next(ctx, Limit{Records: 10, Bytes: 1 << 20, Wait: 20 * time.Second})
		if err != nil || len(c.Parts) != 0 || time.Since(began) > 10*time.Second {
			f.t.Errorf("after %s: %v, %v", time.Since(began), c.Parts, err)
		}
	})
}
