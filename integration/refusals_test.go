package integration

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
)

// What a topic or a partition cannot be copied for stops it alone, is told
// everywhere with a remedy, and once it is gone the copy is whole.
func TestRefusals(t *testing.T) { onLanes(t, refuse) }

func refuse(t *testing.T, lane string) {
	source, target := shared(t)
	ctx := deadline(t, 5*time.Minute)
	r := &refusals{t: t, ctx: ctx, source: source.Bootstrap(), target: target.Bootstrap(), name: unique(t)}
	groups := r.fill()
	s := newSite(t, source, target, fmt.Sprintf("topics: [\"%s-.*\"]", r.name), fmt.Sprintf("groups: [\"%s-.*\"]", r.name),
		"sync_topic_configs: false", "lane: "+lane)
	s, address := s.replica()
	r.checkRehearsal(s)
	d := s.run()

	t.Log("what is not refused goes on to the end")
	going := []string{r.topic("fine"), r.topic("fewer"), r.topic("narrow")}
	judged(ctx, t, s.sides(), going, nil)
	stops := []stopped{
		{r.topic("more"), 0, "partition_count", "has 4 partitions on cluster new and 2 on cluster old"},
		{r.topic("more"), 1, "partition_count", "has 4 partitions on cluster new and 2 on cluster old"},
		{r.topic("foreign"), 0, "foreign_records", "holds a record at offset 0 that this flow did not write"},
		{r.topic("foreign"), 1, "foreign_records", "holds a record at offset 0 that this flow did not write"},
		{r.topic("large"), 0, "record_too_large", "it is larger than topic"},
	}
	if lane == "record" { // batches travel with whatever is in them
		stops = append(stops, stopped{r.topic("zero"), 0, "record_not_carried", "its timestamp is 0"})
	}
	checkStopped(t, s, d, address, stops)
	for _, p := range reported(ctx, t, s.sides(), r.topic("large")).Partitions { // its other partition is whole
		if p.Number == 1 && !p.Equal() {
			t.Errorf("a partition beside the one that is stopped is not whole: %s", &p)
		}
	}
	zero := stableEnds(ctx, t, r.target, r.topic("zero"))
	if lane == "batch" {
		zero[0] = 0
		judged(ctx, t, s.sides(), []string{r.topic("zero")}, nil)
	} else if zero[0] < 300 {
		t.Errorf("%d offsets of %s are on the target, want the 300 records before the one refused", zero[0], r.topic("zero"))
	}

	t.Log("the causes go")
	must(t, workload.Grow(ctx, r.source, r.topic("more"), 4))
	deleteTopic(ctx, t, r.target, r.topic("foreign"))
	must(t, workload.Alter(ctx, r.target, r.topic("large"), map[string]string{"max.message.bytes": "2000000"}))
	if lane == "record" {
		deleteRecords(ctx, t, r.source, r.topic("zero"), 0, 301)
	}
	all := append(going, r.topic("more"), r.topic("foreign"), r.topic("large"), r.topic("zero"))
	judged(ctx, t, s.sides(), all, groups, judge.TargetFrom(map[string]map[int32]int64{r.topic("zero"): zero}))
	eventually(t, 30*time.Second, "nothing is stopped any more", func() bool {
		n, _ := metric(t, address, "partitions_stopped")
		return n == 0
	})
	seen, text := s.status()
	if seen.Stopped != 0 || !seen.CaughtUp {
		t.Errorf("status: %d stopped, caught up %v:\n%s", seen.Stopped, seen.CaughtUp, text)
	}
	holes := seen.of(r.topic("zero"), 0).Holes
	if lane == "record" && (holes == nil || holes.Count != 1 || holes.Offsets != 1) || lane == "batch" && holes != nil {
		t.Errorf("status tells of holes %+v in %s, want one of one offset in the record lane", holes, r.topic("zero"))
	}
	d.stop()
}

type refusals struct {
	t              *testing.T
	ctx            context.Context
	source, target string
	name           string
}

func (r *refusals) topic(kind string) string { return r.name + "-" + kind }

