package source

import (
	"errors"
	"reflect"
	"slices"
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

// heard is a request as a broker hears it.
type heard struct {
	id, epoch int32
	named     map[int32]int64 // from where partitions of the only topic are asked for
}

// ear hears what one broker is asked.
type ear struct {
	f    *fixture
	mu   sync.Mutex
	all  []heard
	came chan struct{} // holds one where there may be more
	says func(heard, *kmsg.FetchRequest) *kmsg.FetchResponse
}

// listen hears what a broker is asked. Nil, as what it says, lets the broker answer by itself.
func (f *fixture) listen(node int32, says func(heard, *kmsg.FetchRequest) *kmsg.FetchResponse) *ear {
	e := &ear{f: f, came: make(chan struct{}, 1), says: says}
	f.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		request := r.(*kmsg.FetchRequest)
		if f.fake.CurrentNode() != node {
			return nil, nil, false
		}
		h := heard{request.SessionID, request.SessionEpoch, named(request)}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, h)
		select {
		case e.came <- struct{}{}:
		default:
		}
		if e.says != nil {
			if response := e.says(h, request); response != nil {
				return response, nil, true
			}
		}
		return nil, nil, false
	})
	return e
}

// take waits for the next request.
func (e *ear) take() heard {
	e.f.t.Helper()
	for {
		e.mu.Lock()
		if len(e.all) > 0 {
			h := e.all[0]
			e.all = e.all[1:]
			e.mu.Unlock()
			return h
		}
		e.mu.Unlock()
		select {
		case <-e.came:
		case <-e.f.ctx.Done():
			e.f.t.Fatal("no request comes")
		}
	}
}

// wants compares the next requests; one that opens a session tells its id.
func (e *ear) wants(why string, want ...heard) {
	e.f.t.Helper()
	for i, w := range want {
		if got := e.take(); !reflect.DeepEqual(got, w) {
			e.f.t.Fatalf("%s: request %d is %+v, want %+v", why, i, got, w)
		}
	}
}

// calm is certain that nothing was told as trouble.
func (f *fixture) calm() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.troubles) > 0 {
		f.t.Errorf("trouble was told: %v", f.troubles)
	}
}

// settled assigns both partitions of orders, the first of which has two records, and
// waits until a session is used. It gives the session's id.
func (f *fixture) settled(e *ear) int32 {
	f.t.Helper()
	f.store(orders, f.encode(numbered(2)...))
	f.assign(start(orders), start(orders1))
	f.upTo(2)
	e.wants("until a session", heard{0, -1, map[int32]int64{0: 0, 1: 0}}, heard{0, 0, map[int32]int64{0: 2, 1: 0}})
	h := e.take()
	if h.id == 0 || h.epoch != 1 || len(h.named) != 0 {
		f.t.Fatalf("the first request of the session is %+v", h)
	}
	return h.id
}

// TestSessionNamesOnlyWhatHasMoved: at the ends of the logs a broker is only told what has moved, and nothing
// is lost or doubled by it.
func TestSessionNamesOnlyWhatHasMoved(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		e := f.listen(0, nil)
		id := f.settled(e)
		for n := range offsets.Source(3) {
			f.store(orders, f.encode(numbered(1)...))
			if seen, _ := f.upTo(3 + n); !reflect.DeepEqual(seen, upward(2+n, 3+n)) {
				f.t.Errorf("read %v, want %d", seen, 2+n)
			}
			for {
				h := e.take()
				if h.id != id {
					f.t.Fatalf("%+v is not of session %d", h, id)
				}
				if len(h.named) == 0 {
					continue // half a second without news
				}
				if want := map[int32]int64{0: int64(3 + n)}; !reflect.DeepEqual(h.named, want) {
					f.t.Errorf("named %v, want %v", h.named, want)
				}
				break
			}
		}
		f.store(orders1, f.encode(numbered(4)...))
		if got := f.all(map[chunk.Partition]offsets.Source{orders1: 4}); len(got[orders1]) != 4 || len(got[orders]) != 0 {
			f.t.Errorf("read %d and %d records, want 4 of the second partition", len(got[orders]), len(got[orders1]))
		}
		f.calm()
	})
}

