package source

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// TestBatchesTravelUntouched: a batch travels as the source stores it, byte for byte, and a part tells
// its leader epoch and largest time.
func TestBatchesTravelUntouched(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.must("move", f.fake.MoveTopicPartition("orders", 0, f.fake.LeaderFor("orders", 0)))
		records := numbered(3)
		records[0].Timestamp = time.UnixMilli(5000) // not the last one has the largest
		b := f.encode(records...)
		f.store(orders, b)
		f.assign(f.from(0))
		part := f.next().Parts[0]
		if part.Epoch != 1 || part.Newest != 5000 || part.Next != 3 || len(part.Batches) != 1 {
			f.t.Fatalf("epoch %d, newest %d, next %d, %d batches", part.Epoch, part.Newest, part.Next, len(part.Batches))
		}
		const base, epoch, magic = 0, 12, 16 // the broker's own: not under the checksum
		got := part.Batches[0]
		if got.First != 0 || got.Count != 3 || got.Offsets != nil || !slices.Equal(got.Raw[magic:], b[magic:]) ||
			!slices.Equal(got.Raw[base:epoch], b[base:epoch]) {
			f.t.Errorf("stored %x, came as %x", b, got.Raw)
		}
	})
}

// TestRecordsComeOnceWhileLeadersMove: whatever becomes of the leaders, every record comes once and in order.
func TestRecordsComeOnceWhileLeadersMove(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.assign(start(orders), start(orders1))
		var seen []offsets.Source
		end := offsets.Source(0)
		for round := range int32(4) {
			for range 3 {
				f.store(orders, f.encode(numbered(2)...))
			}
			if round == 2 { // while the records wait; else while the reader does
				f.must("move", f.fake.MoveTopicPartition("orders", 0, (f.fake.LeaderFor("orders", 0)+1)%3))
			}
			end += 6
			more, last := f.upTo(end)
			seen = append(seen, more...)
			if last.Next != end {
				f.t.Errorf("progress is %d, want %d", last.Next, end)
			}
			f.fake.ShufflePartitionLeaders()
		}
		if want := upward(0, end); !reflect.DeepEqual(seen, want) {
			f.t.Errorf("read %v, want %v", seen, want)
		}
	}, kfake.NumBrokers(3))
}

// TestEachBrokerIsAskedForWhatItLeads: each broker is asked for what it leads, and for nothing else.
func TestEachBrokerIsAskedForWhatItLeads(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const partitions, brokers = 6, 3
		f.fake.Topic("many", partitions)
		id := f.fake.TopicInfo("many").TopicID
		var positions []chunk.Position
		ends := map[chunk.Partition]offsets.Source{}
		for n := range int32(partitions) {
			p := chunk.Partition{Topic: "many", Number: n}
			f.must("move", f.fake.MoveTopicPartition("many", n, n%brokers))
			f.store(p, f.encode(numbered(int(n)+1)...))
			positions, ends[p] = append(positions, start(p)), offsets.Source(n)+1
		}
		var mu sync.Mutex
		asked := map[int32]map[int32]bool{} // partitions, by broker
		f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			mu.Lock()
			defer mu.Unlock()
			node := f.fake.CurrentNode()
			for _, topic := range r.(*kmsg.FetchRequest).Topics {
				if topic.Topic != "many" && topic.TopicID != id {
					f.t.Errorf("broker %d was asked for another topic", node)
				}
				for _, p := range topic.Partitions {
					if asked[node] == nil {
						asked[node] = map[int32]bool{}
					}
					asked[node][p.Partition] = true
				}
			}
			return nil, nil, false
		})
		f.assign(positions...)
		got := f.all(ends)
		for p, end := range ends {
			if !reflect.DeepEqual(offsetsOf(got[p]), upward(0, end)) {
				f.t.Errorf("%s: read %v, want all up to %d", p, offsetsOf(got[p]), end)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		want := map[int32]map[int32]bool{0: {0: true, 3: true}, 1: {1: true, 4: true}, 2: {2: true, 5: true}}
		if !reflect.DeepEqual(asked, want) {
			f.t.Errorf("asked for %v, want %v", asked, want)
		}
	}, kfake.NumBrokers(3))
}

