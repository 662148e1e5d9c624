package sink

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestNothingIsVisibleBeforeTheCommit: AwaitAcks tells where the records are, Commit where the ledger's are;
// before the commit nobody sees anything.
func TestNothingIsVisibleBeforeTheCommit(t *testing.T) {
	onLanes(t, func(f *fixture) {
		s := f.open()
		acked := f.transaction(s, part("orders", 0, 100, 3), dense("orders", 1, 7, 2))
		for p, want := range map[chunk.Partition][]offsets.Run{
			{Topic: "orders", Number: 0}: {{Source: 100, Target: 0, Count: 1}, {Source: 102, Target: 1, Count: 1},
				{Source: 104, Target: 2, Count: 1}},
			{Topic: "orders", Number: 1}: {{Source: 7, Target: 0, Count: 2}},
		} {
			if got := runsOf(acked, p); !reflect.DeepEqual(got, want) {
				f.t.Errorf("%s acked as %v, want %v", p, got, want)
			}
		}
		if end := f.stable("orders", 0); end != 0 {
			f.t.Errorf("before the commit the stable offset is %d", end)
		}
		at, err := s.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b")}})
		if err != nil || !reflect.DeepEqual(at, []int64{0, 1}) {
			f.t.Fatalf("commit: %v, %v", at, err)
		}
		acked = f.transaction(s, part("orders", 0, 106, 1))
		if got := runsOf(acked, chunk.Partition{Topic: "orders"}); len(got) != 1 || got[0].Target != 4 {
			f.t.Errorf("after the marker: %v, want target 4", got)
		}
		if at = f.commit(s, "2"); at[0] != 3 {
			f.t.Fatalf("second commit: %v, want offset 3", at)
		}
		if got := f.visible("orders", 0); len(got) != 4 || got[3].Offset != 4 {
			f.t.Errorf("%d records are visible, want 4", len(got))
		}
		ledger := f.visible("ledger", 1)
		if len(ledger) != 3 || string(ledger[0].Value) != "1" || ledger[1].Value != nil || string(ledger[2].Value) != "2" {
			f.t.Errorf("the ledger holds %v", ledger)
		}
	})
}

// TestEveryLedgerRecordGetsItsOffset: with data or without, however large they are.
func TestEveryLedgerRecordGetsItsOffset(t *testing.T) {
	onLanes(t, func(f *fixture) {
		s := f.open()
		var records []chunk.LedgerRecord
		for i := range 7 {
			records = append(records, chunk.LedgerRecord{Key: []byte{byte(i)}, Value: make([]byte, 100_000)})
		}
		f.must("begin", s.Begin())
		at, err := s.Commit(f.ctx, records)
		if err != nil || !reflect.DeepEqual(at, []int64{0, 1, 2, 3, 4, 5, 6}) {
			f.t.Errorf("commit: %v, %v, want 0 to 6", at, err)
		}
		f.must("begin", s.Begin())
		if at, err = s.Commit(f.ctx, nil); err != nil || len(at) != 0 {
			f.t.Errorf("a commit of nothing: %v, %v", at, err)
		}
		f.transaction(s, part("orders", 0, 0, 1))
		if at = f.commit(s, "1"); len(at) != 1 || at[0] != 8 {
			f.t.Errorf("commit: %v, want 8: after seven records and their marker", at)
		}
		for i, r := range f.visible("ledger", 1) {
			if i < 7 && (r.Key[0] != byte(i) || len(r.Value) != 100_000) {
				f.t.Errorf("ledger record %d has key %v and %d bytes", i, r.Key, len(r.Value))
			}
		}
	})
}