// fill makes the topics of both sides, and groups.
func (r *refusals) fill() (groups []string) {
	t, ctx := r.t, r.ctx
	two := []string{r.topic("fine"), r.topic("more"), r.topic("fewer"), r.topic("foreign"), r.topic("large"),
		r.topic("narrow")}
	must(t, workload.Topics(ctx, r.source, 2, workload.KeepConfigs(), two...))
	must(t, workload.Topics(ctx, r.source, 1, workload.KeepConfigs(), r.topic("zero")))
	for i, topic := range two {
		mixed(ctx, t, r.source, topic, uint64(20+i), 1500, 2)
	}
	must(t, workload.Topics(ctx, r.target, 4, workload.KeepConfigs(), r.topic("more")))
	must(t, workload.Topics(ctx, r.target, 1, workload.KeepConfigs(), r.topic("fewer")))
	must(t, workload.Topics(ctx, r.target, 2, workload.KeepConfigs(), r.topic("foreign")))
	must(t, workload.Produce(ctx, r.target, r.topic("foreign"), numbered("somebody else's", 1, 0)...))

	large := workload.KeepConfigs()
	large["max.message.bytes"] = "1048588"
	must(t, workload.Topics(ctx, r.target, 2, large, r.topic("large")))
	must(t, produceLarge(ctx, r.source, r.topic("large"), 1_300_000))
	mixed(ctx, t, r.source, r.topic("large"), 30, 1500, 2)

	// Takes each of the records, but not many of them in one batch.
	narrow := workload.KeepConfigs()
	narrow["max.message.bytes"] = "20000"
	must(t, workload.Topics(ctx, r.target, 2, narrow, r.topic("narrow")))
	var many []*kgo.Record
	for i := range 400 {
		many = append(many, &kgo.Record{Partition: int32(i % 2), Value: noise(1000)})
	}
	must(t, workload.Produce(ctx, r.source, r.topic("narrow"), many...))

	must(t, workload.Produce(ctx, r.source, r.topic("zero"), numbered("before", 300, 0)...))
	epoch := &kgo.Record{Value: []byte("1970"), Timestamp: time.UnixMilli(0)}
	must(t, workload.Produce(ctx, r.source, r.topic("zero"), epoch))
	must(t, workload.Produce(ctx, r.source, r.topic("zero"), numbered("after", 100, 0)...))
	return stand(ctx, t, r.source, 31, 10, two...)
}

// checkRehearsal: before the first run, check --connect tells what can be known.
func (r *refusals) checkRehearsal(s *site) {
	r.t.Helper()
	out, code := s.command("check", "--connect")
	if code != 1 {
		r.t.Errorf("check --connect ended with %d, want 1:\n%s", code, out)
	}
	for _, reason := range []string{
		"has 4 partitions on cluster new and 2 on cluster old", "holds a record at offset 0 that this flow did not write",
		"partitions 1 -> 2",
	} {
		if !holds(out, reason) {
			r.t.Errorf("check --connect does not say %q:\n%s", reason, out)
		}
	}
}

// produceLarge writes one record to partition 0 that is larger than brokers take by default.
func produceLarge(ctx context.Context, bootstrap, topic string, size int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(int32(size)+1000))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: noise(size)}).FirstErr()
}

// noise is a value that does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// Topics that are exchanged, emptied or written to by others while the daemon
// runs, and beside them one that is not.
func TestUpheaval(t *testing.T) { onLanes(t, upheaval) }

func upheaval(t *testing.T, lane string) {
	source, target := shared(t)
	ctx := deadline(t, 5*time.Minute)
	name := unique(t)
	still, again, gone, hole, foreign := name+"-still", name+"-again", name+"-gone", name+"-hole", name+"-foreign"
	all := []string{still, again, gone, hole, foreign}
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), all...))
	for i, topic := range all {
		mixed(ctx, t, source.Bootstrap(), topic, uint64(40+i), 2000, 2)
	}
	s := newSite(t, source, target, fmt.Sprintf("topics: [\"%s-.*\"]", name), fmt.Sprintf("groups: [\"%s-.*\"]", name),
		"lane: "+lane)
	s, address := s.replica()
	d := s.run()
	judged(ctx, t, s.sides(), all, stand(ctx, t, source.Bootstrap(), 45, 8, all...))
	live, err := workload.StartProducer(ctx, source.Bootstrap(), still,
		workload.ProducerSpec{Seed: 46, Rate: 300, Transactional: name, AbortEvery: 5})
	must(t, err)

	t.Log("a source topic is another one of the same name")
	before := map[string]map[int32]int64{again: stableEnds(ctx, t, target.Bootstrap(), again)}
	deleteTopic(ctx, t, source.Bootstrap(), again)
	eventually(t, 30*time.Second, "the topic is there again", func() bool {
		return workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), again) == nil
	})
	mixed(ctx, t, source.Bootstrap(), again, 47, 5000, 2) // more than before: the old position lies within
	judged(ctx, t, s.sides(), []string{again}, nil, judge.TargetFrom(before))
	judged(ctx, t, s.sides(), []string{again}, stand(ctx, t, source.Bootstrap(), 48, 4, again), judge.TargetFrom(before))
	d.says(10*time.Second, "source topic was created again", again, "remedy=")

	t.Log("a target topic is deleted")
	deleteTopic(ctx, t, target.Bootstrap(), gone)
	mixed(ctx, t, source.Bootstrap(), gone, 49, 1000, 2)
	judged(ctx, t, s.sides(), []string{gone}, stand(ctx, t, source.Bootstrap(), 50, 4, gone))
	d.says(10*time.Second, "target topic was created again", gone, "remedy=")

	strangers(ctx, t, s, d, address, foreign)
	overtaken(ctx, t, s, d, hole)

	wrote, err := live.Stop()
	must(t, err)
	t.Logf("beside all that, %d records were written and %d aborted", wrote.Acked, wrote.Aborted)
	last := s.run()
	judged(ctx, t, s.sides(), []string{still, gone}, stand(ctx, t, source.Bootstrap(), 51, 4, still, gone))
	last.stop()
}

