package orphans_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/operate/replay"
)

func every(string) bool { return true }

// find looks for what was never copied.
func find(w *flowtest.World) *orphans.Found {
	w.T.Helper()
	found, err := orphans.Find(w.Ctx, w.Look(), every)
	w.Must("find", err)
	return found
}

func count(w *flowtest.World) *orphans.Report {
	w.T.Helper()
	report, err := find(w).Count(w.Ctx)
	w.Must("count", err)
	return report
}

// leftBehind copies a part of two topics, and leaves the rest of one and all of a third to the source.
func leftBehind(w *flowtest.World) (left int64) {
	w.T.Helper()
	w.Topic("orders", 3)
	w.Topic("billing", 1)
	w.Mixed("orders", 3, 300)
	w.Plain(w.Sides.Source, "billing", 0, 20)
	r := w.Start(nil)
	w.Equal([]string{"orders", "billing"})
	r.Stop()
	if report := count(w); report.Records != 0 || len(report.Partitions) != 0 || report.Unread() != nil {
		w.T.Fatalf("before the source is gone: %+v", report)
	}
	before := visible(w, "orders", 3)
	w.Mixed("orders", 3, 500)
	w.Topic("later", 2)
	w.Plain(w.Sides.Source, "later", 1, 40)
	return visible(w, "orders", 3) - before + 40
}

// visible counts what committed readers see of a topic of the source.
func visible(w *flowtest.World, topic string, partitions int32) (n int64) {
	for p := range partitions {
		n += int64(len(w.Source.Read(topic, p, 0)))
	}
	return n
}

// What was never copied is found, exported, and imported where it lacks: then both sides are equal.
func TestOrphansGoOverInAFile(t *testing.T) {
	w := flowtest.New(t)
	left := leftBehind(w)
	path := filepath.Join(t.TempDir(), "orphans.jsonl")
	report, digest, err := find(w).Export(w.Ctx, path)
	w.Must("export", err)
	last := report.Partitions[len(report.Partitions)-1]
	if report.Records != left || report.Bytes == 0 || last.Topic != "orders" || last.Partition != 2 ||
		last.First.Offset < last.From || last.Last.Offset >= last.To || last.First.At == 0 {
		t.Errorf("%d are left, the report says %+v, first %+v last %+v", left, report, last.First, last.Last)
	}
	text, err := os.ReadFile(path)
	w.Must("read", err)
	if n := int64(strings.Count(string(text), "\n")); n != left {
		t.Errorf("the file has %d lines, want %d", n, left)
	}
	if _, _, err := find(w).Export(w.Ctx, path); err == nil || !strings.Contains(err.Error(), "no file is overwritten") {
		t.Errorf("exported over it: %v", err)
	}
	w.Must("make", w.MakeTopic(w.Sides.Target, "unrelated"))
	_, err = w.To.CreateTopic(w.Ctx, 2, 1, nil, "later")
	w.Must("make", err)
	for _, want := range []replay.Written{{Records: left}, {Before: left}} {
		im, err := replay.Import(w.Ctx, replay.Options{Path: path, Cluster: w.Kafka("new", w.Sides.Target)})
		w.Must("import", err)
		if im.Written != want || im.SHA256 != digest || im.Records != left {
			t.Errorf("imported %+v, want %+v of %s", im, want, digest)
		}
		w.Equal([]string{"orders", "billing", "later"})
	}
}

// Or they go into topics of their own, again and again, and nothing else that is there is taken for such a one.
func TestOrphansGetTopicsOfTheirOwn(t *testing.T) {
	w := flowtest.New(t)
	left := leftBehind(w)
	for _, want := range []replay.Written{{Records: left}, {Before: left}} {
		_, written, err := find(w).ToTopics(w.Ctx, "orphans.")
		w.Must("write", err)
		if written != want {
			t.Errorf("written %+v, want %+v", written, want)
		}
	}
	for p := range int32(3) {
		got := w.Target.Read("orphans.orders", p, 0)
		want := w.Source.Read("orders", p, int64(w.State("orders", p).Progress))
		if len(got) != len(want) {
			t.Fatalf("partition %d holds %d, want %d", p, len(got), len(want))
		}
		for i := range got {
			if string(got[i].Value) != string(want[i].Value) || !got[i].Timestamp.Equal(want[i].Timestamp) {
				t.Fatalf("partition %d, record %d: %v, want %v", p, i, got[i], want[i])
			}
		}
	}
	w.Must("make", w.MakeTopic(w.Sides.Target, "taken.later"))
	w.Plain(w.Sides.Target, "taken.later", 0, 1)
	_, _, err := find(w).ToTopics(w.Ctx, "taken.")
	if err == nil || !strings.Contains(err.Error(), "topic taken.later on cluster new ") {
		t.Errorf("into a topic of somebody else: %v", err)
	}
}

// What cannot be known is said: deleted records, open transactions, a topic that is gone.
func TestOrphansThatCannotBeRead(t *testing.T) {
	w := flowtest.New(t)
	leftBehind(w)
	progress := int64(w.State("orders", 0).Progress)
	w.DeleteBelow(w.From, "orders", 0, progress+7)
	open := w.Source.Writer(kgo.TransactionalID("open"))
	w.Must("begin", open.BeginTransaction())
	w.Must("write", open.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Partition: 1, Value: []byte("open")}).FirstErr())
	w.Delete(w.From, "billing")
	report := count(w)
	by := map[int32]orphans.Partition{}
	for _, p := range report.Partitions {
		if p.Topic == "orders" {
			by[p.Partition] = p
		}
	}
	if p := by[0]; p.Deleted != 7 || p.From != progress || p.First.Offset < progress+7 {
		t.Errorf("deleted: %+v", p)
	}
	if p := by[1]; p.Open != 1 || !p.Unknown() {
		t.Errorf("open: %+v", p)
	}
	if len(report.Gone) != 1 || report.Gone[0].Name != "billing" {
		t.Errorf("gone: %+v", report.Gone)
	}
}

// What the opposite flow has brought to the source is none: the target has it.
func TestRecordsOfTheOppositeFlowAreNoOrphans(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 4)
	w.Plain(w.Sides.Target, "orders", 0, 7)
	r = p.StartFlows(p.Back)
	w.Await("the target's are brought back", func() bool { return len(w.Holds(w.Sides.Source, "orders")) == 21 })
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 2)
	report := count(w)
	if report.Records != 6 || len(report.Partitions) != 1 || report.Partitions[0].LeftOut != 7 {
		t.Errorf("%d orphans of 6: %+v", report.Records, report.Partitions)
	}
}