// TestSessionCatchesUp: as long as a partition has something left, all are named, in turn.
func TestSessionCatchesUp(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.open(10) // one batch each time
		for range 3 {
			f.store(orders, f.encode(numbered(2)...))
		}
		e := f.listen(0, nil)
		f.assign(start(orders), start(orders1))
		f.upTo(6)
		e.wants("before a session", heard{0, -1, map[int32]int64{0: 0, 1: 0}}, heard{0, -1, map[int32]int64{0: 2, 1: 0}},
			heard{0, -1, map[int32]int64{0: 4, 1: 0}}, heard{0, 0, map[int32]int64{0: 6, 1: 0}})
		id := e.take().id
		for range 3 {
			f.store(orders1, f.encode(numbered(2)...))
		}
		if got := f.all(map[chunk.Partition]offsets.Source{orders1: 6}); len(got[orders1]) != 6 {
			f.t.Errorf("read %d records, want 6", len(got[orders1]))
		}
		for h := e.take(); h.epoch != -1; h = e.take() { // one that comes alone is read in the session
			if h.epoch > 0 && h.id != id {
				f.t.Errorf("%+v is not of session %d", h, id)
			}
			if h.named[1] == 6 {
				break
			}
		}
		f.calm()
	})
}

// TestRefusedSessionLosesNothing: a session that the broker does not know or want is no trouble, and
// nothing is lost by it.
func TestRefusedSessionLosesNothing(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.FetchSessionIDNotFound, kerr.InvalidFetchSessionEpoch,
		kerr.FetchSessionTopicIDError} {
		t.Run(code.Message, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				refuses := func(h heard) bool { return h.epoch > 0 && len(h.named) > 0 }
				e := f.listen(0, func(h heard, r *kmsg.FetchRequest) *kmsg.FetchResponse {
					if !refuses(h) {
						return nil
					}
					refused := r.ResponseKind().(*kmsg.FetchResponse)
					refused.ErrorCode = code.Code
					return refused
				})
				id := f.settled(e)
				f.store(orders, f.encode(numbered(2)...))
				if seen, _ := f.upTo(4); !reflect.DeepEqual(seen, upward(2, 4)) {
					f.t.Errorf("read %v, want 2 and 3", seen)
				}
				h := e.take()
				for ; len(h.named) == 0; h = e.take() { // half a second without news
				}
				if h.id != id || !reflect.DeepEqual(h.named, map[int32]int64{0: 4}) {
					f.t.Errorf("the request that is refused is %+v", h)
				}
				e.wants("after it", heard{0, 0, map[int32]int64{0: 4, 1: 0}})
				if again := e.take(); again.id == id || again.epoch != 1 {
					f.t.Errorf("after a session was opened again, %+v comes", again)
				}
				f.calm()

				f.open(1 << 20)
				e.mu.Lock()
				refuses = func(h heard) bool { return h.epoch == 0 } // it has no sessions at all, and says so
				e.mu.Unlock()
				f.assign(f.from(0))
				f.upTo(4)
				for h = e.take(); h.epoch != 0; h = e.take() {
				}
				for range 2 {
					e.wants("without any", heard{0, -1, map[int32]int64{0: 4}})
				}
				f.calm()
			})
		})
	}
}

// TestSessionEndsWithItsConnection: a session ends with the connection that breaks in it. All partitions are
// named anew, which closes it, and nothing is lost or doubled.
func TestSessionEndsWithItsConnection(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		e := f.listen(0, nil)
		id := f.settled(e)
		f.fake.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			return nil, errors.New("the connection breaks"), true
		})
		f.store(orders, f.encode(numbered(2)...))
		if seen, _ := f.upTo(4); !reflect.DeepEqual(seen, upward(2, 4)) {
			f.t.Errorf("read %v, want 2 and 3", seen)
		}
		h := e.take()
		for ; h.epoch > 0; h = e.take() {
		}
		if h.id != id || h.epoch != -1 || len(h.named) != 2 {
			f.t.Errorf("after the connection broke, %+v comes", h)
		}
	})
}

// TestSessionIsAskedForWhereABrokerHasNoRoom: a broker that has no room for a session is asked for one each time.
func TestSessionIsAskedForWhereABrokerHasNoRoom(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		e := f.listen(0, func(h heard, r *kmsg.FetchRequest) *kmsg.FetchResponse {
			full := f.fetched(r, says{0: holds(0), 1: holds(0)})
			full.SessionID = 0
			return full
		})
		f.assign(start(orders), start(orders1))
		f.silent("nothing is there")
		both := map[int32]int64{0: 0, 1: 0}
		e.wants("without room", heard{0, -1, both}, heard{0, 0, both}, heard{0, 0, both})
		f.calm()
	})
}