// strangers writes a record to the target while the flow runs. A group that has
// not read it stops before it.
func strangers(ctx context.Context, t *testing.T, s *site, d *daemon, address, topic string) {
	t.Helper()
	t.Log("somebody else writes to the target")
	group := unique(t) + "-stranger"
	must(t, workload.Produce(ctx, s.target.Bootstrap(), topic, numbered("somebody else's", 3, 0)...))
	must(t, workload.Produce(ctx, s.source.Bootstrap(), topic, numbered("ours", 10, 0)...))
	ends := stableEnds(ctx, t, s.source.Bootstrap(), topic)
	must(t, workload.Commit(ctx, s.source.Bootstrap(), []workload.Position{{Group: group, Topic: topic, At: ends[0]}}))
	d.says(30*time.Second, "target partition holds records of somebody else", topic+"/0", "remedy=")
	var at positionSeen
	eventually(t, 30*time.Second, "the group stands before the foreign records", func() bool {
		seen, _ := s.status()
		for _, g := range seen.Groups {
			if g.Group == group {
				at = g.Positions[0]
			}
		}
		return at.Target != nil && at.State == "stopped_before_foreign"
	})
	if at.WouldSkip != 3 || at.WouldReadAgain < 10 || at.WouldReadAgain > 12 { // markers count
		t.Errorf("status says that the group would skip %d and read again %d, want 3 and 10 or few more",
			at.WouldSkip, at.WouldReadAgain)
	}
	if n, _ := metric(t, address, "foreign_stretches_total", "topic", topic); n != 1 {
		t.Errorf("metrics tell of %g foreign stretches, want 1", n)
	}
	for _, p := range reported(ctx, t, s.sides(), topic).Partitions {
		if p.Problem != "" || p.Missing+p.Changed+p.Reordered+p.Doubled != 0 || p.Number == 0 && p.Extra != 3 {
			t.Errorf("beside the 3 foreign records the sides differ: %s", &p)
		}
	}
}

// overtaken deletes records at the source before they were copied.
func overtaken(ctx context.Context, t *testing.T, s *site, d *daemon, topic string) {
	t.Helper()
	t.Log("records are deleted before they were copied")
	d.stop()
	before := stableEnds(ctx, t, s.target.Bootstrap(), topic)
	from := stableEnds(ctx, t, s.source.Bootstrap(), topic)[0]
	must(t, workload.Produce(ctx, s.source.Bootstrap(), topic, numbered("deleted", 400, 0)...))
	must(t, workload.Produce(ctx, s.source.Bootstrap(), topic, numbered("kept", 200, 0)...))
	deleteRecords(ctx, t, s.source.Bootstrap(), topic, 0, from+400)
	s, address := s.replica()
	d = s.run()
	before[1] = 0 // the other partition has lost nothing
	judged(ctx, t, s.sides(), []string{topic}, stand(ctx, t, s.source.Bootstrap(), 52, 4, topic),
		judge.TargetFrom(map[string]map[int32]int64{topic: before}))
	d.says(10*time.Second, "source records were deleted before they were copied", topic+"/0", "at_most=400", "remedy=")
	if n, _ := metric(t, address, "hole_offsets_total", "topic", topic); n != 400 {
		t.Errorf("metrics tell of %g offsets in holes, want 400", n)
	}
	seen, text := s.status()
	if holes := seen.of(topic, 0).Holes; holes == nil || holes.Count != 1 || holes.Offsets != 400 {
		t.Errorf("status tells of holes %+v, want one of 400 offsets:\n%s", holes, text)
	}
	d.stop()
}

