package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/quarantine"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/txlimit"
	"replicator/pkg/replicate/wait"
)

const (
	// DefaultTroubleFor is how long all partitions of a shard wait for one to get over its trouble: an election takes
	// seconds.
	DefaultTroubleFor = 20 * time.Second
	// ownershipEvery is how often a worker whose shard was said not to be its own asks again.
	ownershipEvery = 2 * time.Second
	// grace is how long a worker that is told to stop may take to finish its transaction.
	grace = 8 * time.Second
)

// Worker owns one shard from the moment the group gives it until it takes it
// back. All of its state but what is published belongs to its goroutine.
type Worker struct {
	flow  *Flow
	Shard int
	log   *slog.Logger
	retry wait.Retry

	// What outlives sessions.
	quarantine *quarantine.Partitions
	signs      *signs
	size       *txlimit.Size
	Published  *published.Shard // what others may see of this shard
}

// New makes the worker of a shard of the flow; Run has it work.
func New(f *Flow, shard int) *Worker {
	log := f.Log.With("shard", shard)
	return &Worker{flow: f, Shard: shard, log: log, retry: wait.Retry{Log: log, Clock: time.Now},
		quarantine: quarantine.New(log, &f.stops, f.TroubleFor), signs: newSigns(log),
		size: txlimit.NewSize(log, &f.Longest), Published: published.New()}
}

// Alarm says that the source's log ends before the progress that a partition was seen at: the worker compares it with
// what was copied. Anybody may call it.
func (w *Worker) Alarm(p chunk.Partition, seen published.Route, end offsets.Source) {
	w.signs.alarm(p, seen, end)
}

// Run copies the shard until ctx ends. Every failure has the same recovery: a
// new session. Only a one-off copy ends with an error: nobody watches it, and what
// a retry cannot cure would keep it for ever.
func (w *Worker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.session(ctx)
		w.signs.note(err, w.Published.Routes())
		w.Published.Clear(err)
		var stop *chunk.Stop
		if !errors.As(err, &stop) {
			stop = w.stopIfPersistent(err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errAgain):
		case errors.Is(err, owner.ErrNotOwner):
			w.log.Info("shard belongs to another replica", "error", err)
			w.awaitOwnership(ctx)
		case stop != nil:
			w.quarantine.Put(stop)
		case w.flow.CatchUp && Hopeless(err), handover.IsClosed(err), identity.IsOtherFlow(err),
			errors.Is(err, identity.ErrRenamed):
			return fmt.Errorf("shard %d: %w", w.Shard, err)
		default:
			w.flow.Metrics.Failure(w.flow.Name, kindOf(err))
			w.flow.Metrics.Retry(w.flow.Name)
			w.flow.Topology.Refresh() // a right or a topic may be what is missing: that names it
			w.retry.Wait(ctx, "shard is starting over", w.flow.ExplainLedger(ctx, err))
		}
	}
	return nil
}

// awaitOwnership waits until the group takes the shard back, which ends ctx, or
// says that it is ours after all. Nobody else is shut out meanwhile.
func (w *Worker) awaitOwnership(ctx context.Context) {
	for wait.Pause(ctx, ownershipEvery) == nil && w.flow.Owner.Confirm(ctx, w.Shard) != nil {
	}
}

// errAgain ends a session without a fault: what it worked on has changed.
var errAgain = errors.New("the shard's partitions have changed")

// session is one life of the worker: it takes the shard over, in this order: settle what a predecessor left
// open, ask whether the shard is still ours, read the ledger, copy.
func (w *Worker) session(ctx context.Context) error {
	batch, longest := w.flow.batchBytes(w.Shard), w.flow.Longest.Get()
	out, err := w.flow.openWriter(w.Shard, batch)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Init(ctx); err != nil {
		if shorter := w.flow.shorten(longest, err); shorter != nil {
			return shorter
		}
		return w.flow.Target.ExplainTransactions(w.flow.Cfg.GroupID()+".", err)
	}
	if err := w.flow.Owner.Confirm(ctx, w.Shard); err != nil {
		return err
	}
	if err := w.flow.checkLedger(ctx); err != nil {
		return err
	}
	book, end, err := w.readLedger(ctx)
	if err != nil {
		return err
	}
	if err := w.flow.notClosed(ctx, book); err != nil {
		return err
	}
	in, err := w.flow.openReader()
	if err != nil {
		return err
	}
	defer in.Close() // nothing is stored on the source
	w.Published.Open(book)
	s, err := w.newSession(takeover{in: in, out: out, batch: batch, book: book, end: end})
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// readLedger reads what the shard's last owner has committed. A new flow has
// committed nothing, which one question tells sooner than a reader that waits.
func (w *Worker) readLedger(ctx context.Context) (*ledger.Shard, int64, error) {
	end, err := w.flow.targetEnd(ctx, w.flow.Cfg.LedgerTopic(), int32(w.Shard))
	if err != nil {
		return nil, 0, err
	}
	if end == 0 {
		return ledger.NewShard(), 0, nil
	}
	book, err := w.flow.Ledger.Shard(ctx, int32(w.Shard), int64(end))
	return book, int64(end), err
}

// stopIfPersistent is the Stop of an error of one partition, if that has lasted, or is back when its partition is
// tried again; nil for any other error.
func (w *Worker) stopIfPersistent(err error) *chunk.Stop {
	if stop := w.flow.troubleOf(err); stop != nil && w.quarantine.Trouble(stop.Partition) {
		return stop
	}
	return nil
}

// troubleOf is what becomes of an error of one partition that does not pass; nil for any
// other error. A topic that may not be read is mostly seen when topics are compared; not
// every cluster tells rights there.
func (f *Flow) troubleOf(err error) *chunk.Stop {
	var trouble *chunk.Trouble
	if errors.As(err, &trouble) {
		return trouble.Stop()
	}
	var refused *source.Unreadable
	if !errors.As(err, &refused) || refused.OutOfLog || refused.Partition == (chunk.Partition{}) {
		return nil
	}
	if code, _ := kafka.Code(refused); code != int(kerr.TopicAuthorizationFailed.Code) {
		return nil
	}
	problem := f.Source.Denied("Read", "topic "+refused.Partition.Topic, nil)
	return &chunk.Stop{Partition: refused.Partition, Kind: chunk.StopUnauthorized, Reason: problem.What, Fix: problem.Fix,
		Err: refused.Err}
}
