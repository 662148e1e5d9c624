package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
)

// step is a place in the commit of a chunk at which it is made to fail.
type step string

const (
	beforeBegin  step = "before begin"
	midProduce   step = "mid-produce"
	beforeLedger step = "produced, before the ledger record"
	beforeCommit step = "ledger record written, before the commit"
	unanswered   step = "commit sent, not answered"
	unnoticed    step = "committed, not noticed"
)

// doubles says what a failure may leave with at-least-once delivery: records that
// were delivered before it was known that they had been.
var doubles = map[step]bool{midProduce: true, beforeLedger: true, beforeCommit: true, unanswered: true}

// plan says which transactions fail, and counts those that did.
type plan struct {
	w    *flowtest.World
	step step

	mu    sync.Mutex
	seen  map[int]int // transactions by shard; with data, unless the step is before begin
	fired int
}

// failing are the numbers of a shard's transactions that fail: the very first with
// data, the one that makes up for it, and a later one. Its first Begin is for the headers.
var failing = map[bool][]int{false: {1, 2, 4}, true: {2, 3, 5}}

// due counts a transaction of a shard, once, and says whether it is to fail at that step.
func (p *plan) due(shard int, at step) bool {
	if at != p.step {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[shard]++
	if !slices.Contains(failing[at == beforeBegin], p.seen[shard]) {
		return false
	}
	p.fired++
	return true
}

func (p *plan) all() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired == p.w.Cfg.Shards*len(failing[false])
}

var errMade = errors.New("a failure made by the test")

// breaker is a shard's writer that fails at the steps at which it is due.
type breaker struct {
	shard.Writer
	w          *flowtest.World
	shard      int
	due        func(shard int, at step) bool
	wrote      bool          // the present transaction holds data
	committing chan struct{} // closed when a commit in the background has ended
}

func (p *plan) wrap(shard int, out shard.Writer) shard.Writer {
	return &breaker{Writer: out, w: p.w, shard: shard, due: p.due}
}

func (b *breaker) Begin() error {
	b.wrote = false
	if b.due(b.shard, beforeBegin) {
		return errMade
	}
	return b.Writer.Begin()
}

func (b *breaker) Write(ctx context.Context, part chunk.Part, topic string) error {
	first := !b.wrote
	b.wrote = true
	if first && b.due(b.shard, midProduce) {
		part.Records = part.Records[:(len(part.Records)+1)/2]
		part.Batches = part.Batches[:(len(part.Batches)+1)/2]
		return errors.Join(b.Writer.Write(ctx, part, topic), errMade)
	}
	return b.Writer.Write(ctx, part, topic)
}

func (b *breaker) Commit(ctx context.Context, records []chunk.LedgerRecord) ([]int64, error) {
	switch {
	case !b.wrote:
		return b.Writer.Commit(ctx, records)
	case b.due(b.shard, beforeLedger):
	case b.due(b.shard, beforeCommit): // the cluster refuses the end of the transaction, once everything is in it
		fault := b.w.Target.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true,
			TxnID: b.w.Cfg.TransactionalID(int32(b.shard)), Err: kerr.TransactionalIDAuthorizationFailed})
		defer fault.Remove()
		if _, err := b.Writer.Commit(ctx, records); err == nil || fault.Hits() != 1 {
			return nil, fmt.Errorf("the fault had no effect: %w", errors.Join(errMade, err))
		}
	case b.due(b.shard, unanswered):
		sent := b.w.Target.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Observe: true,
			TxnID: b.w.Cfg.TransactionalID(int32(b.shard))})
		defer sent.Remove()
		b.committing = make(chan struct{})
		go func() {
			defer close(b.committing)
			_, _ = b.Writer.Commit(context.WithoutCancel(ctx), records)
		}()
		if err := sent.Wait(ctx, 1); err != nil {
			return nil, err
		}
	case b.due(b.shard, unnoticed):
		if _, err := b.Writer.Commit(ctx, records); err != nil {
			return nil, err
		}
	default:
		return b.Writer.Commit(ctx, records)
	}
	return nil, errMade
}

// Close leaves a commit that is under way alone: the next writer finds it so.
func (b *breaker) Close() {
	if b.committing == nil {
		b.Writer.Close()
		return
	}
	go func() {
		<-b.committing
		b.Writer.Close()
	}()
}

// TestCommitFailsAtEachStep kills the commit at each of its steps, on all shards, twice in a
// row and again later.
func TestCommitFailsAtEachStep(t *testing.T) {
	for _, promise := range []struct {
		settings.Lane
		settings.Delivery
	}{{settings.LaneBatch, settings.ExactlyOnce}, {settings.LaneRecord, settings.ExactlyOnce}, {settings.LaneRecord,
		settings.AtLeastOnce}} {
		for _, at := range []step{beforeBegin, midProduce, beforeLedger, beforeCommit, unanswered, unnoticed} {
			t.Run(fmt.Sprintf("%s/%s/%s", promise.Lane, promise.Delivery, at), func(t *testing.T) {
				testCommitFailsAt(t, promise.Lane, promise.Delivery, at)
			})
		}
	}
}

func testCommitFailsAt(t *testing.T, lane settings.Lane, delivery settings.Delivery, at step) {
	w := flowtest.New(t)
	w.Cfg.Lane, w.Cfg.Delivery = lane, delivery
	w.Topic("orders", 4)
	var opts []judge.Option
	if delivery == settings.AtLeastOnce && doubles[at] {
		opts = append(opts, judge.AllowDuplicates())
	}
	w.Mixed("orders", 4, 400)
	p := &plan{w: w, step: at, seen: map[int]int{}}
	r := w.Start(p.wrap)
	report := w.Equal([]string{"orders"}, opts...)
	for round := 0; !p.all() && round < 6; round++ {
		w.Mixed("orders", 4, 200)
		report = w.Equal([]string{"orders"}, opts...)
	}
	if !p.all() {
		t.Fatalf("only %d failures were made", p.fired)
	}
	for number := range int32(4) { // a log that ends with markers is TestTrailingMarkers' matter: it takes some seconds
		w.Plain(w.Sides.Source, "orders", number, 1)
	}
	w.Groups([]string{"orders"}, opts...)
	r.Stop()
	total := report.Total()
	if again := total.Redelivered; delivery == settings.AtLeastOnce && at == beforeLedger && again == 0 {
		t.Error("no record was delivered again: the test does not interrupt what it means to")
	}
	t.Logf("%d failures: %s", p.fired, report)
}

// dropper is a writer that loses the second record, or batch, of every part that has one.
type dropper struct{ shard.Writer }

func (d dropper) Write(ctx context.Context, part chunk.Part, topic string) error {
	if len(part.Records) > 1 {
		part.Records = slices.Delete(slices.Clone(part.Records), 1, 2)
	}
	if len(part.Batches) > 1 {
		part.Batches = slices.Delete(slices.Clone(part.Batches), 1, 2)
	}
	return d.Writer.Write(ctx, part, topic)
}

// TestLostRecordsAreSeen: the checks of these tests notice an engine that loses records.
func TestLostRecordsAreSeen(t *testing.T) { flowtest.OnLanes(t, testLostRecordsAreSeen) }

func testLostRecordsAreSeen(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 4)
	w.Mixed("orders", 4, 100)
	w.Start(func(_ int, out shard.Writer) shard.Writer { return dropper{out} })
	report, err := judge.WaitEqual(w.Ctx, flowtest.Patience, w.Sides, []string{"orders"})
	if err != nil || report.Equal() || report.Total().Missing == 0 {
		t.Errorf("a writer that loses records passes: %v, %v", report, err)
	}
}