// TestRecordsArriveUnchanged: what may be in a record arrives byte for byte.
func TestRecordsArriveUnchanged(t *testing.T) {
	onLanes(t, func(f *fixture) {
		times := []int64{1, -1, -1500, 1_700_000_000_123, maxTimestamp}
		if f.batches {
			times = append(times, 0) // see Carries
		}
		p := chunk.Part{Partition: chunk.Partition{Topic: "orders"}}
		at := offsets.Source(0)
		for _, bytes := range [][]byte{nil, {}, []byte("x"), {0, 255, 0}} {
			for _, ms := range times {
				p.Records = append(p.Records, chunk.Record{Offset: at, Timestamp: ms, Key: bytes, Value: []byte("v")},
					chunk.Record{Offset: at + 1, Timestamp: ms, Value: bytes, Headers: []chunk.Header{{Key: "b", Value: bytes},
						{Key: "a", Value: nil}, {Key: "b", Value: []byte{}}, {Key: "", Value: []byte("1")}}})
				at += 2
			}
		}
		s := f.open()
		f.transaction(s, p)
		_, err := s.Commit(f.ctx, nil)
		f.must("commit", err)
		got := f.visible("orders", 0)
		if len(got) != len(p.Records) {
			f.t.Fatalf("%d records arrived, want %d", len(got), len(p.Records))
		}
		for i, want := range p.Records {
			r := got[i]
			have := chunk.Record{Offset: want.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				have.Headers = append(have.Headers, chunk.Header{Key: h.Key, Value: h.Value})
			}
			if !reflect.DeepEqual(have, want) {
				f.t.Errorf("record %d arrived as %+v, want %+v", i, have, want)
			}
		}
	})
}

// TestPredecessorIsFenced: a successor's Init ends what its predecessor has open, and from then on
// the predecessor can write and commit nothing, nor end what the successor has begun.
func TestPredecessorIsFenced(t *testing.T) {
	for name, try := range map[string]func(*fixture, door) error{
		"commit": func(f *fixture, old door) error {
			_, err := old.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("k"), Value: []byte("old")}})
			return err
		},
		"commit nothing more": func(f *fixture, old door) error {
			_, err := old.Commit(f.ctx, nil)
			return err
		},
		"write": func(f *fixture, old door) error {
			if err := old.Write(f.ctx, f.carried(part("orders", 0, 6, 1), 1), "orders"); err != nil {
				return err
			}
			_, err := old.AwaitAcks(f.ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onLanes(t, func(f *fixture) {
				old := f.open()
				f.transaction(old, part("orders", 0, 0, 3))
				successor := f.open()
				if end := f.stable("orders", 0); end != 4 {
					f.t.Errorf("after Init the stable offset is %d, want 4: three aborted records and their marker", end)
				}
				f.transaction(successor, part("orders", 0, 0, 2))
				if err := try(f, old); err == nil {
					f.t.Errorf("the predecessor did it")
				}
				old.Close()
				f.commit(successor, "new")
				if got, want := f.values("orders", 0), []string{"0", "2"}; !reflect.DeepEqual(got, want) {
					f.t.Errorf("%v are visible, want the successor's %v", got, want)
				}
				if got, want := f.values("ledger", 1), []string{"new"}; !reflect.DeepEqual(got, want) {
					f.t.Errorf("the ledger holds %v, want %v", got, want)
				}
			})
		})
	}
}

// TestCloseAbortsTheOpenTransaction: an open transaction is aborted at once, so that readers need not wait.
func TestCloseAbortsTheOpenTransaction(t *testing.T) {
	onLanes(t, func(f *fixture) {
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 3))
		s.Close()
		if end := f.stable("orders", 0); end != 4 {
			f.t.Errorf("after Close the stable offset is %d, want 4", end)
		}
		if got := f.visible("orders", 0); len(got) != 0 {
			f.t.Errorf("%d records are visible, want none", len(got))
		}
	})
}

// TestCloseTakesNothingBack: Close takes nothing back.
func TestCloseTakesNothingBack(t *testing.T) {
	onLanes(t, func(f *fixture) {
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 3))
		f.commit(s, "1")
		s.Close()
		if got := f.visible("orders", 0); len(got) != 3 {
			f.t.Errorf("%d records are visible, want 3", len(got))
		}
	})
}

