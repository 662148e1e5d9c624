package sink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

var (
	orders  = chunk.Partition{Topic: "orders"}
	orders1 = chunk.Partition{Topic: "orders", Number: 1}
)

// stamp is what a producer puts on a batch, by the table of fields in FORMATS.
type stamp struct {
	epoch    int16
	sequence int32
}

func stampOf(b wire.Batch) stamp {
	return stamp{int16(binary.BigEndian.Uint16(b[51:])), int32(binary.BigEndian.Uint32(b[53:]))}
}

// TestBatchesLandInOrder: batches of a partition land in their order, one of it in a request at
// most, however much may be under way; the runs tell where each record is.
func TestBatchesLandInOrder(t *testing.T) {
	const gaps, noGaps, records = 120, 90, 3 // records of either part, and of a batch
	for _, c := range []struct {
		why           string
		window, value int // bytes
	}{
		{"all at once", 1 << 20, 10},
		{"one request under way", 0, 10},
		{"sent while it is written", 1 << 20, 20_000},
		{"sent while it is written, room for little", 100_000, 20_000},
	} {
		t.Run(c.why, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				f.cfg.Window = NewWindow(c.window)
				e := f.listen()
				s := f.open()
				parts := []chunk.Part{part("orders", 0, 0, gaps), dense("orders", 1, 5, noGaps)}
				for _, p := range parts {
					for i := range p.Records {
						p.Records[i].Value = fmt.Appendf(nil, "%0*d", c.value, i)
					}
				}
				for round := range 2 { // sequences go on, or begin anew, as the protocol has it
					acked := f.transaction(s, f.carried(parts[0], records), f.carried(parts[1], records))
					f.commit(s, "1")
					var apart []offsets.Run
					first := offsets.Target(round * (gaps + 1)) // after the marker
					for i := range int64(gaps) {
						apart = append(apart, offsets.Run{Source: offsets.Source(2 * i), Target: first + offsets.Target(i), Count: 1})
					}
					if got := runsOf(acked, orders); !reflect.DeepEqual(got, apart) {
						f.t.Errorf("%s acked as %v", orders, got)
					}
					whole := []offsets.Run{{Source: 5, Target: offsets.Target(round * (noGaps + 1)), Count: noGaps}}
					if got := runsOf(acked, orders1); !reflect.DeepEqual(got, whole) {
						f.t.Errorf("%s acked as %v, want %v", orders1, got, whole)
					}
				}
				f.inOrder(e, chunk.Partition{Topic: "orders", Number: 0}, 2*gaps/records)
				f.inOrder(e, chunk.Partition{Topic: "orders", Number: 1}, 2*noGaps/records)
				for i, got := range f.visible("orders", 0) {
					if want := fmt.Sprintf("%0*d", c.value, i%gaps); string(got.Value) != want {
						f.t.Fatalf("record %d of orders/0 ends in %q", i, got.Value[len(got.Value)-4:])
					}
				}
			})
		})
	}
}

// inOrder holds the sequences of a partition's batches against what the version wants.
func (f *fixture) inOrder(e *ear, at chunk.Partition, want int) {
	f.t.Helper()
	n := 0
	var before stamp
	next := int32(0)
	for _, h := range e.heard() {
		b, ok := h.of[at]
		if !ok || h.key != "Produce" {
			continue
		}
		s := stampOf(b)
		switch {
		case n > 0 && s.epoch != before.epoch && f.v2:
			next = 0
		case n > 0 && s.epoch != before.epoch:
			f.t.Errorf("%v: the epoch went from %d to %d", at, before.epoch, s.epoch)
		}
		if s.sequence != next || !b.Transactional() {
			f.t.Errorf("%v: batch %d has sequence %d of epoch %d, want %d; transactional: %t",
				at, n, s.sequence, s.epoch, next, b.Transactional())
		}
		n, before, next = n+1, s, wire.NextSequence(s.sequence, b.Count())
	}
	if n != want {
		f.t.Errorf("%v: %d batches were sent, want %d", at, n, want)
	}
}