// TestSessionNamesAllAnewWhenPartitionsChange: when partitions leave or come, all are named anew. The session from
// before is closed by that, also where it was a former assignment's.
func TestSessionNamesAllAnewWhenPartitionsChange(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.must("move", f.fake.MoveTopicPartition("orders", 0, 0))
		f.must("move", f.fake.MoveTopicPartition("orders", 1, 0))
		e := f.listen(0, nil)
		id := f.settled(e)
		f.must("move", f.fake.MoveTopicPartition("orders", 1, 1))
		f.store(orders1, f.encode(numbered(2)...))
		if got := f.all(map[chunk.Partition]offsets.Source{orders1: 2}); len(got[orders1]) != 2 {
			f.t.Errorf("read %d records from the new leader, want 2", len(got[orders1]))
		}
		h := e.take()
		for ; h.epoch > 0 && h.id == id; h = e.take() {
		}
		if want := (heard{id, 0, map[int32]int64{0: 2}}); !reflect.DeepEqual(h, want) {
			f.t.Errorf("when one has left: %+v, want %+v", h, want)
		}
		id = e.take().id
		f.must("move", f.fake.MoveTopicPartition("orders", 1, 0))
		f.store(orders1, f.encode(numbered(2)...))
		f.all(map[chunk.Partition]offsets.Source{orders1: 4})
		for h = e.take(); h.epoch > 0 && h.id == id; h = e.take() {
		}
		if want := (heard{id, -1, map[int32]int64{0: 2, 1: 2}}); !reflect.DeepEqual(h, want) {
			f.t.Errorf("when one has come: %+v, want %+v", h, want)
		}
		for h = e.take(); h.epoch <= 0; h = e.take() {
		}
		f.assign(f.from(2))
		f.silent("all was read before")
		for h, id = e.take(), h.id; h.epoch > 0 && h.id == id; h = e.take() {
		}
		if want := (heard{id, -1, map[int32]int64{0: 2}}); !reflect.DeepEqual(h, want) {
			f.t.Errorf("assigned anew: %+v, want %+v", h, want)
		}
	}, kfake.NumBrokers(2))
}

// TestWhatASessionLeavesUnsaidComesLater: what a broker leaves unsaid in a session comes when all are named
// again.
func TestWhatASessionLeavesUnsaidComesLater(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		e := f.listen(0, func(h heard, r *kmsg.FetchRequest) *kmsg.FetchResponse {
			switch {
			case h.epoch < 0:
				return f.fetched(r, says{0: holds(0), 1: holds(0)})
			case h.epoch > 0:
				return f.fetched(r, nil)
			case h.id == 0:
				return f.fetched(r, says{0: holds(0), 1: holds(0)})
			}
			return f.fetched(r, says{0: holds(2, at(0, f.encode(numbered(2)...))), 1: holds(0)})
		})
		f.reader.(*Batches).renewal = 100 * time.Millisecond
		f.assign(start(orders), start(orders1))
		f.upTo(2)
		both := map[int32]int64{0: 0, 1: 0}
		e.wants("until a session", heard{0, -1, both}, heard{0, 0, both})
		h := e.take()
		for n := int32(1); h.epoch > 0; n++ { // as many as the broker manages in that time, maybe none
			if want := (heard{scripted, n, map[int32]int64{}}); !reflect.DeepEqual(h, want) {
				f.t.Fatalf("in the session: %+v, want %+v", h, want)
			}
			h = e.take()
		}
		if want := (heard{scripted, 0, both}); !reflect.DeepEqual(h, want) {
			f.t.Errorf("when all are named again: %+v, want %+v", h, want)
		}
	})
}

// TestRecreatedTopicIsRefusedInASession: a topic that is deleted, or made again under its name, while a
// session knows it is refused.
func TestRecreatedTopicIsRefusedInASession(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		for _, again := range []bool{true, false} {
			e := f.listen(0, nil)
			f.settled(e)
			f.must("delete", f.fake.DeleteTopic("orders"))
			if again {
				f.fake.Topic("orders", 2)
			}
			f.unreadable("in a session")
		}
	})
}