// TestTooLargeRecordIsNamed: the refusal names partition and record, whatever else the transaction
// holds, and nothing of it becomes visible.
func TestTooLargeRecordIsNamed(t *testing.T) {
	onLanes(t, func(f *fixture) {
		s := f.open()
		large := part("small", 0, 40, 1)
		large.Records[0].Value = make([]byte, 5000)
		_, _ = rand.NewChaCha8([32]byte{}).Read(large.Records[0].Value) // it does not compress
		_, err := f.attempt(s, part("orders", 0, 0, 3), large)
		f.stopped(err, chunk.StopTooLarge, large.Partition)
		if err != nil && !strings.Contains(err.Error(), "source offset 40") {
			f.t.Errorf("refused with %v", err)
		}
		s.Close()
		if got := f.visible("orders", 0); len(got) != 0 {
			f.t.Errorf("%d records of the refused transaction are visible", len(got))
		}
	})
}

// TestTopicThatReplacesTimestampsStops: a topic that replaces timestamps shows in its acknowledgements, where
// its settings may not be read. librdkafka does not pass them on.
func TestTopicThatReplacesTimestampsStops(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		s := f.open()
		f.stamp(time.Now().UnixMilli())
		stamped := part("orders", 1, 40, 2)
		_, err := f.attempt(s, stamped)
		f.stopped(err, chunk.StopTopic, stamped.Partition)
	})
}

// TestRefusedPartitionStops: what the target has against one partition stops that one; a new writer
// can go on.
func TestRefusedPartitionStops(t *testing.T) {
	for code, kind := range map[*kerr.Error]string{
		kerr.MessageTooLarge:          chunk.StopTooLarge,
		kerr.TopicAuthorizationFailed: chunk.StopUnauthorized,
		kerr.InvalidTimestamp:         chunk.StopRefused,
		kerr.InvalidRecord:            chunk.StopRefused,
		kerr.PolicyViolation:          chunk.StopRefused,
	} {
		t.Run(code.Message, func(t *testing.T) {
			onLanes(t, func(f *fixture) {
				refuses := f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders",
					Partitions: []int32{1}, Count: -1, Err: code})
				s := f.open()
				_, err := f.attempt(s, part("orders", 0, 0, 3), part("orders", 1, 40, 2))
				f.stopped(err, kind, chunk.Partition{Topic: "orders", Number: 1})
				s.Close()
				refuses.Remove()
				s = f.open()
				f.transaction(s, part("orders", 0, 0, 1), part("orders", 1, 40, 2))
				f.commit(s, "1")
				if a, b := f.values("orders", 0), f.values("orders", 1); len(a) != 1 || len(b) != 2 {
					f.t.Errorf("%v and %v are visible", a, b)
				}
			})
		})
	}
}

func TestMissingTopicStops(t *testing.T) {
	onLanes(t, func(f *fixture) {
		p := part("gone", 0, 0, 1)
		_, err := f.attempt(f.open(), p)
		f.stopped(err, chunk.StopMissing, p.Partition)
	})
}

// TestBusyCoordinatorIsAskedAgain: a coordinator that is still busy with the transaction before is asked again.
func TestBusyCoordinatorIsAskedAgain(t *testing.T) {
	onLanes(t, func(f *fixture) {
		const times = 2
		faults := []kfake.Fault{
			{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.ConcurrentTransactions, Count: times},
			{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions, Count: times},
		}
		if !f.v2 {
			faults = append(faults, kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: "orders",
				Partitions: []int32{0}, Err: kerr.ConcurrentTransactions, Count: times})
		}
		busy := f.fake.Fault(faults...)
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 2), part("orders", 1, 0, 2))
		f.commit(s, "1")
		if got := f.visible("orders", 0); len(got) != 2 || busy.Hits() != times*len(faults) {
			f.t.Errorf("%d records are visible after %d refusals, want 2 after %d", len(got), busy.Hits(), times*len(faults))
		}
	})
}