// TestPartitionsTakeTurns: where an answer has room for one batch only, partitions take turns, and a
// larger batch comes nevertheless.
func TestPartitionsTakeTurns(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.open(100)
		large := numbered(1)[0]
		large.Value = make([]byte, 10_000)
		for _, p := range []chunk.Partition{orders, orders1} {
			for range 4 {
				f.store(p, f.encode(large))
			}
		}
		f.assign(start(orders), start(orders1))
		before := chunk.Partition{}
		for range 8 {
			c := f.next()
			if len(c.Parts) != 1 || c.Records != 1 || c.Parts[0].Partition == before {
				f.t.Fatalf("after a batch of %s, %s came", before, c.Parts[0].Partition)
			}
			before = c.Parts[0].Partition
		}
	})
}

// TestTooLargeBatchIsSplit: a batch that the target would refuse for its size is split; a single
// record travels as it is, for the target to judge.
func TestTooLargeBatchIsSplit(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		records := numbered(20)
		for _, r := range records {
			r.Value = make([]byte, 300)
			_, _ = rand.NewChaCha8([32]byte{}).Read(r.Value)
		}
		f.store(orders, f.encode(records...))     // 0-19: rebuilt
		f.store(orders, f.encode(numbered(2)...)) // 20-21: fits
		records[0].Value = make([]byte, 3000)
		f.store(orders, f.encode(records[0])) // 22: cannot be split
		f.most = 2000
		for _, first := range []offsets.Source{0, 7} {
			f.assign(f.from(first))
			part := f.next().Parts[0]
			if got := offsetsOf(f.records(part)); !reflect.DeepEqual(got, upward(first, 23)) {
				f.t.Errorf("read %v, want all from %d to 22", got, first)
			}
			for _, b := range part.Batches[:len(part.Batches)-1] {
				if len(b.Raw) > f.most {
					f.t.Errorf("the batch at %d has %d bytes, the target takes %d", b.First, len(b.Raw), f.most)
				}
			}
			if n := len(part.Batches); n < 5 || part.Batches[n-1].Count != 1 || part.Batches[n-1].Offsets != nil {
				f.t.Errorf("%d batches, the last one with offsets %v", n, part.Batches[n-1].Offsets)
			}
		}
		f.wasRebuilt(map[string]int{"too_large": 1, "progress_inside": 1})
	})
}

// TestFormsThatNoBrokerTakesAreRebuilt: batches that no broker takes from a producer come out in a form that it does.
func TestFormsThatNoBrokerTakesAreRebuilt(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		stamped := f.encode(numbered(3)...)
		stamped[22] |= 8                                    // log append time
		maxTimestamp := int64(1002)                         // then every record's
		stamped.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1) // seals it
		f.script(says{0: holds(8, at(0, stamped), oldFormat(5, 6))})
		f.assign(f.from(0))
		part := f.next().Parts[0]
		got := f.records(part)
		if !reflect.DeepEqual(offsetsOf(got), []offsets.Source{0, 1, 2, 5, 6}) || part.Next != 7 ||
			part.Epoch != chunk.UnknownEpoch {
			f.t.Errorf("read %v up to %d, epoch %d", offsetsOf(got), part.Next, part.Epoch)
		}
		for _, r := range got[:3] {
			if r.Timestamp != maxTimestamp {
				f.t.Errorf("record %d has time %d, want %d", r.Offset, r.Timestamp, maxTimestamp)
			}
		}
		f.wasRebuilt(map[string]int{"log_append_time": 1, "old_format": 2})
	})
}

