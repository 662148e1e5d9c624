package groups

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// shift is how far target offsets lie above source offsets in these tests.
const shift = 1000

// fixture has two clusters with topics t and u of 2 partitions each.
type fixture struct {
	t              *testing.T
	ctx            context.Context
	source, target *kadm.Client
	sources        *kafkatest.Cluster // nil on real brokers
	targets        *kafkatest.Cluster // the same
	config         Config
	groups         *Groups
	log            *strings.Builder
	ends           [][]chunk.Partition // what was asked for, call by call
	translate      Translator
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	// More brokers than one: groups have several coordinators.
	brokers, topics := kfake.NumBrokers(3), kfake.SeedTopics(2, "t", "u")
	sources, targets := kafkatest.Start(t, brokers, topics), kafkatest.Start(t, brokers, topics)
	f := onClusters(t, sources.Address(), targets.Address())
	f.sources, f.targets = sources, targets
	return f
}

func onClusters(t *testing.T, source, target string) *fixture {
	t.Helper()
	chosen := policy.DefaultConfig()
	chosen.From, chosen.To, chosen.ExcludeGroups, chosen.ExcludeTopics = "old", "new", []string{"not-.*"}, []string{"u"}
	selection, err := policy.New(chosen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, log: &strings.Builder{}}
	f.config = Config{
		Source: kafka.Config{Name: "old", Properties: map[string]string{"bootstrap.servers": source}},
		Target: kafka.Config{Name: "new", Properties: map[string]string{"bootstrap.servers": target}},
		Policy: selection, Flow: flow,
		Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	f.source, f.target = f.admin(f.config.Source), f.admin(f.config.Target)
	f.translate = func(_ chunk.Partition, s offsets.Source, _ Place) Answer {
		return ready(offsets.Target(s) + shift)
	}
	if f.groups, err = Open(f.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.groups.Close)
	return f
}

func (f *fixture) admin(cluster kafka.Config) *kadm.Client {
	client, err := kafka.NewFranz(cluster)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// commit makes a plain consumer's commit.
func (f *fixture) commit(admin *kadm.Client, group, topic string, partition int32, at int64, metadata string) {
	f.t.Helper()
	var list kadm.Offsets
	list.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := admin.CommitAllOffsets(f.ctx, group, list); err != nil {
		f.t.Fatalf("commit %s: %v", group, err)
	}
}

func everything(chunk.Partition) bool { return true }

func (f *fixture) syncOf(mine func(chunk.Partition) bool) Report {
	f.t.Helper()
	r, err := f.groups.Sync(f.ctx, mine, func(_ context.Context, list []chunk.Partition) error {
		f.ends = append(f.ends, list)
		return nil
	}, f.translate)
	if err != nil {
		f.t.Fatalf("sync: %v", err)
	}
	return r
}

func (f *fixture) sync() Report { f.t.Helper(); return f.syncOf(everything) }

// expect makes a round and compares how many positions there were of each kind.
func (f *fixture) expect(why string, want map[Kind]int) Report {
	f.t.Helper()
	r := f.sync()
	if !maps.Equal(r.Kinds, want) {
		few := r.Positions[:min(len(r.Positions), 5)]
		f.t.Fatalf("%s: got %v, want %v: %+v %+v", why, r.Kinds, want, few, r.Failed)
	}
	return r
}

// holds compares what a group has committed on the target in t/partition.
func (f *fixture) holds(group string, partition int32, want int64) {
	f.t.Helper()
	got, err := f.target.FetchOffsets(f.ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		f.t.Fatal(err)
	}
	at, ok := got.Lookup("t", partition)
	if !ok {
		at.At = -1
	}
	if at.At != want {
		f.t.Errorf("group %s holds t/%d at %d (%q), want %d", group, partition, at.At, at.Metadata, want)
	}
}

// logged compares the messages and groups of the log since the last call.
func (f *fixture) logged(want ...string) {
	f.t.Helper()
	lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
	f.log.Reset()
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
	if len(lines) != len(want) {
		f.t.Fatalf("log: got %q, want %q", lines, want)
	}
	for i, line := range lines {
		for _, part := range strings.Split(want[i], "|") {
			if !strings.Contains(line, part) {
				f.t.Errorf("log: got %q, want %q in it", line, part)
			}
		}
	}
}

func TestSync(t *testing.T)                { testSync(newFixture(t)) }
func TestConsumerOnTheTarget(t *testing.T) { testConsumerOnTheTarget(newFixture(t)) }
func TestActiveGroup(t *testing.T)         { testActiveGroup(newFixture(t)) }

func testSync(f *fixture) {
	f.commit(f.source, "g1", "t", 0, 0, "")
	f.commit(f.source, "g1", "t", 1, 42, "a consumer's text")
	f.commit(f.source, "g1", "u", 0, 7, "")
	f.commit(f.source, "g2", "t", 1, 5, "")
	f.commit(f.source, "not-this", "t", 0, 5, "")
	f.commit(f.source, "only-u", "u", 0, 5, "")
	f.translate = func(p chunk.Partition, s offsets.Source, _ Place) Answer {
		if p.Number == 0 {
			return ready(offsets.Target(s)) // offset 0 stays 0
		}
		return ready(offsets.Target(s) + shift)
	}
	r := f.expect("first round", map[Kind]int{Moved: 3})
	if r.Listed != 4 || r.Selected != 3 || !r.Settled() {
		f.t.Errorf("listed %d, selected %d, settled %v", r.Listed, r.Selected, r.Settled())
	}
	if got := r.Positions[1]; got.Group != "g1" || got.Partition != (chunk.Partition{Topic: "t", Number: 1}) ||
		got.Source != (Committed{42, "a consumer's text"}) || got.Target != nil || got.After != 1042 {
		f.t.Errorf("got %+v", got)
	}
	both := []chunk.Partition{{Topic: "t", Number: 0}, {Topic: "t", Number: 1}}
	if len(f.ends) != 1 || !slices.Equal(f.ends[0], both) {
		f.t.Errorf("ends were asked for %v, want once %v", f.ends, both)
	}
	f.holds("g1", 0, 0)
	f.holds("g1", 1, 1042)
	f.holds("g2", 1, 1005)

	r = f.expect("nothing to do", map[Kind]int{InSync: 3})
	if got := r.Positions[1]; got.Target == nil || got.Target.Metadata != "replicator1 old->new s=42 t=1042" {
		f.t.Errorf("got %+v", got)
	}
	f.commit(f.source, "g1", "t", 1, 50, "")
	f.expect("forwards", map[Kind]int{Moved: 1, InSync: 2})
	f.holds("g1", 1, 1050)
	f.commit(f.source, "g1", "t", 1, 3, "")
	f.expect("back, as the source was reset", map[Kind]int{Moved: 1, InSync: 2})
	f.holds("g1", 1, 1003)

	if _, err := f.target.DeleteGroups(f.ctx, "g1"); err != nil {
		f.t.Fatal(err)
	}
	f.expect("expired", map[Kind]int{Moved: 2, InSync: 1})
	f.holds("g1", 0, 0)
	f.holds("g1", 1, 1003)

	if _, err := f.source.DeleteGroups(f.ctx, "g1"); err != nil {
		f.t.Fatal(err)
	}
	f.expect("deleted at the source", map[Kind]int{InSync: 1})
	f.holds("g1", 1, 1003)
	f.logged()
}

func testConsumerOnTheTarget(f *fixture) {
	f.commit(f.source, "g", "t", 0, 10, "")
	f.commit(f.source, "g", "t", 1, 20, "")
	f.expect("first round", map[Kind]int{Moved: 2})
	f.commit(f.target, "g", "t", 0, 1015, "")
	r := f.expect("one partition is the consumer's", map[Kind]int{ForeignCommit: 1, InSync: 1})
	if got := r.Positions[0]; got.Err != nil || got.After != 1015 ||
		got.Decision.Why != "a consumer on the target committed it" {
		f.t.Errorf("got %+v", got)
	}
	f.logged("group is left alone|group=g|kind=foreign_commit|partitions=1")
	f.commit(f.target, "g", "t", 1, 1030, "replicator1 old->new s=20 t=1020")
	r = f.expect("our text kept over another offset", map[Kind]int{ForeignCommit: 2})
	if got := r.Positions[1].Decision.Why; !strings.Contains(got, "kept our metadata") {
		f.t.Errorf("why = %q", got)
	}
	f.commit(f.source, "g", "t", 0, 30, "")
	f.expect("the source moves on", map[Kind]int{ForeignCommit: 2})
	f.holds("g", 0, 1015)
	f.holds("g", 1, 1030)
	f.logged() // nothing new
	if _, err := f.target.DeleteGroups(f.ctx, "g"); err != nil {
		f.t.Fatal(err)
	}
	f.expect("the consumer's positions expired", map[Kind]int{Moved: 2})
	f.logged("group follows the source again|group=g")
}

// member joins a group on the target without committing.
func (f *fixture) member(group string) *kgo.Client {
	f.t.Helper()
	client, err := kafka.NewFranz(f.config.Target, kgo.ConsumerGroup(group), kgo.ConsumeTopics("t"),
		kgo.DisableAutoCommit())
	if err != nil {
		f.t.Fatal(err)
	}
	f.waitState(group, "Stable", func() { client.PollFetches(shortly(f.ctx)) })
	return client
}

func shortly(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func (f *fixture) waitState(group, want string, between func()) {
	f.t.Helper()
	for {
		list, err := f.target.ListGroups(f.ctx)
		if err != nil {
			f.t.Fatalf("wait for %s: %v", want, err)
		}
		if list[group].State == want {
			return
		}
		between()
	}
}

func testActiveGroup(f *fixture) {
	f.commit(f.source, "g", "t", 0, 10, "")
	f.commit(f.source, "g", "t", 1, 11, "")
	f.commit(f.source, "idle", "t", 1, 10, "")
	f.expect("first round", map[Kind]int{Moved: 3})
	consumer := f.member("g")
	f.expect("an active group that stands right", map[Kind]int{InSync: 3})
	f.commit(f.source, "g", "t", 0, 20, "")
	f.commit(f.source, "idle", "t", 1, 20, "")
	r := f.expect("the source moves on", map[Kind]int{Active: 1, InSync: 1, Moved: 1})
	if got := r.Positions[0]; got.Err != nil || got.After != 1010 || got.Decision.Write {
		f.t.Errorf("got %+v", got)
	}
	f.holds("g", 0, 1010)
	f.holds("idle", 1, 1020)
	f.logged("group is left alone|group=g|kind=active")
	f.expect("again", map[Kind]int{Active: 1, InSync: 2})

	held, listed, err := f.groups.Look(f.ctx)
	if err != nil || listed != 2 || len(held) != 2 {
		f.t.Fatalf("look: %+v %d %v", held, listed, err)
	}
	if g := held[0]; g.Group != "g" || g.State != "Stable" || g.Members != 1 || len(g.Positions) != 2 {
		f.t.Errorf("look: got %+v", g)
	}
	if g := held[1]; g.Group != "idle" || g.State != "Empty" || g.Members != 0 || g.Positions[0].Target.Offset != 1020 {
		f.t.Errorf("look: got %+v", g)
	}
	f.logged()

	consumer.Close()
	f.waitState("g", "Empty", func() {})
	f.expect("the consumer left without a commit", map[Kind]int{Moved: 1, InSync: 2})
	f.holds("g", 0, 1020)
	f.logged("group follows the source again|group=g")
}

func TestOnlyOwnPartitionsAreSynced(t *testing.T) {
	f := newFixture(t)
	f.commit(f.source, "g", "t", 0, 10, "")
	f.commit(f.source, "g", "t", 1, 20, "")
	r := f.syncOf(func(p chunk.Partition) bool { return p.Number == 1 })
	if len(r.Positions) != 1 || r.Kinds[Moved] != 1 || len(f.ends) != 1 || len(f.ends[0]) != 1 {
		t.Errorf("got %+v, ends %v", r, f.ends)
	}
	f.holds("g", 0, -1)
	f.holds("g", 1, 1020)
	if r := f.syncOf(func(chunk.Partition) bool { return false }); len(r.Positions) != 0 || len(f.ends) != 1 {
		t.Errorf("nothing mine: got %+v, ends %v", r, f.ends)
	}
}

// The translator is told where the group stands, and only where it matters.
func TestTranslatorSeesThePosition(t *testing.T) {
	f := newFixture(t)
	var seen []string
	f.translate = func(p chunk.Partition, s offsets.Source, at Place) Answer {
		text := p.String() + " none"
		if at.At != nil {
			text = p.String() + " ours"
		}
		seen = append(seen, text)
		a := ready(60)
		a.Foreign = &offsets.Stretch{From: 60, To: 61}
		return a
	}
	f.commit(f.source, "g", "t", 0, 10, "")
	f.commit(f.source, "g", "t", 1, 10, "")
	f.commit(f.target, "g", "t", 1, 10, "")
	r := f.expect("stopped", map[Kind]int{BeforeForeign: 1, ForeignCommit: 1})
	if got := r.Positions[0].Decision.Foreign; got == nil || got.From != 60 {
		t.Errorf("stopped by %v", got)
	}
	f.holds("g", 0, 60)
	f.expect("still", map[Kind]int{BeforeForeign: 1, ForeignCommit: 1})
	if want := []string{"t/0 none", "t/0 ours"}; !slices.Equal(seen, want) {
		t.Errorf("translated %q, want %q", seen, want)
	}
	f.logged("level=WARN|kind=stopped_before_foreign|remedy=")
}

// A consumer without membership may commit while we translate, which can take a while.
func TestCommitDuringTranslation(t *testing.T) {
	f := newFixture(t)
	f.commit(f.source, "g", "t", 0, 10, "")
	f.commit(f.source, "g", "t", 1, 10, "")
	f.expect("first", map[Kind]int{Moved: 2})
	f.commit(f.source, "g", "t", 0, 20, "")
	f.commit(f.source, "g", "t", 1, 20, "")
	translate := f.translate
	f.translate = func(p chunk.Partition, s offsets.Source, at Place) Answer {
		if p.Number == 0 {
			f.commit(f.target, "g", "t", 0, 1013, "")
			<-time.After(2 * fresh)
		}
		return translate(p, s, at)
	}
	f.expect("slow", map[Kind]int{Retried: 1, Moved: 1})
	f.holds("g", 0, 1013)
	f.holds("g", 1, 1020)
	f.expect("next", map[Kind]int{ForeignCommit: 1, InSync: 1})
}

func TestPositionAheadOfTheCopyWaits(t *testing.T) {
	f := newFixture(t)
	f.commit(f.source, "g", "t", 0, 10, "")
	f.translate = func(chunk.Partition, offsets.Source, Place) Answer {
		return Answer{Rule: offsets.NotYet}
	}
	if r := f.expect("ahead", map[Kind]int{NotCopiedYet: 1}); r.Settled() {
		t.Error("settled, though the copy is to come")
	}
	f.holds("g", 0, -1)
	f.logged()
}

func TestMissingTargetTopic(t *testing.T) {
	f := newFixture(t)
	if _, err := f.source.CreateTopic(f.ctx, 1, 1, nil, "fresh"); err != nil {
		t.Fatal(err)
	}
	f.commit(f.source, "g", "fresh", 0, 10, "")
	f.commit(f.source, "g", "t", 0, 10, "")
	if r := f.expect("not made yet", map[Kind]int{Retried: 1, Moved: 1}); r.Settled() {
		t.Error("settled, though the topic is to come")
	}
	if _, err := f.target.CreateTopic(f.ctx, 1, 1, nil, "fresh"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C { // the client believes for some seconds that there is no such topic
		if r := f.sync(); r.Kinds[Moved] == 1 && r.Kinds[InSync] == 1 {
			return
		}
	}
}

func TestNoGroupsIsAWarningOnce(t *testing.T) {
	f := newFixture(t)
	f.expect("none", map[Kind]int{})
	f.expect("none", map[Kind]int{})
	f.logged("level=WARN|the source lists no consumer groups|remedy=|Describe")
}

func TestManyGroups(t *testing.T) {
	f := newFixture(t)
	var names []string
	for i := range 300 {
		name := "many-" + string(rune('a'+i%26)) + "-" + string(rune('a'+i/26))
		names = append(names, name)
		f.commit(f.source, name, "t", 0, int64(i), "")
		f.commit(f.source, name, "t", 1, int64(i)+1, "")
	}
	f.expect("first", map[Kind]int{Moved: 600})
	r := f.expect("steady", map[Kind]int{InSync: 600})
	slices.Sort(names)
	for i, p := range r.Positions {
		if p.Group != names[i/2] || p.Partition.Number != int32(i%2) {
			t.Fatalf("position %d is %s %s: not sorted", i, p.Group, p.Partition)
		}
	}
	if got := len(f.groups.target.writers); got < 1 || got > maxWriters {
		t.Errorf("%d writers, want 1 to %d", got, maxWriters)
	}
}

func TestTargetAway(t *testing.T) {
	f := newFixture(t)
	f.commit(f.source, "g", "t", 0, 10, "")
	f.targets.Close()
	ctx, cancel := context.WithTimeout(f.ctx, 2*time.Second)
	defer cancel()
	_, err := f.groups.Sync(ctx, everything, func(context.Context, []chunk.Partition) error { return nil }, f.translate)
	if err == nil {
		t.Error("no error though the target is away")
	}
}
