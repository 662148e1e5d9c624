package bench

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

const partitions = 8

func fake(t *testing.T) string {
	t.Helper()
	return kafkatest.Start(t).Address()
}

func open(t *testing.T, bootstrap string) *reader {
	t.Helper()
	r, err := openReader(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A copy with transactions, some of them aborted, is equal to one without.
func TestContentSeesWhatReadersSee(t *testing.T) {
	ctx, bootstrap := soon(t), fake(t)
	r := open(t, bootstrap)
	if ends, err := r.stable(ctx, "nowhere", partitions); ends != nil || err != nil {
		t.Fatalf("ends of a topic that is not there: %v, %v; want neither", ends, err)
	}
	if err := workload.Topics(ctx, bootstrap, partitions, nil, "plain", "mixed"); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tx, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("tx"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for i := range 40 {
		record := func(topic string) *kgo.Record {
			return &kgo.Record{
				Topic: topic, Partition: int32(i % 3), Value: []byte(strconv.Itoa(i)), Timestamp: time.UnixMilli(int64(1 + i)),
			}
		}
		aborted := i%4 == 3
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(ctx, record("mixed")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(ctx, kgo.TransactionEndTry(!aborted)); err != nil {
			t.Fatal(err)
		}
		if aborted {
			continue
		}
		if err := client.ProduceSync(ctx, record("plain")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	want, err := r.content(ctx, "plain", partitions, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.content(ctx, "mixed", partitions, 0)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, p := range want {
		total += p.records
	}
	if total != 30 {
		t.Errorf("%d records in all, want 30", total)
	}
	if wrong := got.differs(want); wrong != "" {
		t.Errorf("the copy differs: %s", wrong)
	}
	end, err := r.content(ctx, "mixed", partitions, 6)
	if err != nil {
		t.Fatal(err)
	}
	if end.differs(want) == "" || !end.sameLast(want) {
		t.Error("the last six offsets must hold the last records, and not all")
	}
	if err := r.clear(ctx, "plain"); err != nil {
		t.Fatal(err)
	}
	kept, err1 := r.stable(ctx, "plain", partitions)
	gone, err2 := r.stable(ctx, "mixed", partitions)
	if err1 != nil || err2 != nil || kept == nil || gone != nil {
		t.Errorf("after clear: plain %v, %v; mixed %v, %v; want plain only", kept, err1, gone, err2)
	}
}

// What never ends by itself is done when the target has all, not before.
func TestWatch(t *testing.T) {
	ctx, bootstrap := soon(t), fake(t)
	r := open(t, bootstrap)
	if err := workload.Topics(ctx, bootstrap, partitions, nil, "source", "target"); err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1000)
	records := make([]*kgo.Record, 100)
	for i := range records {
		records[i] = &kgo.Record{Partition: int32(i % partitions), Value: []byte(strconv.Itoa(i)), Timestamp: at}
	}
	if err := workload.Produce(ctx, bootstrap, "source", records...); err != nil {
		t.Fatal(err)
	}
	want, err := r.content(ctx, "source", partitions, 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(exec.Command("sleep", "1000"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	w := &watch{process: p, reader: r, topic: "target", want: want, tail: 64, moved: p.begun}
	for _, part := range [][]*kgo.Record{nil, records[:60], records[60:]} {
		if err := workload.Produce(ctx, bootstrap, "target", part...); err != nil {
			t.Fatal(err)
		}
		for _, settled := range []bool{false, true} {
			complete, err := w.look(ctx, true)
			if err != nil {
				t.Fatal(err)
			}
			if is := w.sum == 100 && settled; complete != is {
				t.Errorf("with %d records: complete %t, want %t", w.sum, complete, is)
			}
		}
		if seen := w.sum > 0; (w.first > 0) != seen {
			t.Errorf("with %d records: the first one was seen after %s", w.sum, w.first)
		}
	}
	if w.seen != 60 {
		t.Errorf("%d records were there at the first look that saw any, want 60", w.seen)
	}
	w.compared = 0 // as if it had not been seen to be complete
	if when, err := w.run(ctx, true); err != nil || when != w.moved {
		t.Fatalf("done at %s, %v; want when the last records came, %s", when, err, w.moved)
	}
	p.kill()
	if _, err := w.run(ctx, true); err == nil {
		t.Error("a process that was killed has done its work")
	}
}
