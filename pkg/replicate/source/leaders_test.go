package source

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestLeaderlessPartitionWaitsAlone: a partition without a leader waits for one while the others are read on,
// on the connections that are there.
func TestLeaderlessPartitionWaitsAlone(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		away := f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Partitions: []int32{1},
			Count: -1, Err: kerr.LeaderNotAvailable})
		f.assign(start(orders), start(orders1))
		for round := range offsets.Source(4) {
			f.store(orders, f.encode(numbered(2)...))
			if seen, _ := f.upTo(2 * (round + 1)); len(seen) != 2 {
				f.t.Errorf("round %d: read %v", round, seen)
			}
		}
		f.store(orders1, f.encode(numbered(3)...))
		if away.Hits() == 0 {
			f.t.Error("the broker was never asked for the leader that is away")
		}
		away.Remove()
		for {
			if part := f.next().Parts[0]; part.Partition == orders1 {
				if part.Next != 3 {
					f.t.Errorf("its progress is %d, want 3", part.Next)
				}
				return
			}
		}
	})
}

// TestNearerReplicaIsRead: where the leader names a replica that is nearer, that one is read, and when
// it cannot go on, the leader again (KIP-392).
func TestNearerReplicaIsRead(t *testing.T) {
	on(t, []way{batchLane}, func(f *fixture) {
		leader := f.fake.LeaderFor("orders", 0)
		follower := (leader + 1) % 3
		var mu sync.Mutex
		var asked []int32
		sent := false
		f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			request := r.(*kmsg.FetchRequest)
			mu.Lock()
			defer mu.Unlock()
			node, from := f.fake.CurrentNode(), named(request)[0]
			asked = append(asked, node)
			if request.Rack != "near" {
				f.t.Errorf("asked from rack %q", request.Rack)
			}
			var p kmsg.FetchResponseTopicPartition
			switch {
			case node == leader && !sent:
				p = holds(2)
				p.PreferredReadReplica = follower
				sent = true
			case node == follower && from == 0:
				p = holds(2, at(0, f.encode(numbered(2)...)))
			case node == follower:
				p = holds(-1)
				p.ErrorCode = kerr.OffsetOutOfRange.Code
			case from == 2:
				p = holds(4, at(2, f.encode(numbered(2)...)))
			default:
				return nil, nil, true // as if parked
			}
			return f.fetched(request, says{0: p}), nil, true
		})
		f.rack = "near"
		f.open(1 << 20)
		f.assign(start(orders))
		seen, last := f.upTo(4)
		if want := upward(0, 4); !reflect.DeepEqual(seen, want) || last.Next != 4 {
			f.t.Errorf("read %v up to %d, want %v", seen, last.Next, want)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []int32{leader, follower, follower, leader}; !reflect.DeepEqual(asked[:4], want) {
			f.t.Errorf("asked brokers %v, want %v first", asked, want)
		}
	}, kfake.NumBrokers(3))
}

// TestEpochWithoutRecordsIsNoCut: a leader may come and go without writing. Its epoch is no reason to
// believe that the log was cut.
func TestEpochWithoutRecordsIsNoCut(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		nothing := holds(2)
		nothing.DivergingEpoch.Epoch, nothing.DivergingEpoch.EndOffset = 0, 2
		f.script(says{0: nothing}, says{0: holds(4, at(2, f.encode(numbered(2)...)))})
		at := f.from(2)
		at.Epoch = 1
		f.assign(at)
		if seen, last := f.upTo(4); len(seen) != 2 || last.Next != 4 {
			f.t.Errorf("read %v up to %d", seen, last.Next)
		}
	})
}

// TestUnreadableLogNamesItsPartition: what is wrong with one partition's log names that partition.
func TestUnreadableLogNamesItsPartition(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		for _, code := range []*kerr.Error{kerr.UnknownServerError, kerr.CorruptMessage} {
			refused := holds(-1)
			refused.ErrorCode = code.Code
			f.script(says{0: holds(0), 1: refused})
			f.assign(start(orders), start(orders1))
			f.stops(orders1, chunk.StopUnreadable, code)
			f.open(1 << 20)
		}
	})
}

// stops waits for the Stop of a partition.
func (f *fixture) stops(p chunk.Partition, kind string, code error) {
	f.t.Helper()
	err := f.refusal()
	var stop *chunk.Stop
	if !errors.As(err, &stop) || stop.Partition != p || stop.Kind != kind || stop.Remedy() == "" || !errors.Is(err, code) {
		f.t.Errorf("refused with %v, want %s of %s: %v", err, kind, p, code)
	}
}

// TestPartitionRefusedForLongStops: a partition that its leader refuses for long stops, and the reason is
// told; a source that is away as a whole is no reason.
func TestPartitionRefusedForLongStops(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Partitions: []int32{1}, Count: -1,
			Err: kerr.KafkaStorageError})
		f.reader.(*Batches).patience = 600 * time.Millisecond
		f.assign(start(orders), start(orders1))
		f.stops(orders1, chunk.StopUnavailable, kerr.KafkaStorageError)
	})
}

// TestThrottlingIsObeyed: a broker that asks for a pause gets it (KIP-219).
func TestThrottlingIsObeyed(t *testing.T) {
	on(t, []way{batchLane}, func(f *fixture) {
		const pause = 300 * time.Millisecond
		var mu sync.Mutex
		var asked []time.Time
		f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, time.Now())
			request := r.(*kmsg.FetchRequest)
			switch len(asked) {
			case 1:
				response := f.fetched(request, nil)
				response.ThrottleMillis = int32(pause.Milliseconds())
				return response, nil, true
			case 2:
				return f.fetched(request, says{0: holds(2, at(0, f.encode(numbered(2)...)))}), nil, true
			}
			return nil, nil, true
		})
		f.assign(start(orders))
		if seen, _ := f.upTo(2); len(seen) != 2 {
			f.t.Errorf("read %v", seen)
		}
		mu.Lock()
		defer mu.Unlock()
		if got := asked[1].Sub(asked[0]); got < pause {
			f.t.Errorf("asked again after %s", got)
		}
	})
}