// oldFormat is a message of magic 1 at each of the offsets.
func oldFormat(at ...int64) wire.Batch {
	var all wire.Batch
	for _, offset := range at {
		m := kmsg.MessageV1{Offset: offset, Magic: 1, Timestamp: 7, Key: []byte("k"), Value: []byte("v")}
		m.MessageSize = int32(len(m.AppendTo(nil)) - 12)
		m.CRC = int32(crc32.ChecksumIEEE(m.AppendTo(nil)[16:]))
		all = m.AppendTo(all)
	}
	return all
}

// TestEmptiedBatchIsProgress: a batch of which compaction has left nothing but its header is progress.
func TestEmptiedBatchIsProgress(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		empty := kmsg.RecordBatch{FirstOffset: 0, Magic: 2, LastOffsetDelta: 4, ProducerID: -1, ProducerEpoch: -1,
			FirstSequence: -1, PartitionLeaderEpoch: 3}
		empty.Length = int32(len(empty.AppendTo(nil)) - 12)
		raw := wire.Batch(empty.AppendTo(nil))
		binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
		f.script(says{0: holds(5, raw)})
		f.assign(f.from(0))
		c := f.next()
		if part := c.Parts[0]; c.Records != 0 || !part.Empty() || part.Next != 5 || part.Epoch != 3 {
			f.t.Errorf("%d records up to %d, epoch %d", c.Records, part.Next, part.Epoch)
		}
		f.wasRebuilt(map[string]int{})
	})
}

// TestAbortedRecordsAreLeftOut: what belongs to an aborted transaction is told from what its producer
// wrote before and after, and from what others wrote meanwhile.
func TestAbortedRecordsAreLeftOut(t *testing.T) {
	const ours, other = 7, 8
	written := func(f *fixture, base, producer int64, transactional, control bool) wire.Batch {
		b := f.encode(numbered(1)...)
		if control {
			b[22] |= 0x20
		}
		b.Stamp(wire.Producer{ID: producer, Transactional: transactional}, 0)
		return at(base, b)
	}
	onBatchLanes(t, func(f *fixture) {
		p := holds(9,
			written(f, 0, ours, true, false),  // aborted
			written(f, 1, other, true, false), // committed
			written(f, 2, ours, false, false), // no transaction
			written(f, 3, ours, true, true),   // marker
			written(f, 4, ours, true, false),  // the next one of the same producer is committed
			written(f, 5, ours, true, true),
			written(f, 6, ours, true, false), // aborted
			written(f, 7, other, true, true),
			written(f, 8, ours, true, true))
		for _, first := range []int64{6, 0} { // not every broker sorts
			p.AbortedTransactions = append(p.AbortedTransactions,
				kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: ours, FirstOffset: first})
		}
		f.script(says{0: p})
		f.assign(f.from(0))
		seen, last := f.upTo(9)
		if want := []offsets.Source{1, 2, 4}; !reflect.DeepEqual(seen, want) || last.Next != 9 {
			f.t.Errorf("read %v up to %d, want %v up to 9", seen, last.Next, want)
		}
	})
}

// TestClaimedBatchesAreProgressOnly: what the opposite flow wrote is progress and nothing else; while it cannot
// be told, nothing moves.
func TestClaimedBatchesAreProgressOnly(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const ours, other, nobody = 7, 8, -1
		var batches []wire.Batch
		for i, producer := range []int64{other, ours, nobody, ours} {
			b := f.encode(numbered(2)...)
			b.Stamp(wire.Producer{ID: producer}, 0)
			batches = append(batches, at(int64(2*i), b))
		}
		tries := 0
		f.leftOut = func(_ context.Context, batch chunk.Written) (bool, error) {
			if tries++; tries == 1 {
				return false, errors.New("the ledger does not answer")
			}
			if batch.Producer == nobody || batch.Partition != f.from(0).Partition || batch.Offset%2 != 1 ||
				time.Since(batch.Seen) > time.Minute {
				f.t.Errorf("asked about %+v", batch)
			}
			return batch.Producer == ours, nil
		}
		f.open(1 << 20)
		p := holds(8, batches...)
		f.script(says{0: p}, says{0: p})
		f.assign(f.from(0))
		seen, last := f.upTo(8)
		if want := []offsets.Source{0, 1, 4, 5}; !reflect.DeepEqual(seen, want) || last.Next != 8 {
			f.t.Errorf("read %v up to %d, want %v up to 8", seen, last.Next, want)
		}
	})
}

