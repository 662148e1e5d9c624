package sink

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestTooEarlyBatchesAreSentAgain: while the target is busy with the transaction before, it takes nothing of
// the next one; what was sent all the same is sent again, whole and in order.
func TestTooEarlyBatchesAreSentAgain(t *testing.T) {
	on(t, []way{batchLane}, func(f *fixture) {
		const records, times = 40, 3
		s := f.open()
		for round := range 3 {
			busy := f.fake.Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{0}, Count: times,
					Err: kerr.ConcurrentTransactions},
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "ledger", Count: 1, Err: kerr.ConcurrentTransactions})
			p := dense("orders", 0, 0, records)
			for i := range p.Records {
				p.Records[i].Value = fmt.Append(nil, round*records+i)
			}
			f.transaction(s, f.carried(p, 4), part("orders", 1, 0, 2))
			f.commit(s, "1")
			if busy.Hits() != times+1 {
				f.t.Errorf("round %d: refused %d times", round, busy.Hits())
			}
		}
		got := f.values("orders", 0)
		for i := range got {
			if got[i] != fmt.Sprint(i) {
				f.t.Fatalf("record %d is %s", i, got[i])
			}
		}
		if len(got) != 3*records || len(f.values("orders", 1)) != 6 {
			f.t.Errorf("%d records are visible, want %d", len(got), 3*records)
		}
	})
}

// TestFirstBatchGoesAlone: what follows a batch that may come too early waits for its answer.
// Sent with it, all would be refused, each for the price of a stack trace in the broker's
// log, and be sent once more.
func TestFirstBatchGoesAlone(t *testing.T) {
	on(t, []way{batchLane}, func(f *fixture) {
		e := f.listen()
		s := f.open()
		const batches, times = 10, 2
		for round := range offsets.Source(2) {
			f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{0}, Count: times,
				Err: kerr.ConcurrentTransactions})
			before := len(e.keys())
			f.transaction(s, f.carried(dense("orders", 0, round*batches, batches), 1))
			sent := 0
			for _, key := range e.keys()[before:] {
				if key == "Produce" {
					sent++
				}
			}
			if sent != batches+times {
				f.t.Errorf("round %d: sent %d requests, want %d", round, sent, batches+times)
			}
			f.commit(s, "1")
		}
	})
}

// TestNewPartitionIsWrittenTo: a partition that was made after its topic was first written to is written to.
func TestNewPartitionIsWrittenTo(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		s := f.open()
		f.transaction(s, part("small", 0, 0, 1))
		f.commit(s, "1")
		request := kmsg.NewPtrCreatePartitionsRequest()
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = "small", 2
		request.Topics = append(request.Topics, topic)
		_, err := request.RequestWith(f.ctx, f.fake.Client())
		f.must("grow", err)
		f.transaction(s, part("small", 1, 0, 1))
		f.commit(s, "2")
		if got := f.values("small", 1); len(got) != 1 {
			f.t.Errorf("%v are visible", got)
		}
	})
}

// TestPushSendsWhatIsAtHand: what is at hand goes out together, at once where nothing is under way.
func TestPushSendsWhatIsAtHand(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		e := f.listen()
		s := f.open()
		f.must("begin", s.Begin())
		for number := range int32(2) {
			p := part("orders", number, 0, 2)
			f.must("write", s.Write(f.ctx, f.carried(p, 2), "orders"))
		}
		f.must("push", s.Push(f.ctx))
		f.must("push", s.Push(f.ctx)) // nothing waits
		_, err := s.AwaitAcks(f.ctx)
		f.must("await acks", err)
		sent := 0
		for _, key := range e.keys() {
			if key == "Produce" {
				sent++
			}
		}
		if sent != 1 {
			f.t.Errorf("sent %d requests: %v", sent, e.keys())
		}
		f.commit(s, "1")
	})
}

// TestPassingTroubleIsNoStop: what may pass by itself names its partition, and is no stop yet.
func TestPassingTroubleIsNoStop(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.LeaderNotAvailable, kerr.UnknownServerError} {
		t.Run(code.Message, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{1},
					Count: -1, Err: code})
				_, err := f.attempt(f.open(), part("orders", 0, 0, 2), part("orders", 1, 0, 2))
				var trouble *chunk.Trouble
				var stop *chunk.Stop
				if !errors.As(err, &trouble) || trouble.Partition != orders1 || errors.As(err, &stop) {
					f.t.Fatalf("failed with %v", err)
				}
				if stop := trouble.Stop(); stop.Partition != orders1 || stop.Remedy() == "" || !errors.Is(stop, code) {
					f.t.Errorf("it becomes %v", stop)
				}
			})
		})
	}
}

// TestAgedTransactionIsToldFromAFencedOne: a transaction that the target has ended for its age is told from one that
// another writer has shut out.
func TestAgedTransactionIsToldFromAFencedOne(t *testing.T) {
	for age, want := range map[time.Duration]bool{0: false, time.Hour: true} {
		b := transaction{lasts: (&Config{Interval: time.Second}).lasts(), began: true, begun: time.Now().Add(-age)}
		err := b.noted(fmt.Errorf("write: %w", kerr.InvalidProducerEpoch))
		var outlived *Outlived
		if errors.As(err, &outlived) != want || !errors.Is(err, kerr.InvalidProducerEpoch) || b.began {
			t.Errorf("after %s: %v", age, err)
		}
		if want && chunk.Remedy(err) == "" {
			t.Error("nothing says what to do")
		}
	}
}
