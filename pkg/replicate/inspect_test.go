package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// lookout is two clusters with one topic of one partition, and a ledger that a test
// writes by hand: no process copies.
type lookout struct {
	t              *testing.T
	ctx            context.Context
	source, target *kafkatest.Cluster
	cfg            Config
	key            ledger.Key
	shard          *ledger.Shard
	foreign        *offsets.Stretch // noted with the next runs
}

const lookoutTopic = "orders"

func newLookout(t *testing.T) *lookout {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	l := &lookout{t: t, ctx: ctx, shard: ledger.NewShard(), cfg: DefaultConfig()}
	l.cfg.From, l.cfg.To, l.cfg.Shards = "old", "new", 1
	l.source, l.target = kafkatest.Start(t, kfake.ClusterID("source-id")), kafkatest.Start(t, kfake.ClusterID("target-id"))
	l.source.Topic(lookoutTopic, 1)
	l.target.Topic(lookoutTopic, 1)
	l.target.Topic(l.cfg.LedgerTopic(), 1)
	l.key = ledger.Key{Topic: chunk.TopicID(l.source.TopicInfo(lookoutTopic).TopicID), Partition: l.partition()}
	return l
}

func (l *lookout) partition() chunk.Partition { return chunk.Partition{Topic: lookoutTopic} }

// begin opens a transaction on the target.
func (l *lookout) begin(id string) *kgo.Client {
	l.t.Helper()
	client := l.target.Writer(kgo.TransactionalID(id))
	if err := client.BeginTransaction(); err != nil {
		l.t.Fatal(err)
	}
	return client
}

func (l *lookout) end(client *kgo.Client, try kgo.TransactionEndTry) {
	l.t.Helper()
	if err := client.EndTransaction(l.ctx, try); err != nil {
		l.t.Fatal(err)
	}
}

// data writes n records to a topic.
func (l *lookout) data(client *kgo.Client, n int) {
	l.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: lookoutTopic, Value: fmt.Append(nil, i)}
		if err := client.ProduceSync(l.ctx, r).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
}

// note writes to the ledger what a commit of runs up to progress would write, exactly once.
func (l *lookout) note(client *kgo.Client, progress offsets.Source, runs ...offsets.Run) {
	l.t.Helper()
	l.noteAs(true, client, progress, runs...)
}

func (l *lookout) noteAs(marked bool, client *kgo.Client, progress offsets.Source, runs ...offsets.Run) {
	l.t.Helper()
	header := ledger.Header{
		TargetTopic: chunk.TopicID(l.target.TopicInfo(lookoutTopic).TopicID), Progress: progress, Epoch: chunk.UnknownEpoch,
		Marked: marked,
	}
	change := ledger.Change{Key: l.key, Header: header, Runs: runs}
	if l.foreign != nil {
		change.Foreign = []offsets.Stretch{*l.foreign}
	}
	p, err := l.shard.Prepare([]ledger.Change{change})
	if err != nil {
		l.t.Fatal(err)
	}
	var at []int64
	for _, record := range p.Records {
		r := &kgo.Record{Topic: l.cfg.LedgerTopic(), Key: record.Key, Value: record.Value}
		if err := client.ProduceSync(l.ctx, r).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
		at = append(at, r.Offset)
	}
	p.Apply(at)
}