// TestWindowBoundsWhatIsUnderWay: no more is under way than may be, whatever a broker is busy with.
func TestWindowBoundsWhatIsUnderWay(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const most = 300_000
		f.cfg.Window = NewWindow(most)
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 1)) // the first of a partition would go alone
		f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			return nil, nil, true // never answered
		})
		p := dense("orders", 0, 1, 60)
		for i := range p.Records {
			p.Records[i].Value = make([]byte, 50_000)
		}
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		if err := s.Write(ctx, f.carried(p, 1), "orders"); !errors.Is(err, context.DeadlineExceeded) {
			f.t.Errorf("written with nothing acknowledged: %v", err)
		}
		under := f.cfg.Window.used.Load()
		if under > most || under < most-60_000 {
			f.t.Errorf("%d bytes are under way, want nearly %d", under, most)
		}
	})
}

// TestOnlyVersion1AddsPartitions: the first version of the protocol adds a partition before
// anything is sent to it, in every transaction anew; the second never does.
func TestOnlyVersion1AddsPartitions(t *testing.T) {
	newest := batchLane
	lowered := way{name: "a new broker whose transaction.version is 1", batches: true}
	on(t, []way{newest, lowered, oldLane,
		{name: "3.9", batches: true, broker: []kfake.Opt{kfake.MaxVersions(kversion.V3_9_0())}},
		{name: "4.0", batches: true, v2: true, broker: []kfake.Opt{kfake.MaxVersions(kversion.V4_0_0())}},
	}, func(f *fixture) {
		if f.name == lowered.name {
			f.transactionVersion(1)
		}
		e := f.listen()
		s := f.open()
		for range 2 {
			f.must("begin", s.Begin())
			for _, p := range []chunk.Part{part("orders", 0, 0, 2), part("orders", 1, 0, 2), part("orders", 0, 4, 1)} {
				f.must("write", s.Write(f.ctx, f.carried(p, 1), "orders"))
			}
			_, err := s.AwaitAcks(f.ctx)
			f.must("await acks", err)
			f.commit(s, "1")
		}
		f.must("begin", s.Begin())
		if _, err := s.Commit(f.ctx, nil); err != nil { // nobody is told of a transaction that holds nothing
			f.t.Errorf("a commit of nothing: %v", err)
		}
		s.Close() // nor of the end of a writer that has nothing open
		once := []string{"Produce", "Produce", "Produce", "Produce", "EndTxn"}
		if !f.v2 {
			once = slices.Concat([]string{"AddPartitionsToTxn"}, once[:3], []string{"AddPartitionsToTxn"}, once[3:])
		}
		want := slices.Concat([]string{"InitProducerID"}, once, once)
		if got := e.keys(); !reflect.DeepEqual(got, want) {
			f.t.Errorf("sent %v, want %v", got, want)
		}
		f.added(e)
	})
}

// added checks that every batch goes to a partition that its transaction knows.
func (f *fixture) added(e *ear) {
	f.t.Helper()
	known := map[chunk.Partition]bool{}
	for _, h := range e.heard() {
		switch h.key {
		case "AddPartitionsToTxn":
			for p := range h.of {
				known[p] = true
			}
		case "Produce":
			for p := range h.of {
				if !f.v2 && !known[p] {
					f.t.Errorf("%v was written to before it was added", p)
				}
			}
			if v2 := h.version >= 12; v2 != f.v2 {
				f.t.Errorf("Produce has version %d", h.version)
			}
		case "EndTxn":
			if v2 := h.version >= 5; v2 != f.v2 {
				f.t.Errorf("EndTxn has version %d", h.version)
			}
			clear(known)
		}
	}
}

// transactionVersion sets the feature of the same name.
func (f *fixture) transactionVersion(level int16) {
	f.t.Helper()
	client := f.fake.Client()
	request := kmsg.NewPtrUpdateFeaturesRequest()
	feature := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	feature.Feature, feature.MaxVersionLevel, feature.UpgradeType = "transaction.version", level, 2 // safe downgrade
	request.FeatureUpdates = append(request.FeatureUpdates, feature)
	answer, err := request.RequestWith(f.ctx, client)
	f.must("update features", err)
	f.must("update features", kerr.ErrorForCode(answer.ErrorCode))
	for _, result := range answer.Results {
		f.must("update features", kerr.ErrorForCode(result.ErrorCode))
	}
}

