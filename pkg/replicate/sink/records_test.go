package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// fixture is a target with topics orders (2 partitions), small and the ledger.
type fixture struct {
	t    *testing.T
	ctx  context.Context
	fake *kfake.Cluster
	cfg  Config
}

func newFixture(t *testing.T, exactlyOnce bool) *fixture {
	t.Helper()
	t.Parallel()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders", "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	if err := fake.CreateTopic("small", 1, map[string]string{"max.message.bytes": "1000"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return &fixture{t: t, ctx: ctx, fake: fake, cfg: Config{
		Target: kafka.Config{Name: "new",
			Properties: map[string]string{"bootstrap.servers": strings.Join(fake.ListenAddrs(), ",")}},
		TransactionalID: "replicator.old.new.1", ExactlyOnce: exactlyOnce, Ledger: "ledger", Shard: 1,
		Interval: 100 * time.Millisecond,
	}}
}

func (f *fixture) open() *Records {
	f.t.Helper()
	s, err := OpenRecords(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := s.Init(f.ctx); err != nil {
		f.t.Fatalf("init: %v", err)
	}
	return s
}

// part is n records of a partition from a source offset on, every other offset.
func part(topic string, number int32, from offsets.Source, n int) chunk.Part {
	p := chunk.Part{Partition: chunk.Partition{Topic: topic, Number: number}}
	for i := range n {
		at := from + offsets.Source(2*i)
		p.Records = append(p.Records, chunk.Record{Offset: at, Timestamp: 1000 + int64(at), Value: fmt.Append(nil, at)})
	}
	return p
}

// transaction writes parts and gives what they have landed as.
func (f *fixture) transaction(s *Records, parts ...chunk.Part) []Landed {
	f.t.Helper()
	if err := s.Begin(); err != nil {
		f.t.Fatal(err)
	}
	for _, p := range parts {
		if err := s.Write(f.ctx, p, p.Partition.Topic); err != nil {
			f.t.Fatal(err)
		}
	}
	landed, err := s.Settle(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	return landed
}

// visible reads what a committed reader sees in a partition.
func (f *fixture) visible(topic string, number int32) []*kgo.Record {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.fake.ListenAddrs()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {number: kgo.NewOffset().AtStart()}}))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	if f.stable(topic, number) == 0 {
		return nil
	}
	// A record of our own, after everything else, ends the reading: no time-out guesses.
	mark := &kgo.Record{Topic: topic, Partition: number, Key: []byte("end of reading")}
	writer, err := kgo.NewClient(kgo.SeedBrokers(f.fake.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.ProduceSync(f.ctx, mark).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
	var all []*kgo.Record
	for {
		fetches := client.PollFetches(f.ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if string(r.Key) == "end of reading" {
				return all
			}
			all = append(all, r)
		}
	}
}

// stable is a partition's last stable offset.
func (f *fixture) stable(topic string, number int32) int64 {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.fake.ListenAddrs()...))
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(f.ctx, topic)
	if err != nil {
		f.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, number)
	return end.Offset
}

func runsOf(landed []Landed, p chunk.Partition) []offsets.Run {
	for _, l := range landed {
		if l.Partition == p {
			return l.Runs
		}
	}
	return nil
}

// TestTransaction: Settle tells where the records are, Commit where the ledger's are;
// before the commit nobody sees anything.
func TestTransaction(t *testing.T) {
	f := newFixture(t, true)
	s := f.open()
	defer s.Close()
	dense := part("orders", 1, 7, 1)
	dense.Records = append(dense.Records, part("orders", 1, 8, 1).Records...)
	landed := f.transaction(s, part("orders", 0, 100, 3), dense)
	for p, want := range map[chunk.Partition][]offsets.Run{
		{Topic: "orders", Number: 0}: {{Source: 100, Target: 0, Count: 1}, {Source: 102, Target: 1, Count: 1},
			{Source: 104, Target: 2, Count: 1}},
		{Topic: "orders", Number: 1}: {{Source: 7, Target: 0, Count: 2}},
	} {
		if got := runsOf(landed, p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s landed as %v, want %v", p, got, want)
		}
	}
	if end := f.stable("orders", 0); end != 0 {
		t.Errorf("before the commit the stable offset is %d", end)
	}
	at, err := s.Commit(f.ctx, []LedgerRecord{{[]byte("a"), []byte("1")}, {[]byte("b"), nil}})
	if err != nil || !reflect.DeepEqual(at, []int64{0, 1}) {
		t.Fatalf("commit: %v, %v", at, err)
	}
	landed = f.transaction(s, part("orders", 0, 106, 1))
	if got := runsOf(landed, chunk.Partition{Topic: "orders"}); len(got) != 1 || got[0].Target != 4 {
		t.Errorf("after the marker: %v, want target 4", got)
	}
	if at, err = s.Commit(f.ctx, []LedgerRecord{{[]byte("a"), []byte("2")}}); err != nil || at[0] != 3 {
		t.Fatalf("second commit: %v, %v, want offset 3", at, err)
	}
	if got := f.visible("orders", 0); len(got) != 4 || got[3].Offset != 4 {
		t.Errorf("%d records are visible, want 4", len(got))
	}
	ledger := f.visible("ledger", 1)
	if len(ledger) != 3 || string(ledger[0].Value) != "1" || ledger[1].Value != nil || string(ledger[2].Value) != "2" {
		t.Errorf("the ledger holds %v", ledger)
	}
}

// TestUnchanged: what may be in a record arrives byte for byte.
func TestUnchanged(t *testing.T) {
	f := newFixture(t, true)
	s := f.open()
	defer s.Close()
	p := chunk.Part{Partition: chunk.Partition{Topic: "orders"}}
	at := offsets.Source(0)
	for _, bytes := range [][]byte{nil, {}, []byte("x"), {0, 255, 0}} {
		for _, ms := range []int64{1, -1, -1500, 1_700_000_000_123, maxTimestamp} {
			p.Records = append(p.Records, chunk.Record{Offset: at, Timestamp: ms, Key: bytes, Value: []byte("v")},
				chunk.Record{Offset: at + 1, Timestamp: ms, Value: bytes, Headers: []chunk.Header{
					{Key: "b", Value: bytes}, {Key: "a", Value: nil}, {Key: "b", Value: []byte{}}, {Key: "", Value: []byte("1")}}})
			at += 2
		}
	}
	f.transaction(s, p)
	if _, err := s.Commit(f.ctx, nil); err != nil {
		t.Fatal(err)
	}
	got := f.visible("orders", 0)
	if len(got) != len(p.Records) {
		t.Fatalf("%d records arrived, want %d", len(got), len(p.Records))
	}
	for i, want := range p.Records {
		r := got[i]
		have := chunk.Record{Offset: want.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			have.Headers = append(have.Headers, chunk.Header{Key: h.Key, Value: h.Value})
		}
		if !reflect.DeepEqual(have, want) {
			t.Errorf("record %d arrived as %+v, want %+v", i, have, want)
		}
	}
}

// TestShutOut: a successor's Init ends what its predecessor has open, and from then on
// the predecessor can commit nothing.
func TestShutOut(t *testing.T) {
	f := newFixture(t, true)
	old := f.open()
	defer old.Close()
	f.transaction(old, part("orders", 0, 0, 3))
	successor := f.open()
	defer successor.Close()
	if end := f.stable("orders", 0); end != 4 {
		t.Errorf("after Init the stable offset is %d, want 4: three aborted records and their marker", end)
	}
	if at, err := old.Commit(f.ctx, []LedgerRecord{{[]byte("k"), []byte("old")}}); err == nil {
		t.Errorf("the predecessor committed at %v", at)
	}
	f.transaction(successor, part("orders", 0, 0, 2))
	if _, err := successor.Commit(f.ctx, []LedgerRecord{{[]byte("k"), []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if got := f.visible("orders", 0); len(got) != 2 {
		t.Errorf("%d records are visible, want the successor's 2", len(got))
	}
	if got := f.visible("ledger", 1); len(got) != 1 || string(got[0].Value) != "new" {
		t.Errorf("the ledger holds %v", got)
	}
}

// TestClose: an open transaction is aborted at once, so that readers need not wait.
func TestClose(t *testing.T) {
	f := newFixture(t, true)
	s := f.open()
	f.transaction(s, part("orders", 0, 0, 3))
	s.Close()
	if end := f.stable("orders", 0); end != 4 {
		t.Errorf("after Close the stable offset is %d, want 4", end)
	}
	if got := f.visible("orders", 0); len(got) != 0 {
		t.Errorf("%d records are visible, want none", len(got))
	}
}

// TestAtLeastOnce: data is there at once, the ledger's records with the commit; a
// former owner can write no ledger record any more.
func TestAtLeastOnce(t *testing.T) {
	f := newFixture(t, false)
	old := f.open()
	defer old.Close()
	landed := f.transaction(old, part("orders", 0, 0, 3))
	if got := f.stable("orders", 0); got != 3 || len(landed) != 1 || len(landed[0].Runs) != 3 {
		t.Errorf("before the commit the stable offset is %d and %v has landed, want 3 records", got, landed)
	}
	if at, err := old.Commit(f.ctx, []LedgerRecord{{[]byte("k"), []byte("1")}}); err != nil || at[0] != 0 {
		t.Fatalf("commit: %v, %v", at, err)
	}
	f.transaction(old, part("orders", 0, 6, 1))
	successor := f.open()
	defer successor.Close()
	if at, err := old.Commit(f.ctx, []LedgerRecord{{[]byte("k"), []byte("zombie")}}); err == nil {
		t.Errorf("the predecessor committed at %v", at)
	}
	if got := f.visible("ledger", 1); len(got) != 1 || string(got[0].Value) != "1" {
		t.Errorf("the ledger holds %v", got)
	}
}

// TestTooLarge: the refusal names partition and record, whatever else the transaction
// holds, and nothing of it becomes visible.
func TestTooLarge(t *testing.T) {
	f := newFixture(t, true)
	s := f.open()
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	large := part("small", 0, 40, 1)
	large.Records[0].Value = make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large.Records[0].Value) // it does not compress
	err := errors.Join(s.Write(f.ctx, part("orders", 0, 0, 3), "orders"), s.Write(f.ctx, large, "small"))
	if err == nil {
		_, err = s.Settle(f.ctx)
	}
	var stop *chunk.Stop
	if !errors.As(err, &stop) || stop.Kind != chunk.StopTooLarge || stop.Partition != large.Partition ||
		!strings.Contains(stop.Reason, "source offset 40") || stop.Remedy() == "" {
		t.Errorf("refused with %v", err)
	}
	s.Close()
	if got := f.visible("orders", 0); len(got) != 0 {
		t.Errorf("%d records of the refused transaction are visible", len(got))
	}
}

func TestUnknownTopic(t *testing.T) {
	f := newFixture(t, true)
	s := f.open()
	defer s.Close()
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	p := part("gone", 0, 0, 1)
	err := s.Write(f.ctx, p, "gone")
	if err == nil {
		_, err = s.Settle(f.ctx)
	}
	var stop *chunk.Stop
	if !errors.As(err, &stop) || stop.Kind != chunk.StopMissing || stop.Partition != p.Partition {
		t.Errorf("written to a topic that is not there: %v", err)
	}
}

func TestCarries(t *testing.T) {
	for ms, want := range map[int64]bool{
		0: false, 1: true, -1: true, -1500: true, maxTimestamp: true, -maxTimestamp: true,
		maxTimestamp + 1: false, -maxTimestamp - 1: false, 1_700_000_000_000_000_000: false,
	} {
		if err := Carries(&chunk.Record{Timestamp: ms}); (err == nil) != want {
			t.Errorf("timestamp %d: %v, want carried: %t", ms, err, want)
		}
	}
}

// TestReports: a report without an offset, or out of order, fails the transaction
// instead of making a wrong map.
func TestReports(t *testing.T) {
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
		s := &Records{cfg: Config{Ledger: "ledger"}, lanes: map[place]*lane{}}
		l := s.lane(chunk.Partition{Topic: "orders"}, topic)
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
