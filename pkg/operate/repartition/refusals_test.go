package repartition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	announce "replicator/pkg/versions"
)

// write puts keyed records where a function says.
func (w *world) write(topic string, n int, place func(key []byte) int32) {
	w.t.Helper()
	client := w.fakes[0].Writer()
	for i := range n {
		key := fmt.Append(nil, "key-", i)
		r := &kgo.Record{Topic: topic, Partition: place(key), Key: key, Value: fmt.Append(nil, i)}
		w.must(client.ProduceSync(w.ctx, r).FirstErr())
	}
}

func by(name string, partitions int32) func([]byte) int32 {
	p, _ := partitionerNamed(name)
	return func(key []byte) int32 {
		at, _ := p.of(key, partitions)
		return at
	}
}

// refuses wants an error with a remedy, and no trace of the move.
func (w *world) refuses(do func(context.Context, Options) error, o Options, want, remedy string) {
	w.t.Helper()
	err := do(w.ctx, o)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(chunk.Remedy(err), remedy) {
		w.t.Errorf("got %v, remedy %q; want %q, remedy %q", err, chunk.Remedy(err), want, remedy)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 3)
	w.write("orders", 100, by("consistent", 3))
	for _, c := range []struct {
		change       func(o *Options)
		want, remedy string
	}{
		{func(o *Options) { o.ToVersion = "v0" }, "same version", "higher one"},
		{func(o *Options) { o.FromVersion, o.ToVersion = "v3", "v2" }, "goes back", "higher one"},
		{func(o *Options) { o.ToVersion = "1" }, "v and a number", "--to"},
		{func(o *Options) { o.ToVersion = "v01" }, "v and a number", "--to"},
		{func(o *Options) { o.Topic = "nothing" }, "topic nothing is not on cluster c0", "--topic"},
		{func(o *Options) { o.FromVersion, o.ToVersion = "v1", "v2" }, "topic orders.v1 is not on", "--from"},
		{func(o *Options) {}, "stand in other partitions", "--partitioner consistent_random, or consistent;"},
		{func(o *Options) { o.Partitioner = "fnv1a" }, "stand in other partitions", "--partitioner consistent_random"},
		{func(o *Options) { o.Partitioner = "random" }, "is no partitioner", "murmur2_random"},
	} {
		o := w.opts
		c.change(&o)
		w.refuses(Move, o, c.want, c.remedy)
	}
	w.refuses(Retire, w.opts, "not current", "without --retire")
	w.refuses(Abandon, w.opts, "never announced", "--topic")
	if w.fakes[0].TopicInfo("orders.v1") != nil || w.fakes[0].TopicInfo(announce.Meta) != nil {
		t.Error("a refused move left topics behind")
	}
}

func TestOnePartitionDoesNotTellThePartitioner(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 1)
	w.write("orders", 20, by(Java, 1))
	w.refuses(Move, w.opts, "has one partition", "--partitioner")
	w.opts.Partitioner = Java
	w.must(Move(w.ctx, w.opts))
}

// A key that stands elsewhere in the middle of the log is beyond the sample.
func TestMisplacedKeyStopsTheCopy(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 2)
	place := by(Java, 2)
	n := 0
	w.write("orders", 5000, func(key []byte) int32 {
		if n++; n == 2500 {
			return 1 - place(key)
		}
		return place(key)
	})
	w.refuses(Move, w.opts, "a key that partitioner murmur2_random puts elsewhere", "--force")
	w.opts.Force = true
	w.must(Move(w.ctx, w.opts))
}

func TestForeignTarget(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 2)
	w.fakes[0].Topic("orders.v1", 12)
	w.write("orders.v1", 3, by(Java, 12))
	w.refuses(Move, w.opts, "orders.v1 holds records", "choose another --to")
	w.opts.Partitions = 5
	w.refuses(Move, w.opts, "with 12 partitions, not 5", "choose another --to")
}

// Given up while publishers stand still: they go on with the old version, and
// the same move can be made again.
func TestAbandonedMoveCanBeMadeAgain(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 3)
	a := w.apps()
	a.start(1, 1)
	a.running(50)
	o := w.opts
	o.reached = func(at string) error {
		if at == "marked" {
			return killed
		}
		return nil
	}
	if err := Move(w.ctx, o); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	other := w.opts
	other.Partitions = 7
	w.refuses(Move, other, "was begun from v0 with 12 partitions", "--abandon")
	other = w.opts
	other.ToVersion = "v2"
	w.refuses(Move, other, "is being moved to v1", "--abandon")
	w.must(Abandon(w.ctx, w.opts))
	a.running(50)
	w.must(Abandon(w.ctx, w.opts)) // once more does no harm
	w.must(Move(w.ctx, w.opts))
	a.running(50)
	w.refuses(Abandon, w.opts, "is current", "--from v1")
	a.judge()
}

func TestLateWriterIsNoticed(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 2)
	w.write("orders", 10, by(Java, 2))
	w.must(Move(w.ctx, w.opts))
	w.write("orders", 1, by(Java, 2))
	second := w.opts
	second.FromVersion, second.ToVersion, second.Partitions = "v1", "v2", 3
	w.refuses(Retire, w.opts, "was written to after orders/v1 became current", "do not follow")
	w.must(Move(w.ctx, second))
	jump := second
	jump.FromVersion, jump.Force = "v0", true
	w.refuses(Retire, jump, "orders/v2 is current, and follows v1, not v0", "--from")
	w.must(Retire(w.ctx, second))
}