// TestFailedTransactionIsNotVisible: what ends the transaction without one partition being to blame. What was
// written is not visible, and a new writer can do the same again.
func TestFailedTransactionIsNotVisible(t *testing.T) {
	anew := func(f *fixture) {
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 2))
		f.commit(s, "again")
		if got := f.values("orders", 0); len(got) != 2 {
			f.t.Errorf("%v are visible, want the new writer's 2", got)
		}
		if got := f.values("ledger", 1); !reflect.DeepEqual(got, []string{"again"}) {
			f.t.Errorf("the ledger holds %v", got)
		}
	}
	for _, c := range []struct {
		key   kmsg.Key
		topic string
		code  *kerr.Error
	}{
		{kmsg.Produce, "orders", kerr.NotLeaderForPartition},
		{kmsg.Produce, "orders", kerr.InvalidProducerEpoch},
		{kmsg.Produce, "orders", kerr.ProducerFenced},
		{kmsg.Produce, "orders", kerr.OutOfOrderSequenceNumber},
		{kmsg.Produce, "orders", kerr.NotEnoughReplicas},
		{kmsg.Produce, "ledger", kerr.MessageTooLarge}, // no partition of the source is to blame
		{kmsg.Produce, "ledger", kerr.TopicAuthorizationFailed},
		{kmsg.EndTxn, "", kerr.ProducerFenced},
		{kmsg.EndTxn, "", kerr.InvalidTxnState},
		{kmsg.AddPartitionsToTxn, "orders", kerr.InvalidProducerEpoch},
		{kmsg.AddPartitionsToTxn, "ledger", kerr.TopicAuthorizationFailed},
	} {
		t.Run(strings.TrimSpace(c.key.Name()+" "+c.topic+" "+c.code.Message), func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				if f.v2 && c.key == kmsg.AddPartitionsToTxn {
					f.t.Skip("is not sent")
				}
				s := f.open()
				fault := f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Topic: c.topic, Err: c.code, Count: -1})
				_, err := f.attempt(s, part("orders", 0, 0, 2))
				if err == nil {
					_, err = s.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("k"), Value: []byte("v")}})
				}
				var stop *chunk.Stop
				if !errors.Is(err, c.code) || errors.As(err, &stop) || fault.Hits() != 1 {
					f.t.Errorf("failed with %v after %d refusals, want %v after 1, and no stop", err, fault.Hits(), c.code)
				}
				fault.Remove()
				s.Close()
				anew(f)
			})
		})
	}
}

// TestPartitionThatMayNotBeAddedStops: a partition that may not be added stops; the others are not to blame.
func TestPartitionThatMayNotBeAddedStops(t *testing.T) {
	f := newFixture(t, oldLane)
	for code, kind := range map[*kerr.Error]string{
		kerr.TopicAuthorizationFailed: chunk.StopUnauthorized,
		kerr.UnknownTopicOrPartition:  chunk.StopMissing,
	} {
		e := f.listen()
		f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: "orders", Partitions: []int32{1},
			Err: code})
		_, err := f.attempt(f.open(), part("orders", 0, 0, 2), part("orders", 1, 0, 2), part("small", 0, 0, 1))
		f.stopped(err, kind, orders1)
		if got, want := e.keys(), []string{"InitProducerID", "AddPartitionsToTxn"}; !reflect.DeepEqual(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
	}
}

// TestUnclearAnswerIsNoLeaveToWrite: an answer has to say that a partition is added.
func TestUnclearAnswerIsNoLeaveToWrite(t *testing.T) {
	for why, spoil := range map[string]func(*kmsg.AddPartitionsToTxnResponse){
		"nothing":         func(r *kmsg.AddPartitionsToTxnResponse) { r.Topics = nil },
		"one is left out": func(r *kmsg.AddPartitionsToTxnResponse) { r.Topics[0].Partitions = r.Topics[0].Partitions[:1] },
		"none was attempted": func(r *kmsg.AddPartitionsToTxnResponse) {
			for i := range r.Topics[0].Partitions {
				r.Topics[0].Partitions[i].ErrorCode = kerr.OperationNotAttempted.Code
			}
		},
	} {
		t.Run(why, func(t *testing.T) {
			f := newFixture(t, oldLane)
			e := f.listen()
			f.fake.ControlKey(int16(kmsg.AddPartitionsToTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
				response := r.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
				topic := kmsg.NewAddPartitionsToTxnResponseTopic()
				topic.Topic = "orders"
				for n := range int32(2) {
					p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
					p.Partition = n
					topic.Partitions = append(topic.Partitions, p)
				}
				response.Topics = append(response.Topics, topic)
				spoil(response)
				return response, nil, true
			})
			if _, err := f.attempt(f.open(), part("orders", 0, 0, 1), part("orders", 1, 0, 1)); err == nil {
				t.Errorf("written")
			}
			for _, key := range e.keys() {
				if key == "Produce" {
					t.Errorf("a batch was sent")
				}
			}
		})
	}
}

