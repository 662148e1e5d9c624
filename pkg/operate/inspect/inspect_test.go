package inspect_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
)

func translate(l *flowtest.Lookout, i *snapshot.Viewer, at offsets.Source) (offsets.Target, error) {
	got, err := inspect.Translate(l.Ctx, i, l.Partition(), at)
	if err != nil {
		return -1, err
	}
	return got.Target, nil
}

// Between the records of a commit and its marker on the ledger partition, the data
// may be there already: a position is not translated by a map that is behind it.
func TestOpenLedgerTransactionIsNotPassed(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	l.Data(l.Source.Client(), 10)
	first := l.Begin("shard")
	l.Data(first, 5)
	l.Note(first, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	l.End(first, kgo.TryCommit) // the marker is target offset 5
	i := l.Look()
	if got, err := translate(l, i, 5); err != nil || got != 6 {
		t.Fatalf("5 of 5 copied: %d, %v, want the end, 6", got, err)
	}

	second := l.Begin("other")
	l.Note(second, 10, offsets.Run{Source: 5, Target: 6, Count: 5})
	_, err := translate(l, i, 5)
	var problem *kafka.Problem
	if !errors.As(err, &problem) || !strings.Contains(err.Error(), "a transaction is open on its ledger partition") {
		t.Errorf("with an open ledger transaction: %v, want a refusal", err)
	}
	status, err := inspect.Status(l.Ctx, i)
	if err != nil {
		t.Fatal(err)
	}
	if p := status.Partitions[0]; p.Progress == nil || *p.Progress != 5 || p.Behind != 5 {
		t.Errorf("status with an open ledger transaction: %+v, want what is committed: 5, and 5 behind", p)
	}

	l.End(second, kgo.TryAbort)
	if got, err := translate(l, i, 5); err != nil || got != 6 {
		t.Errorf("after the abort: %d, %v, want 6", got, err)
	}
}

// The ledger is read as far as it reached when the data's end was taken: a look that
// comes while a transaction is about to end waits for it.
func TestLedgerIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	l.Data(l.Source.Client(), 5)
	i := l.Look()
	i.SettleWait = 20 * time.Second
	open := l.Begin("shard")
	l.Data(open, 5)
	l.Note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	type answer struct {
		at  offsets.Target
		err error
	}
	answers := make(chan answer, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		at, err := translate(l, i, 5)
		answers <- answer{at, err}
	}()
	<-begun
	select {
	case got := <-answers:
		t.Fatalf("answered %+v while the ledger's transaction was open", got)
	case <-time.After(time.Second): // this is what is tested: that it is still waiting
	}
	l.End(open, kgo.TryCommit)
	// The end was taken before the transaction ended: the answer is after our last record, never before it.
	if got := <-answers; got.err != nil || got.at != 5 {
		t.Errorf("after the commit: %d, %v, want 5, right after the last record", got.at, got.err)
	}
	if got, err := translate(l, i, 5); err != nil || got != 6 {
		t.Errorf("the next look: %d, %v, want 6, past the marker", got, err)
	}
}

// What lies behind our last record decides where the end is.
func TestEndBehindOurLastRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		behind func(*flowtest.Lookout) // after 5 records at 0 to 4 and a marker at 5
		want   offsets.Target
	}{
		{"our marker alone", func(*flowtest.Lookout) {}, 6},
		{"an aborted attempt", func(l *flowtest.Lookout) { a := l.Begin("a"); l.Data(a, 3); l.End(a, kgo.TryAbort) }, 10},
		{"a record of somebody else", func(l *flowtest.Lookout) { l.Data(l.Target.Client(), 2) }, 6},
		{"an aborted attempt, then somebody else", func(l *flowtest.Lookout) {
			a := l.Begin("a")
			l.Data(a, 3)
			l.End(a, kgo.TryAbort)
			l.Data(l.Target.Client(), 1)
		}, 10},
		{"a transaction that is open", func(l *flowtest.Lookout) { l.Data(l.Begin("a"), 3) }, 6},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			l := flowtest.NewLookout(t)
			l.Data(l.Source.Client(), 5)
			open := l.Begin("shard")
			l.Data(open, 5)
			l.Note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
			l.End(open, kgo.TryCommit)
			c.behind(l)
			if got, err := translate(l, l.Look(), 5); err != nil || got != c.want {
				t.Errorf("%d, %v, want %d", got, err, c.want)
			}
		})
	}
}