// inspect opens a look that waits for an open transaction for a short time only.
func (l *lookout) inspect() *Inspection {
	l.t.Helper()
	clusters := map[string]kafka.Config{}
	for name, c := range map[string]*kafkatest.Cluster{"old": l.source, "new": l.target} {
		clusters[name] = kafka.Config{Name: name, Properties: c.Properties()}
	}
	i, err := Inspect(l.ctx, clusters, l.cfg, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(i.Close)
	i.settleWait = 300 * time.Millisecond
	return i
}

func (l *lookout) translate(i *Inspection, at offsets.Source) (offsets.Target, error) {
	got, err := i.Translate(l.ctx, l.partition(), at)
	if err != nil {
		return -1, err
	}
	return got.Target, nil
}

// Between the records of a commit and its marker on the ledger partition, the data
// may be there already: a position is not translated by a map that is behind it.
func TestLookBehindOpenLedgerTransaction(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	l.data(l.source.Client(), 10)
	first := l.begin("shard")
	l.data(first, 5)
	l.note(first, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	l.end(first, kgo.TryCommit) // the marker is target offset 5
	i := l.inspect()
	if got, err := l.translate(i, 5); err != nil || got != 6 {
		t.Fatalf("5 of 5 copied: %d, %v, want the end, 6", got, err)
	}

	second := l.begin("other")
	l.note(second, 10, offsets.Run{Source: 5, Target: 6, Count: 5})
	_, err := l.translate(i, 5)
	var problem *kafka.Problem
	if !errors.As(err, &problem) || !strings.Contains(err.Error(), "a transaction is open on its ledger partition") {
		t.Errorf("with an open ledger transaction: %v, want a refusal", err)
	}
	status, err := i.Status(l.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if p := status.Partitions[0]; p.Progress == nil || *p.Progress != 5 || p.Behind != 5 {
		t.Errorf("status with an open ledger transaction: %+v, want what is committed: 5, and 5 behind", p)
	}

	l.end(second, kgo.TryAbort)
	if got, err := l.translate(i, 5); err != nil || got != 6 {
		t.Errorf("after the abort: %d, %v, want 6", got, err)
	}
}

// The ledger is read as far as it reached when the data's end was taken: a look that
// comes while a transaction is about to end waits for it.
func TestLookWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	l.data(l.source.Client(), 5)
	i := l.inspect()
	i.settleWait = 20 * time.Second
	open := l.begin("shard")
	l.data(open, 5)
	l.note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	type answer struct {
		at  offsets.Target
		err error
	}
	answers := make(chan answer, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		at, err := l.translate(i, 5)
		answers <- answer{at, err}
	}()
	<-begun
	select {
	case got := <-answers:
		t.Fatalf("answered %+v while the ledger's transaction was open", got)
	case <-time.After(time.Second): // this is what is tested: that it is still waiting
	}
	l.end(open, kgo.TryCommit)
	// The end was taken before the transaction ended: the answer is after our last record, never before it.
	if got := <-answers; got.err != nil || got.at != 5 {
		t.Errorf("after the commit: %d, %v, want 5, right after the last record", got.at, got.err)
	}
	if got, err := l.translate(i, 5); err != nil || got != 6 {
		t.Errorf("the next look: %d, %v, want 6, past the marker", got, err)
	}
}

// What lies behind our last record decides where the end is.
func TestLookAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		behind func(*lookout) // after 5 records at 0 to 4 and a marker at 5
		want   offsets.Target
	}{
		{"our marker alone", func(*lookout) {}, 6},
		{"an aborted attempt", func(l *lookout) { a := l.begin("a"); l.data(a, 3); l.end(a, kgo.TryAbort) }, 10},
		{"a record of somebody else", func(l *lookout) { l.data(l.target.Client(), 2) }, 6},
		{"an aborted attempt, then somebody else", func(l *lookout) {
			a := l.begin("a")
			l.data(a, 3)
			l.end(a, kgo.TryAbort)
			l.data(l.target.Client(), 1)
		}, 10},
		{"a transaction that is open", func(l *lookout) { l.data(l.begin("a"), 3) }, 6},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			l := newLookout(t)
			l.data(l.source.Client(), 5)
			open := l.begin("shard")
			l.data(open, 5)
			l.note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
			l.end(open, kgo.TryCommit)
			c.behind(l)
			if got, err := l.translate(l.inspect(), 5); err != nil || got != c.want {
				t.Errorf("%d, %v, want %d", got, err, c.want)
			}
		})
	}
}

// Records that were not written in a transaction have no marker behind them, whatever
// the flow is configured to do now.
func TestLookAtTheEndWithoutMarker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		behind func(*lookout) // after 5 records at 0 to 4
		want   offsets.Target
	}{
		{"nothing", func(*lookout) {}, 5},
		{"one record of somebody else", func(l *lookout) { l.data(l.target.Client(), 1) }, 5},
		{"an aborted attempt", func(l *lookout) {
			a := l.begin("a")
			l.data(a, 1)
			l.end(a, kgo.TryAbort)
		}, 7},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			l := newLookout(t)
			l.data(l.source.Client(), 5)
			l.data(l.target.Client(), 5)
			open := l.begin("shard")
			l.noteAs(false, open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
			l.end(open, kgo.TryCommit)
			c.behind(l)
			if got, err := l.translate(l.inspect(), 5); err != nil || got != c.want {
				t.Errorf("%d, %v, want %d", got, err, c.want)
			}
		})
	}
}