// TestImpossibleAcknowledgementFailsTheTransaction: an answer that cannot be true fails the transaction instead of
// making a wrong map.
func TestImpossibleAcknowledgementFailsTheTransaction(t *testing.T) {
	const without = ": the target acknowledged a request without naming"
	for why, c := range map[string]struct {
		said map[int32][]int64 // of two partitions, request by request
		want string
	}{
		"true":            {map[int32][]int64{0: {5, 7, 9}, 1: {0}}, ""},
		"no offset":       {map[int32][]int64{0: {-1}, 1: {0}}, "orders/0: source offset 0 was acknowledged without"},
		"later no offset": {map[int32][]int64{0: {5, 7, -1}, 1: {0}}, "orders/0: source offset 8 was acknowledged without"},
		"going back":      {map[int32][]int64{0: {5, 4}, 1: {0}}, "acknowledged at target offset 4, after 6"},
		"overlapping":     {map[int32][]int64{0: {5, 6}, 1: {0}}, "acknowledged at target offset 6, after 6"},
		"left out":        {map[int32][]int64{0: {5, 7, 9}}, "orders/1" + without},
		"later left out":  {map[int32][]int64{0: {5, 7}, 1: {0}}, "orders/0" + without},
	} {
		t.Run(why, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				s := f.open()
				f.acknowledge(c.said)
				acked, err := f.attempt(s, f.carried(part("orders", 0, 0, 6), 2), part("orders", 1, 0, 1))
				switch {
				case c.want == "" && (err != nil || len(runsOf(acked, orders)) != 6):
					f.t.Errorf("%v, %v", acked, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					f.t.Errorf("failed with %v, want %q", err, c.want)
				}
			})
		})
	}
}

// TestFailureThatNamesItsPartitionCounts: of several failures of one request the one that names its partition counts.
func TestFailureThatNamesItsPartitionCounts(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		s := f.open()
		f.fake.Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{0},
				Err: kerr.NotLeaderForPartition},
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{1},
				Err: kerr.MessageTooLarge})
		_, err := f.attempt(s, part("orders", 0, 0, 1), part("orders", 1, 0, 1))
		f.stopped(err, chunk.StopTooLarge, orders1)
	})
}

// TestBatchesGoToTheLeader: batches go to the broker that leads their partition, and when another one
// does, a new writer finds it.
func TestBatchesGoToTheLeader(t *testing.T) {
	for _, lane := range []way{batchLane, oldLane} {
		t.Run(lane.name, func(t *testing.T) {
			f := newFixture(t, lane, kfake.NumBrokers(3))
			f.must("move", f.fake.MoveTopicPartition("orders", 0, 0))
			f.must("move", f.fake.MoveTopicPartition("orders", 1, 1))
			f.must("move", f.fake.MoveTopicPartition("ledger", 1, 2))
			s := f.open()
			for range 2 {
				f.transaction(s, f.carried(part("orders", 0, 0, 10), 1), f.carried(part("orders", 1, 0, 10), 2))
				f.commit(s, "1")
			}
			f.must("move", f.fake.MoveTopicPartition("orders", 0, 2))
			_, err := f.attempt(s, part("orders", 0, 20, 1), part("orders", 1, 20, 1))
			var stop *chunk.Stop
			if !errors.Is(err, kerr.NotLeaderForPartition) || errors.As(err, &stop) {
				t.Errorf("written to a broker that leads no more: %v", err)
			}
			s.Close()
			s = f.open()
			f.transaction(s, part("orders", 0, 20, 1), part("orders", 1, 20, 1))
			f.commit(s, "2")
			if a, b := f.values("orders", 0), f.values("orders", 1); len(a) != 21 || len(b) != 21 {
				t.Errorf("%d and %d records are visible, want 21 each", len(a), len(b))
			}
		})
	}
}

// TestLostAnswerFailsTheTransaction: a request whose answer is lost fails the transaction.
func TestLostAnswerFailsTheTransaction(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		s := f.open()
		f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			return nil, errors.New("the connection is closed"), true
		})
		if acked, err := f.attempt(s, f.carried(part("orders", 0, 0, 6), 2)); err == nil {
			f.t.Errorf("acked as %v", acked)
		}
		s.Close()
		if got := f.visible("orders", 0); len(got) != 0 {
			f.t.Errorf("%d records are visible", len(got))
		}
	})
}
