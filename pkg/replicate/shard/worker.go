package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/wait"
)

// atGoal says whether a one-off copy has nothing more to wait for here.
func (s *session) atGoal() bool {
	goals := s.flow.Goal.Now()
	if len(goals) == 0 {
		return false
	}
	for p, r := range s.routes {
		if r.next < goals[p] {
			return false
		}
	}
	return true
}

// reader is the door in. Next returns what has arrived; what it returns is
// valid until the next call. After an error only Close may be called.
type reader interface {
	Assign([]chunk.Position) error
	Next(context.Context, source.Limit) (chunk.Chunk, error)
	Close() error
}

// writer is the door out: one transaction is Begin, Write (any number of times; Push
// says that no more is at hand), Settle, Commit. After an error only Close may be called, and nothing is known
// of the transaction: Init of another writer settles it, then the ledger tells.
type Writer interface {
	Init(context.Context) error
	ProducerID() int64 // that the target knows the next transaction's batches by; -1: it does not tell
	Begin() error
	Write(ctx context.Context, part chunk.Part, topic string) error
	Push(context.Context) error
	Settle(context.Context) ([]sink.Acked, error)
	Commit(context.Context, []sink.LedgerRecord) ([]int64, error)
	Close()
}

const (
	chunkBytes   = 16 << 20 // more wins nothing, less costs commits
	littleBytes  = 1 << 20  // less in half a commit interval is committed then: it is seen sooner
	chunkRecords = 50_000   // in the record lane; small records cost more than their bytes
	takeBytes    = 1 << 20  // one call of Next: what is read is written while more arrives
	takeRecords  = 2000
	// takeBatches is the same in the batch lane, in bytes of each partition: each may want a request for every few KB.
	takeBatches = 256 << 10
	// restEvery is how often progress alone is committed: a shard that copies nothing should write next to nothing.
	restEvery = 5 * time.Second
	// restSoon is when that is committed after records: markers that trail them keep others waiting for lag 0.
	restSoon = time.Second
	// ownershipEvery is how often a worker that was told that its shard is not its own asks again.
	ownershipEvery = 2 * time.Second
	// trimEvery is how often old segments of the maps are looked at.
	trimEvery = 10 * time.Minute
	// grace is how long a worker that is told to stop may take to finish its chunk.
	grace = 8 * time.Second
	// idleWait bounds how long a worker without news takes to notice new partitions.
	idleWait = 250 * time.Millisecond
)

// worker owns one shard from the moment the group gives it until it takes it
// back. All of its state but `shown` belongs to its goroutine.
type Worker struct {
	flow  *Flow
	Shard int
	log   *slog.Logger
	retry wait.Retry

	// aside are partitions that are left out for a while, so that the others go on; it outlives sessions.
	quarantined map[chunk.Partition]*quarantine
	told        map[chunk.Partition]string // stops that were logged
	// troubled says since when a partition has been in a way that may pass; it outlives sessions too.
	troubled  map[chunk.Partition]time.Time
	doubts    map[chunk.Partition]doubt // what readers have met; the next arrangement looks into it
	alarms    alarms
	behind    map[chunk.Partition]offsets.Target // where records landed before the map's last ones
	most      int                                // bytes of a transaction, since larger ones were too slow; 0: as usual
	quick     int                                // transactions of about that size that were quick, one after another
	Published Published                          // what others may see of this shard
}

// setAside is a partition that waits for its next try, or is being tried: then
// it is forgotten as soon as one of its records is committed.
type quarantine struct {
	stop    *chunk.Stop
	again   time.Time
	tries   int
	trying  bool
	cleared bool // it was copied up to its record, or as near as batches go: not twice for one stop
}

// session is one life of a worker's handles: from taking over the shard to the
// first error. Nothing of it is remembered afterwards.
type session struct {
	*Worker
	in   reader
	out  Writer
	book *ledger.Shard

	batch  int    // largest batch that the target takes, bytes
	seen   uint64 // version of the topology that routes were made from
	routes map[chunk.Partition]*route
	moved  map[chunk.Partition]bool // progress noted, but not committed
	// settled are those of which this session has committed records: a write that is not committed ends the
	// session, so whatever else lies behind them now is not ours. It outlives arrangements.
	settled map[ledger.Key]bool

	take         source.Limit // most of one call of Next
	chunkRecords int          // most of one transaction
	later        chunk.Chunk  // what the last one had no room for; valid until more is read
	rested       time.Time    // when progress was last committed
	trailing     bool         // it was committed with records

	undecided bool      // a cut waits for an order
	looked    time.Time // when the ledger was last asked for one
	written   int64     // where the ledger partition ends, by what this session has read and written

	begun   time.Time
	trimmed time.Time // when maps were last compared with the logs' starts
}

