package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// written is a new file of records.
func written(t *testing.T, records ...*kgo.Record) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.jsonl")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Drop()
	for _, r := range records {
		if err := f.Write(r, wire.Created); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	return path
}

func on(c *kafkatest.Cluster, path string) Options {
	return Options{Path: path, Cluster: kafka.Config{Name: "new", Properties: c.Properties()}}
}

// holds compares what committed readers see in a partition with records of a file, in all that a file keeps.
func holds(t *testing.T, c *kafkatest.Cluster, partition int32, want []*kgo.Record) {
	t.Helper()
	got := c.Read("orders", partition, 0)
	if len(got) != len(want) {
		t.Fatalf("partition %d holds %d records, want %d", partition, len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if !reflect.DeepEqual(g.Key, w.Key) || !reflect.DeepEqual(g.Value, w.Value) ||
			len(g.Headers)+len(w.Headers) > 0 && !reflect.DeepEqual(g.Headers, w.Headers) {
			t.Errorf("partition %d, record %d:\n got %+v\nwant %+v", partition, i, g, w)
		}
	}
}

// What a file holds is written exactly, to its partition, and only once: the same content is the same file.
func TestImportIsExactAndOnce(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	c.Topic("orders", 3)
	byPartition := map[int32][]*kgo.Record{}
	records := odd()
	for i, r := range records {
		r.Topic, r.Partition = "orders", int32(i%2*2)
		byPartition[r.Partition] = append(byPartition[r.Partition], r)
	}
	path := written(t, records...)
	dry := on(c, path)
	dry.DryRun = true
	im, err := Import(t.Context(), dry)
	if err != nil || im.Records != 6 || len(im.Partitions) != 2 || im.Written != (Written{}) ||
		len(c.Read("orders", 0, 0)) > 0 {
		t.Fatalf("dry: %+v, %v", im, err)
	}
	for _, want := range []Written{{Records: 6}, {Before: 6}} {
		if im, err := Import(t.Context(), on(c, path)); err != nil || im.Written != want {
			t.Fatalf("%+v, %v, want %+v", im, err, want)
		}
		for p := range int32(3) {
			holds(t, c, p, byPartition[p])
		}
	}
	times := map[int64]bool{}
	for rest := c.Stored("orders", 2); len(rest) > 0; {
		b, after, err := wire.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if rest = after; !b.Control() {
			_ = wire.Records(b, 0, func(r *kgo.Record) bool { times[r.Timestamp.UnixMilli()] = true; return true })
		}
	}
	for _, r := range byPartition[2] {
		if !times[r.Timestamp.UnixMilli()] {
			t.Errorf("time %d is none of %v", r.Timestamp.UnixMilli(), times)
		}
	}
	if _, err := c.Admin().DeleteTopic(t.Context(), "orders"); err != nil { // what is made anew has none of it
		t.Fatal(err)
	}
	c.Topic("orders", 3)
	if im, err := Import(t.Context(), on(c, path)); err != nil || im.Written != (Written{Records: 6}) {
		t.Errorf("into a topic that was made anew: %+v, %v", im, err)
	}
	holds(t, c, 0, byPartition[0])
}

// A run that ends at any point is given again, and writes what is missing.
func TestJobIsGivenAgain(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	c.Topic("orders", 1)
	records := kafkatest.Records("orders", 0, 2*heldRecords+10)
	killed := errors.New("killed")
	job := &Job{
		Cluster: kafka.Config{Name: "new", Properties: c.Properties()}, Name: "a-job", Topics: map[string]int{"orders": 1},
		Place: func(int64) string { return "" },
		Records: func(_ context.Context, give func(int64, *kgo.Record) error) error {
			for i, r := range records {
				if err := give(int64(i), r); err != nil {
					return err
				}
			}
			return nil
		},
	}
	commits := 0
	job.committing = func() error {
		if commits++; commits%2 == 0 { // the second transaction of a run stays open: nobody ends it
			return &kafka.Problem{What: "killed", Err: killed}
		}
		return nil
	}
	for run, want := range []Written{{Records: heldRecords}, {Records: heldRecords}} {
		if w, err := job.Run(t.Context()); !errors.Is(err, killed) || w.Records != want.Records {
			t.Fatalf("run %d: %+v, %v", run, w, err)
		}
	}
	if w, err := job.Run(t.Context()); err != nil || w != (Written{Records: 10, Before: 2 * heldRecords}) {
		t.Fatalf("%+v, %v", w, err)
	}
	if w, err := job.Run(t.Context()); err != nil || w != (Written{Before: 2*heldRecords + 10}) {
		t.Fatalf("%+v, %v", w, err)
	}
	holds(t, c, 0, records)
}

// What cannot be written as it is gets refused, all of it at once, before anything is written.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	c.Topic("orders", 1)
	c.Topic("stamped", 1, "message.timestamp.type=LogAppendTime")
	at := func(topic string, partition int32) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v")}
	}
	path := written(t, at("orders", 0), at("orders", 4), at("gone", 0), at("__consumer_offsets", 0), at("x.orders", 0))
	_, err := Import(t.Context(), on(c, path))
	for _, want := range []string{"topic orders on cluster new has 1 partitions, and 5 are needed",
		"there is no topic gone", "__consumer_offsets is Kafka's"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if len(c.Read("orders", 0, 0)) > 0 {
		t.Error("something was written")
	}
	for path, want := range map[string]string{
		written(t, at("stamped", 0)):               "would replace the timestamps of records",
		filepath.Dir(path):                         "is no regular file",
		filepath.Join(t.TempDir(), "nowhere.json"): "no such file",
	} {
		if _, err := Import(t.Context(), on(c, path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	prefixed := on(c, written(t, at("orders", 0)))
	prefixed.Prefix = "abc."
	_, err = Import(t.Context(), prefixed)
	if err == nil || !strings.Contains(err.Error(), `does not begin with "abc."`) || chunk.Remedy(err) == "" {
		t.Errorf("%v", err)
	}
	broken := written(t, at("orders", 0))
	text, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, append(text, text[:len(text)/2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(t.Context(), on(c, broken)); err == nil || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("a line that breaks off: %v", err)
	}
	if len(c.Read("orders", 0, 0)) > 0 {
		t.Error("something was written")
	}
}

// A file replaces nothing, and is there only once it is whole.
func TestFileIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "records.jsonl")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(odd()[0], wire.Created); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is there before it is whole: %v", err)
	}
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Keep(); err == nil || !strings.Contains(err.Error(), "no file is overwritten") {
		t.Errorf("kept over another: %v", err)
	}
	f.Drop()
	if _, err := Create(path); err == nil || chunk.Remedy(err) == "" {
		t.Errorf("begun over another: %v", err)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("%v is left", list)
	}
}