// Who commits what he is told waits while the target settles; who only looks does not.
func TestAheadOfTheEnds(t *testing.T) {
	t.Parallel()
	m := &offsets.Map{}
	if err := m.Append(offsets.Run{Source: 0, Target: 0, Count: 5}); err != nil {
		t.Fatal(err)
	}
	// A look at 5 would find somebody else's record.
	tr := translator{tails: map[chunk.Partition]tail{{}: {from: 5, to: 6, end: 5}}}
	for _, c := range []struct {
		s      offsets.Source
		stable offsets.Target
		marked bool
		ahead  bool
		ready  bool
		want   offsets.Target
	}{
		{2, 6, true, false, true, 2},
		{2, 2, true, false, false, 0}, // the last stable offset has not passed the record yet
		{2, 2, true, true, true, 2},
		{5, 6, true, false, true, 6},  // one offset behind ours is our marker,
		{5, 6, false, false, true, 5}, // but not where they were written without a transaction
		{5, 5, true, false, true, 5},
		{5, 5, false, false, true, 5},
		{5, 3, true, false, false, 0},
		{5, 3, true, true, true, 5},
		{6, 6, true, true, false, 0}, // not copied yet
	} {
		state := &ledger.State{Header: ledger.Header{Progress: 5, Marked: c.marked}, Map: m}
		on := standing{state: state, stable: c.stable, ahead: c.ahead,
			source: func(context.Context) (sourceLog, error) { return sourceLog{0, 6}, nil }}
		got, err := tr.translate(t.Context(), on, c.s, nil)
		if err != nil || got.Ready != c.ready || c.ready && got.exact != c.want || !c.ready && got.Why == "" {
			t.Errorf("translate %d with the end at %d, marked %v, ahead %v: %+v, %v, want %d, ready %v", c.s, c.stable,
				c.marked, c.ahead, got, err, c.want, c.ready)
		}
	}
}

func TestStatusOfOtherTopics(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	l.data(l.source.Client(), 5)
	open := l.begin("shard")
	l.data(open, 5)
	l.note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	l.end(open, kgo.TryCommit)
	i := l.inspect()
	look := func() PartitionStatus {
		t.Helper()
		status, err := i.Status(l.ctx)
		if err != nil || len(status.Partitions) != 1 {
			t.Fatalf("%+v, %v, want one partition", status, err)
		}
		return status.Partitions[0]
	}
	if p := look(); p.Phase != partition.PhaseIdle {
		t.Errorf("%+v, want idle", p)
	}
	admin := kadm.NewClient(l.target.Client())
	recreate := func(c *kadm.Client) {
		t.Helper()
		if _, err := c.DeleteTopics(l.ctx, lookoutTopic); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateTopics(l.ctx, 1, 1, nil, lookoutTopic); err != nil {
			t.Fatal(err)
		}
	}
	recreate(admin)
	if p := look(); p.Phase != partition.PhaseWaiting || !strings.Contains(p.Reason, "another one than was copied to") {
		t.Errorf("the target topic was created again: %+v, want waiting", p)
	}
	if _, err := l.translate(i, 3); err == nil || !strings.Contains(err.Error(), "another one than was copied to") {
		t.Errorf("the target topic was created again: %v, want no translation", err)
	}
	if _, err := admin.DeleteTopics(l.ctx, lookoutTopic); err != nil {
		t.Fatal(err)
	}
	if p := look(); p.Phase != partition.PhaseWaiting || p.TargetEnd != nil {
		t.Errorf("the target topic is gone: %+v, want waiting", p)
	}
	recreate(kadm.NewClient(l.source.Client()))
	if p := look(); p.Phase != partition.PhaseNotStarted || p.Progress != nil {
		t.Errorf("the source topic was created again: %+v, want not started", p)
	}
}

func TestOtherNumberOfShardsIsTold(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	l.cfg.Shards = 4
	status, err := l.inspect().Status(l.ctx)
	if err != nil || len(status.Problems) != 1 || !strings.Contains(status.Problems[0].Remedy, "set shards: 1") ||
		status.CaughtUp {
		t.Errorf("%+v, %v, want one problem: the ledger has one shard", status, err)
	}
}

func TestSameClusterIsRefused(t *testing.T) {
	t.Parallel()
	l := newLookout(t)
	one := l.source.Properties()
	_, err := Inspect(l.ctx, map[string]kafka.Config{
		"old": {Name: "old", Properties: one}, "new": {Name: "new", Properties: one},
	}, l.cfg, nil)
	if err == nil || chunk.Remedy(err) == "" {
		t.Errorf("both sides are one cluster: %v, want a refusal with a remedy", err)
	}
}