// Mistakes that no flow can work with end the command, with what to do.
func TestMistakes(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 3*time.Minute)
	name := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), name))
	mixed(ctx, t, source.Bootstrap(), name, 60, 1000, 2)
	t.Run("the same cluster", func(t *testing.T) {
		s := newSite(t, source, source, patterns(t, []string{name})...)
		// By another name, so that it shows only when both are asked.
		text, err := os.ReadFile(s.path)
		must(t, err)
		text = bytes.Replace(text, []byte("127.0.0.1:"), []byte("localhost:"), 1)
		must(t, os.WriteFile(s.path, text, 0o600))
		s.run().fails(time.Minute, "same cluster", "a prefix of its own")
		if out, code := s.command("check", "--connect"); code != 1 || !holds(out, "same cluster", "a prefix of its own") {
			t.Errorf("check --connect ended with %d:\n%s", code, out)
		}
	})
	t.Run("other shards", func(t *testing.T) {
		newSite(t, source, target, patterns(t, []string{name})...).copyOnce()
		s := newSite(t, source, target, patterns(t, []string{name}, "shards: 3")...)
		s.run().fails(time.Minute, "has 8 partitions", "asks for 3 shards", "set shards: 8")
		if out, _ := s.command("status"); !holds(out, "has 8 partitions", "set shards: 8") {
			t.Errorf("status does not tell it:\n%s", out)
		}
		if out, code := s.command("check", "--connect"); code != 1 || !holds(out, "has 8 partitions", "set shards: 8") {
			t.Errorf("check --connect ended with %d:\n%s", code, out)
		}
	})
	t.Run("the flow turned round", func(t *testing.T) {
		name := name + "-turned"
		must(t, workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), name))
		mixed(ctx, t, source.Bootstrap(), name, 63, 100, 1)
		newSite(t, source, target, patterns(t, []string{name})...).copyOnce()
		// Whose names for the clusters are exchanged as well. One that sees who wrote a record could be the other of a pair,
		// but that both would set the topics' settings.
		for lane, why := range map[string]string{"record": "in a circle", "batch": "would set the settings of topics"} {
			s := newSite(t, target, source, patterns(t, []string{name}, "lane: "+lane)...)
			s.run().fails(time.Minute, why, "flow old->new", name, "from and to of this flow exchanged")
			if out, code := s.command("check", "--connect"); code != 1 || !holds(out, why, "flow old->new", name) {
				t.Errorf("lane %s: check --connect ended with %d:\n%s", lane, code, out)
			}
		}
	})
	t.Run("a later ledger", func(t *testing.T) {
		laterLedger(ctx, t, newSite(t, source, target, patterns(t, []string{name + "-ledger"})...), name+"-ledger")
	})
}

// laterLedger finds a record of a later release in one ledger partition: its
// shard stops, the others go on.
func laterLedger(ctx context.Context, t *testing.T, s *site, topic string) {
	must(t, workload.Topics(ctx, s.source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	mixed(ctx, t, s.source.Bootstrap(), topic, 61, 1000, 2)
	s.copyOnce()
	seen, _ := s.status()
	ledger := "__replicator." + unique(t)
	later := &kgo.Record{Key: []byte{9, 1, 2, 3}, Value: []byte{9}, Partition: int32(seen.of(topic, 0).Shard)}
	must(t, workload.Produce(ctx, s.target.Bootstrap(), ledger, later))
	mixed(ctx, t, s.source.Bootstrap(), topic, 62, 1000, 2)
	d := s.run()
	d.says(time.Minute, "format version 9", "knows version 1", "remedy=")
	eventually(t, time.Minute, "the other shard goes on", func() bool {
		for _, p := range reported(ctx, t, s.sides(), topic).Partitions {
			if p.Number == 1 {
				return p.Equal()
			}
		}
		return false
	})
	if out, _ := s.command("status"); !holds(out, "format version 9", "run the release that wrote the ledger") {
		t.Errorf("status does not tell it:\n%s", out)
	}
	d.stop()
	s.run("--until-caught-up").fails(time.Minute, "format version 9")
}