func (w *world) commit(group, topic string, at map[int32]int64) {
	w.t.Helper()
	var offsets kadm.Offsets
	for p, o := range at {
		offsets.AddOffset(topic, p, o, -1)
	}
	w.must(w.fakes[0].Admin().CommitAllOffsets(w.ctx, group, offsets))
}

// A group that nobody brings to the end.
func TestGroupThatStandsStill(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 2)
	w.write("orders", 10, by(Java, 2))
	ends := map[int32]int64{}
	listed, err := w.fakes[0].Admin().ListEndOffsets(w.ctx, "orders")
	w.must(err)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	w.commit("billing", "orders", map[int32]int64{0: ends[0] - 1, 1: ends[1]})
	w.opts.Groups = Refuse
	w.refuses(Move, w.opts, fmt.Sprintf("group billing (without members): partition 0: at %d of %d", ends[0]-1, ends[0]),
		"--groups wait or leave")
	view, err := announce.Load(w.ctx, w.fakes[0].Client(), "orders")
	w.must(err)
	if !view.Writable() {
		t.Error("publishers stand still though the move was refused")
	}
	w.opts.Groups = Leave
	w.must(Move(w.ctx, w.opts))
	if !w.heard("left where it is: group billing") {
		t.Error("nothing was said about the group that was left")
	}
	strict := w.opts
	strict.Groups = Wait
	w.refuses(Retire, strict, "still needed by group billing", "--groups leave")
	w.commit("billing", "orders", ends)
	w.opts.Groups = Wait
	w.must(Move(w.ctx, w.opts)) // the group follows
	view, err = announce.Load(w.ctx, w.fakes[0].Client(), "orders")
	w.must(err)
	got, err := announce.Positions(w.ctx, w.fakes[0].Client(), "billing", "orders.v1")
	w.must(err)
	for p, want := range view.Current().Offsets["c0"].Begins {
		if at, _ := got.Lookup("orders.v1", int32(p)); at.At != want {
			t.Errorf("billing stands at %d in orders.v1/%d, want %d", at.At, p, want)
		}
	}
	w.must(Retire(w.ctx, w.opts))
}

// Publishers that do not follow are waited for, and named.
func TestWritersAreNamed(t *testing.T) {
	before := map[writer]wrote{{0, 7}: {1, 1, false}, {1, 8}: {5, 1, false}, {1, 9}: {5, 1, true}}
	now := map[writer]wrote{{0, 7}: {2, 2, false}, {1, 8}: {5, 1, false}, {1, 9}: {5, 1, true}}
	want := ", by producer 7 (partition 0), producer 9 (transaction open in partition 1)"
	if got := busy(before, now); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Times, headers, empty and missing keys and values arrive as they were, and the
// settings are in the end those of the old version.
func TestContentArrivesUnchanged(t *testing.T) {
	w := newWorld(t, 1)
	w.must(w.fakes[0].CreateTopic("orders", 2, map[string]string{"cleanup.policy": "compact",
		"message.timestamp.type": "LogAppendTime", "retention.ms": "77777777"}))
	client := w.fakes[0].Client()
	sent := []*kgo.Record{
		{Key: []byte("a"), Value: nil}, {Key: []byte{}, Value: []byte{}},
		{Key: []byte("b"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}, {Key: "h"}}},
	}
	for _, r := range sent {
		r.Topic = "orders"
		w.must(client.ProduceSync(w.ctx, r).FirstErr())
	}
	w.must(Move(w.ctx, w.opts))
	show := func(topic string) map[string]string {
		reader := w.fakes[0].Client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		all := map[string]string{}
		for len(all) < len(sent) {
			for _, r := range reader.PollFetches(w.ctx).Records() {
				all[string(r.Key)] = fmt.Sprintf("%v %v %v %v", r.Key == nil, r.Value, r.Headers, r.Timestamp.UnixMilli())
			}
			w.must(w.ctx.Err())
		}
		return all
	}
	old, moved := show("orders"), show("orders.v1")
	for key, want := range old {
		if moved[key] != want {
			t.Errorf("key %q: %s became %s", key, want, moved[key])
		}
	}
	configs := w.fakes[0].TopicInfo("orders.v1").Configs
	for key, want := range w.fakes[0].TopicInfo("orders").Configs {
		if got := configs[key]; got == nil || *got != *want {
			t.Errorf("%s of orders.v1 is %v, want %s", key, got, *want)
		}
	}
	if len(configs) != 3 {
		t.Errorf("orders.v1 has settings that orders has not: %v", configs)
	}
}

// What stands without a key goes round, over restarts as well.
func TestKeylessGoRound(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 1)
	client := w.fakes[0].Client()
	for i := range 24 {
		w.must(client.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: fmt.Append(nil, i)}).FirstErr())
	}
	w.must(Move(w.ctx, w.opts))
	listed, err := kadm.NewClient(client).ListEndOffsets(w.ctx, "orders.v1")
	w.must(err)
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset < 2 || o.Offset > 4 { // two records, and a marker for each transaction
			t.Errorf("partition %d ends at %d", o.Partition, o.Offset)
		}
	})
}

// A publisher that hears nothing does not write, though nothing forbids it.
func TestPublisherWithoutNewsWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 1)
	f := announce.NewFollower(w.fakes[0].Client(), "orders")
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	write := func() error {
		short, cancel := context.WithTimeout(w.ctx, 2*announce.Lease)
		defer cancel()
		return f.Write(short, func(context.Context, announce.Version) error { return nil })
	}
	w.must(write())
	stop()
	w.must(<-ended)
	w.await("the lease has run out", func() bool {
		short, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
		defer cancel()
		err := f.Write(short, func(context.Context, announce.Version) error { return nil })
		return errors.Is(err, context.DeadlineExceeded)
	})
}
