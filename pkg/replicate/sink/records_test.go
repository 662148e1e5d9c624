package sink

import (
	"errors"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestAtLeastOnceWritesDataAtOnce: data is there at once, the ledger's records with the commit; a
// former owner can write no ledger record any more.
func TestAtLeastOnceWritesDataAtOnce(t *testing.T) {
	f := newFixture(t, recordLane)
	f.cfg.ExactlyOnce = false
	old := f.open()
	acked := f.transaction(old, part("orders", 0, 0, 3))
	if got := f.stable("orders", 0); got != 3 || len(acked) != 1 || len(acked[0].Runs) != 3 {
		t.Errorf("before the commit the stable offset is %d and %v has acked, want 3 records", got, acked)
	}
	at, err := old.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("k"), Value: []byte("1")}})
	if err != nil || at[0] != 0 {
		t.Fatalf("commit: %v, %v", at, err)
	}
	f.transaction(old, part("orders", 0, 6, 1))
	f.open()
	if at, err := old.Commit(f.ctx, []chunk.LedgerRecord{{Key: []byte("k"), Value: []byte("zombie")}}); err == nil {
		t.Errorf("the predecessor committed at %v", at)
	}
	if got := f.visible("ledger", 1); len(got) != 1 || string(got[0].Value) != "1" {
		t.Errorf("the ledger holds %v", got)
	}
}

func TestTimestampsThatCanBeCarried(t *testing.T) {
	for ms, want := range map[int64]bool{
		0: false, 1: true, -1: true, -1500: true, maxTimestamp: true, -maxTimestamp: true,
		maxTimestamp + 1: false, -maxTimestamp - 1: false, 1_700_000_000_000_000_000: false,
	} {
		if err := Carries(&chunk.Record{Timestamp: ms}); (err == nil) != want {
			t.Errorf("timestamp %d: %v, want carried: %t", ms, err, want)
		}
	}
}

// TestImpossibleReportFailsTheTransaction: a report without an offset, or out of order, fails the transaction
// instead of making a wrong map.
func TestImpossibleReportFailsTheTransaction(t *testing.T) {
	topic := "orders"
	report := func(at int64, err error) *ck.Message {
		return &ck.Message{TopicPartition: ck.TopicPartition{Topic: &topic, Offset: ck.Offset(at), Error: err}}
	}
	denied := ck.NewError(ck.ErrTopicAuthorizationFailed, "denied", false)
	for why, c := range map[string]struct {
		reports []*ck.Message
		want    string // of the failure
	}{
		"ascending":      {[]*ck.Message{report(5, nil), report(6, nil), report(9, nil)}, ""},
		"without offset": {[]*ck.Message{report(-1001, nil)}, "without a target offset"},
		"later without":  {[]*ck.Message{report(5, nil), report(-1001, nil)}, "after 5"},
		"going back":     {[]*ck.Message{report(5, nil), report(4, nil)}, "after 5"},
		"twice the same": {[]*ck.Message{report(5, nil), report(5, nil)}, "after 5"},
		"purged before the reason": {[]*ck.Message{report(-1001, ck.NewError(ck.ErrPurgeQueue, "purged", false)),
			report(-1001, denied)}, "operation Write on Topic \"orders\" is denied"},
	} {
		s := &Records{cfg: Config{Ledger: "ledger"}, reports: map[chunk.Partition]*partitionReports{}}
		l := s.reportsOf(chunk.Partition{Topic: "orders"}, topic)
		l.pending, s.waiting = []offsets.Source{10, 11, 12}[:len(c.reports)], len(c.reports)
		for _, r := range c.reports {
			s.take(r)
		}
		switch {
		case s.waiting != 0:
			t.Errorf("%s: %d reports are still waited for", why, s.waiting)
		case c.want == "" && (s.failure != nil || len(l.runs) != 2):
			t.Errorf("%s: %v, runs %v", why, s.failure, l.runs)
		case c.want != "" && (s.failure == nil || !strings.Contains(s.failure.Error(), c.want)):
			t.Errorf("%s: failure %v, want %q", why, s.failure, c.want)
		}
	}
}

// TestSlowTargetIsToldFromASilentOne: a target that takes a part of a transaction, and not the rest in time,
// is too slow for it; whoever takes nothing at all has another fault.
func TestSlowTargetIsToldFromASilentOne(t *testing.T) {
	report := func(topic string, number int32, code ck.ErrorCode) *ck.Message {
		m := &ck.Message{TopicPartition: ck.TopicPartition{Topic: &topic, Partition: number, Offset: 5}}
		if code != ck.ErrNoError {
			m.TopicPartition.Error = ck.NewError(code, "said by the test", false)
		}
		return m
	}
	first, late := report("orders", 0, ck.ErrNoError), report("orders", 0, ck.ErrMsgTimedOut)
	other, ledger := report("orders", 1, ck.ErrMsgTimedOut), report("ledger", 0, ck.ErrMsgTimedOut)
	fatal := ck.NewError(ck.ErrFenced, "said by the test", true)
	for _, c := range []struct {
		why    string
		age    time.Duration
		events []ck.Event
		slow   bool
		blamed bool // a partition
	}{
		{"a partition that was taken before", 0, []ck.Event{first, late}, true, false},
		{"beside it one that was not", 0, []ck.Event{first, other, late}, true, false},
		{"only one that was not", 0, []ck.Event{first, other}, false, true},
		{"nothing is taken", 0, []ck.Event{late, other}, false, true},
		{"the ledger's record", 0, []ck.Event{first, ledger}, true, false},
		{"the ledger's record alone", 0, []ck.Event{ledger}, false, false},
		{"connections break", 0, []ck.Event{first, ck.NewError(ck.ErrTransport, "broke", false), late}, false, true},
		{"a record is refused", 0, []ck.Event{first, late, report("orders", 1, ck.ErrMsgSizeTooLarge)}, false, true},
		{"shut out in time", 0, []ck.Event{first, fatal}, false, false},
		{"shut out when it was over", time.Hour, []ck.Event{first, fatal}, true, false},
	} {
		s := &Records{cfg: Config{Ledger: "ledger", Interval: time.Second}, reports: map[chunk.Partition]*partitionReports{},
			begun: time.Now().Add(-c.age)}
		for number := range int32(2) {
			s.reportsOf(chunk.Partition{Topic: "orders", Number: number}, "orders").pending = []offsets.Source{10, 11}
		}
		for _, e := range c.events {
			s.take(e)
		}
		err := s.judged()
		var outlived *Outlived
		var trouble *chunk.Trouble
		var stop *chunk.Stop
		if errors.As(err, &outlived) != c.slow || (errors.As(err, &trouble) || errors.As(err, &stop)) != c.blamed {
			t.Errorf("%s: %v, want too slow: %t, a partition's: %t", c.why, err, c.slow, c.blamed)
		}
	}
}