// Records that were not written in a transaction have no marker behind them, whatever
// the flow is configured to do now.
func TestEndWithoutMarker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why    string
		behind func(*flowtest.Lookout) // after 5 records at 0 to 4
		want   offsets.Target
	}{
		{"nothing", func(*flowtest.Lookout) {}, 5},
		{"one record of somebody else", func(l *flowtest.Lookout) { l.Data(l.Target.Client(), 1) }, 5},
		{"an aborted attempt", func(l *flowtest.Lookout) {
			a := l.Begin("a")
			l.Data(a, 1)
			l.End(a, kgo.TryAbort)
		}, 7},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			l := flowtest.NewLookout(t)
			l.Data(l.Source.Client(), 5)
			l.Data(l.Target.Client(), 5)
			open := l.Begin("shard")
			l.NoteAs(false, open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
			l.End(open, kgo.TryCommit)
			c.behind(l)
			if got, err := translate(l, l.Look(), 5); err != nil || got != c.want {
				t.Errorf("%d, %v, want %d", got, err, c.want)
			}
		})
	}
}

func TestStatusOfRecreatedTopics(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	l.Data(l.Source.Client(), 5)
	open := l.Begin("shard")
	l.Data(open, 5)
	l.Note(open, 5, offsets.Run{Source: 0, Target: 0, Count: 5})
	l.End(open, kgo.TryCommit)
	i := l.Look()
	look := func() inspect.PartitionStatus {
		t.Helper()
		status, err := inspect.Status(l.Ctx, i)
		if err != nil || len(status.Partitions) != 1 {
			t.Fatalf("%+v, %v, want one partition", status, err)
		}
		return status.Partitions[0]
	}
	if p := look(); p.Phase != partition.PhaseIdle {
		t.Errorf("%+v, want idle", p)
	}
	admin := kadm.NewClient(l.Target.Client())
	recreate := func(c *kadm.Client) {
		t.Helper()
		if _, err := c.DeleteTopics(l.Ctx, flowtest.LookoutTopic); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateTopics(l.Ctx, 1, 1, nil, flowtest.LookoutTopic); err != nil {
			t.Fatal(err)
		}
	}
	recreate(admin)
	if p := look(); p.Phase != partition.PhaseWaiting || !strings.Contains(p.Reason, "another one than was copied to") {
		t.Errorf("the target topic was created again: %+v, want waiting", p)
	}
	if _, err := translate(l, i, 3); err == nil || !strings.Contains(err.Error(), "another one than was copied to") {
		t.Errorf("the target topic was created again: %v, want no translation", err)
	}
	if _, err := admin.DeleteTopics(l.Ctx, flowtest.LookoutTopic); err != nil {
		t.Fatal(err)
	}
	if p := look(); p.Phase != partition.PhaseWaiting || p.TargetEnd != nil {
		t.Errorf("the target topic is gone: %+v, want waiting", p)
	}
	recreate(kadm.NewClient(l.Source.Client()))
	if p := look(); p.Phase != partition.PhaseNotStarted || p.Progress != nil {
		t.Errorf("the source topic was created again: %+v, want not started", p)
	}
}

func TestOtherNumberOfShardsIsTold(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	l.Cfg.Shards = 4
	status, err := inspect.Status(l.Ctx, l.Look())
	if err != nil || len(status.Problems) != 1 || !strings.Contains(status.Problems[0].Remedy, "set shards: 1") ||
		status.CaughtUp {
		t.Errorf("%+v, %v, want one problem: the ledger has one shard", status, err)
	}
}

func TestSameClusterIsRefused(t *testing.T) {
	t.Parallel()
	l := flowtest.NewLookout(t)
	one := l.Source.Properties()
	_, err := snapshot.Open(l.Ctx, map[string]kafka.Config{
		"old": {Name: "old", Properties: one}, "new": {Name: "new", Properties: one},
	}, l.Cfg, nil)
	if err == nil || chunk.Remedy(err) == "" {
		t.Errorf("both sides are one cluster: %v, want a refusal with a remedy", err)
	}
}