// TestSessionAnswerCountsForWhatItSays: what comes in a session, or does not, counts for no more than it says.
func TestSessionAnswerCountsForWhatItSays(t *testing.T) {
	aborted := func(f *fixture) kmsg.FetchResponseTopicPartition {
		data, marker := f.encode(numbered(2)...), f.encode(numbered(1)...)
		data.Stamp(wire.Producer{ID: 7, Transactional: true}, 0)
		marker[22] |= 0x20
		marker.Stamp(wire.Producer{ID: 7, Transactional: true}, 0)
		p := holds(3, at(0, data), at(2, marker))
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 7}}
		return p
	}
	open := holds(0)
	open.HighWatermark = 2
	one := func(f *fixture, base, stable int64) kmsg.FetchResponseTopicPartition {
		return holds(stable, at(base, f.encode(numbered(1)...)))
	}
	for _, c := range []struct {
		why     string
		answers func(*fixture) []says // in the session, and after it
		want    []progress
		epochs  []int32 // of all requests that are answered
	}{
		{"a transaction is open, then aborted", func(f *fixture) []says { return []says{{0: open}, {0: aborted(f)}} },
			[]progress{{orders, 3, 0}}, []int32{-1, 0, 1, 2}},
		{"the stable end is told, and nothing else", func(*fixture) []says {
			return []says{{0: holds(10)}, {0: holds(10), 1: holds(0)}}
		}, []progress{{orders, 10, 0}}, []int32{-1, 0, 1, -1}},
		{"the stable end is told too early", func(f *fixture) []says {
			return []says{{0: holds(1)}, {0: one(f, 0, 1), 1: holds(0)}}
		}, []progress{{orders, 1, 1}}, []int32{-1, 0, 1, -1}},
		{"others fill the answers", func(f *fixture) []says {
			return []says{{0: holds(1), 1: one(f, 0, 1)}, {0: holds(1), 1: one(f, 1, 2)}, {0: one(f, 0, 1), 1: holds(2)}}
		}, []progress{{orders1, 1, 1}, {orders1, 2, 1}, {orders, 1, 1}}, []int32{-1, 0, 1, -1, -1}},
		{"others fill the answers, and once this one is named first", func(f *fixture) []says {
			return []says{{}, {1: one(f, 0, 1)}, {0: one(f, 0, 1), 1: holds(2)}, {0: one(f, 1, 2), 1: holds(2)},
				{0: one(f, 2, 3), 1: holds(2)}, {0: holds(3), 1: one(f, 1, 2)}}
		}, []progress{{orders1, 1, 1}, {orders, 1, 1}, {orders, 2, 1}, {orders, 3, 1}, {orders1, 2, 1}},
			[]int32{-1, 0, 1, 2, 3, -1, -1, -1}},
		{"the broker throttles", func(f *fixture) []says {
			return []says{{}, {0: holds(1)}, {}, {0: holds(1), 1: holds(0)}, {0: one(f, 0, 1), 1: holds(0)}}
		}, []progress{{orders, 1, 1}}, []int32{-1, 0, 1, 2, -1, -1, -1}},
		{"an answer is cut", func(f *fixture) []says {
			whole := f.encode(numbered(1)...)
			return []says{{0: holds(1, whole[:20])}, {0: holds(1, whole), 1: holds(0)}}
		}, []progress{{orders, 1, 1}}, []int32{-1, 0, 1, -1}},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFixture(t, batchLane)
			f.script(slices.Concat(twice(says{0: holds(0), 1: holds(0)}), c.answers(f))...)
			f.assign(start(orders), start(orders1))
			var got []progress
			for len(got) < len(c.want) {
				for _, part := range f.next().Parts {
					got = append(got, progress{part.Partition, part.Next, len(f.records(part))})
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("came %v, want %v", got, c.want)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if !reflect.DeepEqual(f.epochs[:len(c.epochs)], c.epochs) {
				t.Errorf("asked in epochs %v, want %v", f.epochs, c.epochs)
			}
		})
	}
}

// TestSessionReportsAChangedEpoch: that only the epoch of what was read last has changed is told as well;
// else the broker would say for ever that the log diverges.
func TestSessionReportsAChangedEpoch(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		f.listen(0, func(h heard, r *kmsg.FetchRequest) *kmsg.FetchResponse {
			switch p := holds(2); h.epoch {
			case -1, 0:
				return f.fetched(r, says{0: p})
			case 1:
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 0, 2 // nothing was cut
				return f.fetched(r, says{0: p})
			}
			if h.epoch == 2 && (len(h.named) != 1 || r.Topics[0].Partitions[0].LastFetchedEpoch != chunk.UnknownEpoch) {
				f.t.Errorf("after the log diverged, %+v comes", h)
			}
			return f.fetched(r, says{0: holds(4, at(2, f.encode(numbered(2)...)))})
		})
		from := f.from(2)
		from.Epoch = 1
		f.assign(from)
		f.upTo(4)
		f.calm()
	})
}