// TestDamagedBatchStopsItsPartition: what has changed on its way stops its partition, after what stands before it.
func TestDamagedBatchStopsItsPartition(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		for why, spoil := range map[string]func(wire.Batch){
			"is damaged":  func(b wire.Batch) { b[len(b)-1]++ },
			"has magic 3": func(b wire.Batch) { b[16] = 3 },
			"claims":      func(b wire.Batch) { binary.BigEndian.PutUint32(b[8:], 20) },
			"it breaks off at": func(b wire.Batch) { // as many records as promised are not there, and the checksum is right
				b[60]++
				b[26]++
				b.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1)
				b[22] |= 8 // only a batch that is taken apart is looked into
				b.Stamp(wire.Producer{ID: -1, Epoch: -1}, -1)
			},
		} {
			bad := f.encode(numbered(2)...)
			spoil(bad)
			f.script(says{0: holds(5, at(0, f.encode(numbered(3)...)), at(3, bad))}, says{0: holds(5, at(3, bad))})
			f.assign(f.from(0))
			if seen, last := f.upTo(3); len(seen) != 3 || last.Next != 3 {
				f.t.Errorf("%s: read %v up to %d before it", why, seen, last.Next)
			}
			err := f.refusal()
			var stop *chunk.Stop
			if !errors.As(err, &stop) || stop.Kind != chunk.StopUnreadable || stop.Partition != orders ||
				!strings.Contains(err.Error(), "batch at offset 3") || !strings.Contains(err.Error(), why) {
				f.t.Errorf("%s: refused with %v", why, err)
			}
			f.open(1 << 20)
		}
	})
}

// TestRestOfAShortAnswerIsAskedForAgain: the whole batches of an answer are taken, and the rest is asked for again.
func TestRestOfAShortAnswerIsAskedForAgain(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		first, second := at(0, f.encode(numbered(3)...)), at(3, f.encode(numbered(2)...))
		f.script(says{0: holds(5, first, second[:len(second)-1])}, says{0: holds(5, second[:10])}, says{0: holds(5, second)})
		f.assign(f.from(0))
		seen, last := f.upTo(5)
		if !reflect.DeepEqual(seen, upward(0, 5)) || last.Next != 5 {
			f.t.Errorf("read %v up to %d, want all up to 5", seen, last.Next)
		}
		if got, want := f.askedFor()[:3], []int64{0, 3, 3}; !reflect.DeepEqual(got, want) {
			f.t.Errorf("asked from %v, want %v", got, want)
		}
	})
}

// TestPartitionThatIsRefusedForNowIsReadOn: what a broker says of one partition instead of records. Where it may
// pass, reading goes on by itself, without loss or doubling.
func TestPartitionThatIsRefusedForNowIsReadOn(t *testing.T) {
	for code, passes := range map[*kerr.Error]bool{
		kerr.NotLeaderForPartition: true, kerr.FencedLeaderEpoch: true, kerr.UnknownLeaderEpoch: true,
		kerr.KafkaStorageError: true, kerr.OffsetNotAvailable: true, kerr.ReplicaNotAvailable: true,
		kerr.TopicAuthorizationFailed: false, kerr.OffsetOutOfRange: false, kerr.UnknownTopicID: false,
		kerr.InconsistentTopicID: false, kerr.UnknownTopicOrPartition: false,
	} {
		t.Run(code.Message, func(t *testing.T) {
			f := newFixture(t, batchLane)
			f.store(orders, f.encode(numbered(2)...))
			f.store(orders1, f.encode(numbered(2)...))
			f.assign(start(orders), start(orders1))
			f.all(map[chunk.Partition]offsets.Source{orders: 2, orders1: 2})
			f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Partitions: []int32{0}, Err: code})
			if !passes {
				f.unreadable(code.Message)
				return
			}
			f.store(orders, f.encode(numbered(2)...))
			f.store(orders1, f.encode(numbered(2)...))
			got := f.all(map[chunk.Partition]offsets.Source{orders: 4, orders1: 4})
			for p, records := range got {
				if !reflect.DeepEqual(offsetsOf(records), upward(2, 4)) {
					t.Errorf("%s: read %v, want 2 and 3", p, offsetsOf(records))
				}
			}
		})
	}
}

