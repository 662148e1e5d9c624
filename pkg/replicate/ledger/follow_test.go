package ledger

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
)

// TestFollowerReadsOn: after each commit a follower knows what a reader finds who reads all; what is not committed it
// does not wait for.
func TestFollowerReadsOn(t *testing.T) {
	ctx, fake, reader := topicOf(t)
	cluster := kafka.Config{Name: "new", Properties: fake.Properties()}
	ends, err := listoffsets.Open(cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer ends.Close()
	f, err := OpenFollower(cluster, "ledger", ends)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	says := func(why string) {
		t.Helper()
		if err := f.ReadOn(ctx); err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		whole, err := reader.Shard(ctx, 1, 0)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		if got, want := pictures(f.parts[1].book), pictures(whole); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: followed as %+v, want %+v", why, got, want)
		}
	}
	says("nothing yet")
	shard, key := NewShard(), keyOf(0)
	note := func(i int) {
		t.Helper()
		c := Change{Key: key, Runs: spread(150*i, 150)}
		c.Header.Progress = c.Runs[149].SourceEnd()
		p, err := shard.Prepare([]Change{c})
		if err != nil {
			t.Fatal(err)
		}
		write(fake, p, false)
		p.Apply(write(fake, p, true))
	}
	for i := range 4 {
		note(i)
		says("after a commit")
		state, _ := f.State(key.Topic, key.Partition)
		if n := key.Partition.Shard(2); n == 1 && (state == nil || state.Progress != offsets.Source(3*(150*i+149)+1)) {
			t.Fatalf("the state is %+v", state)
		}
	}
	open := fake.Writer(kgo.TransactionalID("open"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Topic: "ledger", Partition: 1, Key: encodeNoteKey("n"), Value: encodeNote([]byte("x"))}
	if err := open.ProduceSync(ctx, record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	says("with an open transaction")
	if _, err := fake.Admin().DeleteTopic(ctx, "ledger"); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadOn(ctx); err != nil {
		t.Fatal(err)
	}
	if state, _ := f.State(key.Topic, key.Partition); state != nil {
		t.Fatal("a ledger that is gone still says something")
	}
	fake.Topic("ledger", 2)
	shard = NewShard()
	note(0)
	for f.ReadOn(ctx) != nil { // who asked for the topic a moment ago remembers that it was not there
		if ctx.Err() != nil {
			t.Fatal("another ledger of that name is never read")
		}
	}
	says("another ledger of that name")
}