// route is one partition that this session copies.
type route struct {
	key    ledger.Key
	topic  topics.Mirrored
	next   offsets.Source // progress, including what is not committed yet
	epoch  int32
	until  *chunk.Stop // where it is to be cut
	cut    *chunk.Stop // a record that cannot pass stands at next
	landed bool        // part of the present transaction

	newest int64 // timestamp of the last record written, ms
}

func New(f *Flow, shard int) *Worker {
	w := &Worker{flow: f, Shard: shard, log: f.Log.With("shard", shard), quarantined: map[chunk.Partition]*quarantine{},
		told: map[chunk.Partition]string{}, troubled: map[chunk.Partition]time.Time{},
		doubts: map[chunk.Partition]doubt{}, behind: map[chunk.Partition]offsets.Target{}}
	w.retry = wait.Retry{Log: w.log, Clock: time.Now}
	w.Published.init()
	return w
}

// run copies the shard until ctx ends. Every failure has the same recovery: a
// new session. Only a one-off copy ends with an error: nobody watches it, and what
// a retry cannot cure would keep it for ever.
func (w *Worker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := w.session(ctx)
		w.suspect(err)
		w.Published.clear(err)
		var stop *chunk.Stop
		if !errors.As(err, &stop) {
			stop = w.staying(err)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errAgain):
		case errors.Is(err, owner.ErrNotOwner):
			w.log.Info("shard belongs to another replica", "error", err)
			w.awaitOwnership(ctx)
		case stop != nil:
			w.putAside(stop)
		case w.flow.CatchUp && Hopeless(err), handover.IsClosed(err), identity.IsStranger(err),
			errors.Is(err, errRenamed):
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
	tick := time.NewTicker(ownershipEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if w.flow.Owner.Confirm(ctx, w.Shard) == nil {
				return
			}
		}
	}
}

// errAgain ends a session without a fault: what it worked on has changed.
var errAgain = errors.New("the shard's partitions have changed")

// session takes the shard over, in this order: settle what a predecessor left
// open, ask whether the shard is still ours, read the ledger, copy.
func (w *Worker) session(ctx context.Context) error {
	batch, longest := w.flow.batchBytes(w.Shard), w.flow.Transaction.Load()
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
	s := &session{
		Worker: w, in: in, out: out, book: book, batch: batch, written: end,
		routes: map[chunk.Partition]*route{}, moved: map[chunk.Partition]bool{}, settled: map[ledger.Key]bool{},
		rested: time.Now(), begun: time.Now(), trimmed: time.Now(),
		take: source.Limit{Records: takeRecords, Bytes: takeBytes, Wait: idleWait}, chunkRecords: chunkRecords,
	}
	if w.flow.InBatches() {
		s.take.Bytes, s.chunkRecords = takeBatches, math.MaxInt
	}
	w.Published.open(book)
	finish, cancel := withGrace(ctx)
	defer cancel()
	for ctx.Err() == nil {
		if err := s.step(ctx, finish); err != nil {
			return err
		}
	}
	return s.rest(finish)
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

// withGrace is a context for finishing what was begun: it ends some seconds
// after ctx does.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	finish, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return finish, func() { stop(); cancel() }
}

// step moves one chunk, or notes progress, or waits for news. ctx says whether
// to go on; finish is for what must not be left half done.
func (s *session) step(ctx, finish context.Context) error {
	if version := s.flow.Topology.VersionNow(); version != s.seen || s.asideIsDue() || s.alarmed() {
		if err := s.arrange(ctx, version); err != nil {
			return err
		}
	}
	if err := s.overtaken(ctx); err != nil {
		return err
	}
	if time.Since(s.trimmed) >= trimEvery {
		if err := s.trim(finish); err != nil {
			return err
		}
	}
	if len(s.routes) == 0 {
		s.flow.Topology.await(ctx, s.seen, restEvery)
		return nil
	}
	c, err := s.arrived(ctx)
	if err != nil {
		return err
	}
	if s.alarmed() {
		return errAgain // what was read may stand where something else was
	}
	if c.Records > 0 {
		return s.move(ctx, finish, c)
	}
	s.note(c)
	if time.Since(s.begun) > 2*wait.MaxDelay {
		s.retry.Reset() // nothing to copy, and nothing fails
		s.recovered()
	}
	due := restEvery
	if s.trailing {
		due = restSoon
	}
	if time.Since(s.rested) >= due || s.flow.CatchUp {
		return s.rest(finish)
	}
	return nil
}

// arrived is what the last transaction had no room for, or what comes next.
func (s *session) arrived(ctx context.Context) (c chunk.Chunk, err error) {
	c, s.later = s.later, chunk.Chunk{}
	if len(c.Parts) == 0 {
		limit := s.take
		if s.most > 0 {
			limit.Bytes = min(limit.Bytes, s.most)
		}
		if c, err = s.in.Next(ctx, limit); err != nil {
			return c, err
		}
	}
	return c, s.compareLast(ctx, c)
}
