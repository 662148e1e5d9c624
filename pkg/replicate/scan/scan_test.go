package scan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
)

const topic = "orders"

// fixture is a cluster with one topic of one partition.
type fixture struct {
	t       *testing.T
	ctx     context.Context
	cluster kafka.Config
	scanner *Scanner
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return onCluster(t, kafkatest.Start(t, kfake.SeedTopics(1, topic, "other")).Address())
}

func onCluster(t *testing.T, bootstrap string) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cluster := kafka.Config{Name: "new", Properties: map[string]string{"bootstrap.servers": bootstrap}}
	f := &fixture{t: t, ctx: ctx, cluster: cluster, scanner: Open(cluster, nil)}
	t.Cleanup(func() {
		if err := f.scanner.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

func (f *fixture) client(opts ...kgo.Opt) *kgo.Client {
	f.t.Helper()
	opts = append(opts, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	client, err := kafka.NewFranz(f.cluster, opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

func (f *fixture) produce(client *kgo.Client, n int) {
	f.t.Helper()
	for i := range n {
		record := &kgo.Record{Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i)}
		if err := client.ProduceSync(f.ctx, record).FirstErr(); err != nil {
			f.t.Fatalf("produce: %v", err)
		}
	}
}

// transaction writes n records and a marker.
func (f *fixture) transaction(client *kgo.Client, n int, end kgo.TransactionEndTry) {
	f.t.Helper()
	if err := client.BeginTransaction(); err != nil {
		f.t.Fatal(err)
	}
	f.produce(client, n)
	if err := client.EndTransaction(f.ctx, end); err != nil {
		f.t.Fatalf("end transaction: %v", err)
	}
}

// history is a log of 11 offsets: 0-2 committed, 3 marker, 4-5 aborted, 6 marker,
// 7 committed, 8 marker, 9 aborted, 10 marker.
func (f *fixture) history() {
	client := f.client(kgo.TransactionalID("history"))
	f.transaction(client, 3, kgo.TryCommit)
	f.transaction(client, 2, kgo.TryAbort)
	f.transaction(client, 1, kgo.TryCommit)
	f.transaction(client, 1, kgo.TryAbort)
	// Markers are written after the end was answered: wait until the log stands.
	f.waitEnd(11)
}

func (f *fixture) waitEnd(want offsets.Target) {
	f.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	admin := kadm.NewClient(f.client())
	for {
		ends, err := admin.ListCommittedOffsets(f.ctx, topic)
		if err == nil {
			if end, ok := ends.Lookup(topic, 0); ok && offsets.Target(end.Offset) == want {
				return
			}
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.t.Fatalf("the log does not end at %d: %v %v", want, ends, err)
		}
	}
}

type look struct {
	from, to  offsets.Target
	committed bool
	first     offsets.Target
	end       offsets.Target // of Stretch
	found     bool
	why       string
}

func (f *fixture) check(rows []look) {
	f.t.Helper()
	for _, row := range rows {
		at, found, err := f.scanner.First(f.ctx, topic, 0, row.from, row.to, row.committed)
		if err != nil || at != row.first || found != row.found {
			f.t.Errorf("First[%d,%d) committed=%v = %d %v %v, want %d %v: %s",
				row.from, row.to, row.committed, at, found, err, row.first, row.found, row.why)
		}
		first, end, found, err := f.scanner.Stretch(f.ctx, topic, 0, row.from, row.to, row.committed)
		want := row.first
		if !row.found {
			want = 0
		}
		if err != nil || first != want || end != row.end || found != row.found {
			f.t.Errorf("Stretch[%d,%d) committed=%v = [%d,%d) %v %v, want [%d,%d) %v: %s",
				row.from, row.to, row.committed, first, end, found, err, want, row.end, row.found, row.why)
		}
	}
}

func TestLookIntoTransactions(t *testing.T) { testLookIntoTransactions(newFixture(t)) }

func testLookIntoTransactions(f *fixture) {
	f.history()
	f.check(historyLooks)
}

var historyLooks = []look{
	{0, -1, true, 0, 8, true, "first record to the end"},
	{1, -1, true, 1, 8, true, "inside"},
	{3, -1, true, 7, 8, true, "past marker and aborted records"},
	{3, 7, true, 7, 0, false, "only marker and aborted records before 7"},
	{3, 5, true, 5, 0, false, "ends within aborted records"},
	{3, 8, true, 7, 8, true, "up to the record"},
	{8, -1, true, 11, 0, false, "trailing marker and aborted record: the end"},
	{8, 10, true, 10, 0, false, "the end lies beyond the range"},
	{8, 40, true, 11, 0, false, "the end comes before the range's"},
	{11, -1, true, 11, 0, false, "from the end"},
	{50, -1, true, 50, 0, false, "from beyond the end: never started anew"},
	{50, 60, false, 50, 0, false, "the same, uncommitted"},
	{5, 5, true, 5, 0, false, "nothing was asked for"},
	{3, -1, false, 4, 10, true, "uncommitted sees aborted records"},
	{4, 6, false, 4, 6, true, "both aborted ones"},
	{3, 4, false, 4, 0, false, "a marker is no record"},
	{10, -1, false, 11, 0, false, "a trailing marker"},
	{0, 2, true, 0, 2, true, "again from the start: no memory of the looks before"},
}

func TestOpenTransaction(t *testing.T) { testOpenTransaction(newFixture(t)) }

func testOpenTransaction(f *fixture) {
	t := f.t
	f.produce(f.client(), 2)
	writer := f.client(kgo.TransactionalID("open"))
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	f.produce(writer, 2) // 2 and 3, undecided
	f.produce(f.client(), 1)
	f.check([]look{
		{0, -1, true, 0, 2, true, "up to the last stable offset"},
		{2, -1, true, 2, 0, false, "the last stable offset is the end"},
		{3, -1, true, 3, 0, false, "beyond it"},
		{2, -1, false, 2, 5, true, "uncommitted sees all"},
	})
	if err := writer.EndTransaction(f.ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	f.waitEnd(6)
	f.check([]look{{2, -1, true, 2, 5, true, "now they are visible"}})
}

func TestLogStartAboveFrom(t *testing.T) { testLogStartAboveFrom(newFixture(t)) }

func testLogStartAboveFrom(f *fixture) {
	f.produce(f.client(), 10)
	f.deleteBefore(6)
	f.check([]look{
		{0, -1, true, 6, 10, true, "what is left begins at 6"},
		{2, 5, true, 5, 0, false, "all of it is gone"},
		{2, 8, false, 6, 8, true, "half of it is gone"},
	})
	f.deleteBefore(10)
	f.check([]look{{0, -1, true, 10, 0, false, "an empty log that once had records"}})
}

func (f *fixture) deleteBefore(at int64) {
	f.t.Helper()
	var starts kadm.Offsets
	starts.Add(kadm.Offset{Topic: topic, Partition: 0, At: at})
	if _, err := kadm.NewClient(f.client()).DeleteRecords(f.ctx, starts); err != nil {
		f.t.Fatalf("delete records: %v", err)
	}
}

func TestRecord(t *testing.T) { testRecord(newFixture(t)) }

func testRecord(f *fixture) {
	t := f.t
	f.history()
	key, value, err := f.scanner.Record(f.ctx, topic, 0, 2)
	if err != nil || string(key) != "k2" || string(value) != "v2" {
		t.Errorf("Record(2) = %q %q %v", key, value, err)
	}
	for _, at := range []offsets.Target{3, 4, 10, 11, 99} { // markers, aborted, beyond the end
		_, _, err := f.scanner.Record(f.ctx, topic, 0, at)
		var missing *MissingError
		if !errors.As(err, &missing) || missing.Offset != at || missing.Remedy() == "" {
			t.Errorf("Record(%d): %v, want a MissingError", at, err)
		}
	}
}

func TestManyAtOnce(t *testing.T) { testManyAtOnce(newFixture(t)) }

func testManyAtOnce(f *fixture) {
	t := f.t
	f.produce(f.client(), 40)
	var all sync.WaitGroup
	for i := range offsets.Target(40) {
		all.Go(func() {
			committed := i%2 == 0
			at, found, err := f.scanner.First(f.ctx, topic, 0, i, -1, committed)
			if err != nil || !found || at != i {
				t.Errorf("First(%d) = %d %v %v", i, at, found, err)
			}
			if at, found, err := f.scanner.First(f.ctx, "other", 0, 0, -1, committed); at != 0 || found || err != nil {
				t.Errorf("First of an empty partition = %d %v %v", at, found, err)
			}
		})
	}
	all.Wait()
}

func TestErrorsNameThePartition(t *testing.T) {
	f := newFixture(t)
	if _, _, err := f.scanner.First(f.ctx, "nowhere", 0, 0, -1, true); err == nil ||
		!strings.Contains(err.Error(), "nowhere/0") {
		t.Errorf("unknown topic: %v, want an error that names it", err)
	}
	cancelled, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, _, err := f.scanner.First(cancelled, topic, 0, 0, -1, true); err == nil {
		t.Error("a cancelled context gave an answer")
	}
	if err := f.scanner.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.scanner.First(f.ctx, topic, 0, 0, -1, true); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}