// TestFailedAnswerIsAskedForAgain: an answer that is an error as a whole, or none, is asked for again.
func TestFailedAnswerIsAskedForAgain(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.store(orders, f.encode(numbered(2)...))
		f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopLevel: true, Err: kerr.UnknownServerError})
		f.assign(f.from(0))
		if seen, _ := f.upTo(2); !reflect.DeepEqual(seen, upward(0, 2)) {
			f.t.Errorf("after an error: read %v", seen)
		}
		f.store(orders, f.encode(numbered(2)...))
		f.fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			return nil, errors.New("the connection is closed"), true
		})
		if seen, _ := f.upTo(4); !reflect.DeepEqual(seen, upward(2, 4)) {
			f.t.Errorf("after a lost connection: read %v", seen)
		}
	})
}

// TestUnknownTopicIsReadOnceItIsThere: a topic that the source does not know yet does not keep the others
// waiting, and is read as soon as it is there.
func TestUnknownTopicIsReadOnceItIsThere(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		late := chunk.Partition{Topic: "late"}
		f.store(orders, f.encode(numbered(2)...))
		f.assign(f.from(0), start(late))
		f.upTo(2)
		f.fake.Topic("late", 1)
		f.store(late, f.encode(numbered(3)...))
		f.store(orders, f.encode(numbered(2)...))
		got := f.all(map[chunk.Partition]offsets.Source{late: 3, orders: 4})
		if !reflect.DeepEqual(offsetsOf(got[late]), upward(0, 3)) ||
			!reflect.DeepEqual(offsetsOf(got[orders]), upward(2, 4)) {
			f.t.Errorf("read %v and %v", offsetsOf(got[late]), offsetsOf(got[orders]))
		}
	})
}

// TestDeniedMetadataIsReported: where already the leaders are not told for want of a right, that is
// said, not retried in silence.
func TestDeniedMetadataIsReported(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Count: -1,
			Err: kerr.TopicAuthorizationFailed})
		f.assign(f.from(0))
		f.unreadable("no right to describe")
	})
}

// TestTruncatedLogIsRefused: where the source has lost records that were copied, and may have others
// in their place, nothing comes out. (librdkafka does not ask.)
func TestTruncatedLogIsRefused(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.store(orders, f.encode(numbered(8)...))
		f.assign(f.from(0))
		_, last := f.upTo(8)
		f.cut(3)
		f.must("move", f.fake.MoveTopicPartition("orders", 0, f.fake.LeaderFor("orders", 0)))
		f.store(orders, f.encode(numbered(2)...))
		f.unreadable("while it was read")
		at := f.from(last.Next)
		at.Epoch = last.Epoch
		f.assign(at)
		f.unreadable("before it was read")
	})
}

// cut lets the broker answer as if leader epoch 0 had ended there (KIP-595), which kfake
// cannot do by itself.
func (f *fixture) cut(end int64) {
	f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		request := r.(*kmsg.FetchRequest)
		if len(request.Topics) == 0 {
			return nil, nil, false
		}
		asked := request.Topics[0].Partitions[0]
		if asked.LastFetchedEpoch != 0 || asked.FetchOffset <= end || asked.CurrentLeaderEpoch != 1 {
			return nil, nil, false
		}
		p := kmsg.NewFetchResponseTopicPartition()
		p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 0, end
		return f.fetched(request, says{0: p}), nil, true
	})
}
