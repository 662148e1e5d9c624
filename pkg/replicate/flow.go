package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peek"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/topics"
)

// shared is what all workers of a flow have in common: its rules, the clients of both
// clusters, and what is known of its topics. It may be used by several goroutines.
type shared struct {
	cfg            Config
	name           string
	once           bool // run until caught up: progress is committed at once
	source, target kafka.Config
	log            *slog.Logger
	metrics        *metrics
	wrap           func(shard int, w writer) writer // see Options
	troubleFor     time.Duration                    // the constant, but for tests

	rooms
	sourcePeek *peek.Peek
	topics     *topics.Topics
	book       *targetBook
	owner      *owner.Group
	whose      *whose
	both       *both
	// claims are those of the flow in the opposite direction; nil: there is none, or no batch tells its writer.
	claims *ledger.Claims
	window *sink.Window // what all writers of the batch lane have under way

	topology *topology
	goal     goal
	news     stopNews
	came     chan struct{} // tells a one-off copy that a shard has come further

	signer   signer
	identity ledger.Identity
	asking   sync.Mutex  // held while the ledger's identity is read again
	same     atomic.Bool // it was, as a member of the group

	owned               atomic.Int32 // shards of this process
	transaction         atomic.Int64 // the longest that the target takes, as a Duration; 0: not known to be too short
	copied, copiedBytes atomic.Int64 // by this process
	tellLeftOut         sync.Once
}

// flow is one direction, old->new, at work in this process.
type flow struct {
	*shared
	onlook     func(context.Context, Config) (groups.Onlooker, error) // see Options
	stableOnly bool                                                   // what open transactions hold back is not waited for
	baseLog    *slog.Logger                                           // without the flow's name
	met        []policy.Flow                                          // of other configurations, that cfg.Flows holds beside its own

	others *neighbours
	// stop ends the flow with the reason.
	stop context.CancelCauseFunc
	ends ends // belongs to the group sync

	mu      sync.Mutex
	workers map[int]*running
	memory

	differing     atomic.Int32 // replicas with other rules than this one's
	toldDiffering string       // that was logged; belongs to watchReplicas

	tellUnread sync.Once
	told       map[string]string // by topic: the stop that was logged; belongs to refresh

	present  atomic.Bool // the group on the target counts this process as a member
	wasReady atomic.Bool // see unready
}

// running is a worker and the means to end it.
type running struct {
	*worker
	cancel context.CancelFunc
	done   chan struct{}
}

// init makes the flow fit to be looked at.
func (f *flow) init() {
	f.workers = map[int]*running{}
	f.window = sink.NewWindow(windowBytes)
	f.topology = newTopology()
	f.came = make(chan struct{}, 1)
	f.memory = newMemory()
	f.told = map[string]string{}
}

// open opens the clients that all workers share. Nothing is connected yet.
func (f *flow) open() (err error) {
	if f.rooms, err = openRooms(&f.cfg, f.source, f.target, f.log); err != nil {
		return err
	}
	if f.others, err = openNeighbours(&f.cfg, f.source, f.target); err != nil {
		return err
	}
	f.sourcePeek = peek.Open(f.source, f.log)
	if f.both, err = openBoth(f.source, f.target); err != nil {
		return err
	}
	if f.whose, err = openWhose(&f.cfg, f.others, f.target); err != nil {
		return err
	}
	f.book = newTargetBook(&f.cfg, f.target, f.targetMarks, f.peek, f.whose)
	cfg := f.cfg.topicsConfig(f.source, f.target, f.policy, f.baseLog)
	cfg.Ledger = f.book
	f.topics, err = topics.Open(cfg)
	if err != nil {
		return err
	}
	if opposite := f.cfg.OppositeLedger(); f.inBatches() && opposite != "" {
		if f.claims, err = ledger.OpenClaims(f.source, opposite); err != nil {
			return err
		}
	}
	f.owner, err = owner.Open(owner.Config{
		Target: f.target, Group: f.cfg.GroupID(), Ledger: f.cfg.LedgerTopic(), Log: f.log, Present: f.present.Store,
		Note: func() []byte { return f.cfg.noteFor(f.identity) },
	})
	return err
}

// close ends what open has opened, all at once: each handle takes its time.
func (f *flow) close() {
	var closing sync.WaitGroup
	defer closing.Wait()
	if f.owner != nil {
		closing.Go(f.owner.Close)
	}
	if f.claims != nil {
		closing.Go(f.claims.Close)
	}
	if f.topics != nil {
		closing.Go(f.topics.Close)
	}
	if f.whose != nil {
		f.whose.close()
	}
	if f.others != nil {
		f.others.close()
	}
	if f.both != nil {
		f.both.close()
	}
	if f.sourcePeek != nil {
		closing.Go(func() { _ = f.sourcePeek.Close() })
	}
	closing.Go(f.rooms.close)
}

// run works on the flow until ctx ends, and lets go of everything before it
// returns. Its error says why the flow as a whole cannot go on.
func (f *flow) run(ctx context.Context) error {
	defer f.close()
	if err := f.open(); err != nil {
		return err
	}
	ctx, f.stop = context.WithCancelCause(ctx)
	defer f.stop(nil)
	if err := f.prepare(ctx); err != nil {
		return err
	}
	err := f.work(ctx)
	if cause := context.Cause(ctx); inCircle(cause) || hasStrangers(cause) || errors.As(cause, new(*metError)) {
		return cause
	}
	return err
}

// work copies what the group gives this process, until ctx ends.
func (f *flow) work(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	gain := func(number int) {
		// A worker ends when the group takes its shard back, not when ctx does: first it finishes its chunk.
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{worker: newWorker(f.shared, number), cancel: cancel, done: make(chan struct{})}
		f.mu.Lock()
		r.shown.remember(f.lost[number])
		delete(f.lost, number)
		f.workers[number] = r
		f.owned.Store(int32(len(f.workers)))
		f.mu.Unlock()
		g.Go(func() error {
			defer close(r.done)
			return r.run(work)
		})
		f.topology.refresh() // the topics whose first partition is here are this process's to create
	}
	g.Go(func() error { return f.owner.Run(ctx, gain, f.lose) })
	g.Go(func() error {
		f.periodically(ctx, f.cfg.RefreshInterval, f.topology.notify, "topics", "topics cannot be compared", f.refresh)
		return nil
	})
	g.Go(func() error {
		f.periodically(ctx, f.cfg.RefreshInterval, nil, "flow", "other replicas cannot be seen", f.watchReplicas)
		return nil
	})
	g.Go(func() error {
		f.periodically(ctx, watchEvery, nil, "source_ends", "lag is not known", f.watch)
		return nil
	})
	if !f.once {
		g.Go(func() error {
			f.periodically(ctx, f.cfg.GroupSyncInterval, nil, "groups", "groups cannot be synced", f.syncGroups)
			return nil
		})
		g.Go(func() error {
			f.periodically(ctx, 3*f.cfg.RefreshInterval, nil, "retention",
				"the target's retention is not known", f.watchRetention)
			return nil
		})
		return g.Wait()
	}
	var outcome error
	g.Go(func() error { outcome = f.untilCaughtUp(ctx); return errCaughtUp })
	if err := g.Wait(); !errors.Is(err, errCaughtUp) {
		return err
	}
	return outcome
}

// lose ends the workers of shards that are to be given to others. Where they are lost with
// the membership, what was known of them stays: nobody may be there to tell of them.
func (f *flow) lose(shards []int) {
	var ending []*running
	f.same.Store(false)
	f.mu.Lock()
	for _, shard := range shards {
		if r := f.workers[shard]; r != nil {
			delete(f.workers, shard)
			ending = append(ending, r)
		}
	}
	f.owned.Store(int32(len(f.workers)))
	f.mu.Unlock()
	for _, r := range ending {
		r.cancel()
	}
	for _, r := range ending {
		<-r.done
	}
	if f.present.Load() {
		return // they go to others, who tell of them
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range ending {
		f.lost[r.shard] = r.shown.known()
	}
}

// prepare checks what must hold before anything is copied: two clusters, a
// ledger of the right shape, and a first look at the topics.
func (f *flow) prepare(ctx context.Context) error {
	// A cluster that is away, or refuses the login, shows here at once.
	if err := f.sourceMarks.Reach(ctx); err != nil {
		return err
	}
	if err := f.targetMarks.Reach(ctx); err != nil {
		return err
	}
	from, to, err := f.topics.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	if err := policy.SameCluster(f.cfg.Flow(), from, to); err != nil {
		return err
	}
	if err := f.learnLimits(ctx); err != nil {
		return err
	}
	// Whose ledger it is comes before anything is altered or anybody shut out.
	f.signer = newSigner(&f.cfg, f.source, f.target, f.policy, f.log)
	f.identity = f.cfg.identity(from, to)
	kept, changes, err := f.signer.compare(ctx, f.identity)
	if err != nil {
		return err
	}
	if _, err := f.meet(ctx); err != nil { // before anything is made
		return err
	}
	if err := f.alone(ctx); err != nil {
		return err
	}
	if err := f.targetHasIDs(ctx); err != nil {
		return err
	}
	created, shards, err := f.topics.EnsureLedger(ctx, f.cfg.LedgerTopic(), f.cfg.Shards)
	if err != nil {
		return err
	}
	if shards != f.cfg.Shards {
		return &ShardsError{Ledger: f.cfg.LedgerTopic(), Have: shards, Want: f.cfg.Shards}
	}
	if created { // the first topic that shows, perhaps
		if err := f.targetHasIDs(ctx); err != nil {
			return err
		}
	}
	if kept, err = f.signer.sign(ctx, f.identity, kept, changes); err != nil {
		return err
	}
	f.groups.AlsoKnownAs(kept.Formerly)
	seen, err := f.announce(ctx)
	if err != nil {
		return err
	}
	return f.compare(ctx, seen)
}

// openWriter opens the door out of a shard.
func (f *shared) openWriter(shard, batchBytes int) (writer, error) {
	cfg := sink.Config{
		Target: f.target, TransactionalID: f.cfg.TransactionalID(int32(shard)), ExactlyOnce: f.exactlyOnce(),
		Ledger: f.cfg.LedgerTopic(), Shard: int32(shard), Interval: f.cfg.CommitInterval,
		Longest:    time.Duration(f.transaction.Load()),
		BatchBytes: batchBytes, Window: f.window, Rebuilt: f.rebuilt,
	}
	var w writer
	if f.inBatches() {
		w = sink.OpenBatches(cfg)
	} else {
		records, err := sink.OpenRecords(cfg)
		if err != nil {
			return nil, err
		}
		w = records
	}
	if f.wrap != nil {
		return f.wrap(shard, w), nil
	}
	return w, nil
}

const (
	// prefetchBudget is what all readers of a flow may hold ready, in payload; each owned shard has a part of it.
	// In the batch lane half of it is in answers, the rest on its way out.
	prefetchBudget  = 48 << 20
	windowBytes     = 12 << 20 // with a round trip of 50 ms: 250 MB/s
	prefetchLeast   = 2 << 20
	prefetchMost    = 16 << 20
	prefetchRecords = 10_000
)

// share is a shard's part of the prefetch budget, in bytes.
func (f *shared) share() int {
	return min(max(prefetchBudget/max(int(f.owned.Load()), 1), prefetchLeast), prefetchMost)
}

// openReader opens the door in.
func (f *shared) openReader() (reader, error) {
	trouble := func(err error) {
		f.metrics.failure(f.name, "source_connection")
		f.log.Debug("source reader is retrying", "error", f.source.Conceal(err))
	}
	if f.inBatches() {
		return source.OpenBatches(source.BatchesConfig{
			Cluster: f.source, AnswerBytes: f.share() / 4, Trouble: trouble, Absent: f.topology.refresh,
			Rebuilt: f.rebuilt, Claimed: f.cameFromTarget(),
		})
	}
	return source.OpenRecords(source.Config{
		Cluster: f.source, Flow: f.name,
		PrefetchBytes:   f.share(),
		PrefetchRecords: prefetchRecords,
		Trouble:         trouble,
	})
}

// rebuilt counts a batch that did not travel as it was.
func (f *shared) rebuilt(why string) { f.metrics.rebuilt.WithLabelValues(f.name, why).Inc() }

// cameFromTarget is the test whether the opposite flow wrote a batch, which is left
// out then; nil where there is no such flow.
func (f *shared) cameFromTarget() func(context.Context, int64, time.Time) (bool, error) {
	if f.claims == nil {
		return nil
	}
	return func(ctx context.Context, producer int64, seen time.Time) (bool, error) {
		claimed, err := f.claims.Claimed(ctx, producer, seen)
		var unknown *ledger.UnknownClaimsError
		if errors.As(err, &unknown) && unknown.Denied {
			return false, &chunk.Stop{Kind: chunk.StopUnauthorized, Reason: err.Error(), Fix: unknown.Remedy()}
		}
		if claimed {
			f.metrics.leftOut.WithLabelValues(f.name).Inc()
			f.tellLeftOut.Do(func() {
				f.log.Info("batches that came from the target are left out", "ledger", f.cfg.OppositeLedger())
			})
		}
		return claimed, err
	}
}

func (f *shared) exactlyOnce() bool { return f.cfg.Delivery == ExactlyOnce }

// targetEnd is the last stable offset of one target partition.
func (f *shared) targetEnd(ctx context.Context, topic string, number int32) (offsets.Target, error) {
	for giveUp := time.Now().Add(electionLimit); ; {
		marks, err := f.targetMarks.Stable(ctx, []string{topic})
		if err != nil {
			return 0, err
		}
		mark, ok := marks[chunk.Partition{Topic: topic, Number: number}]
		if !ok {
			mark.Err = errors.New("the target does not know it")
		}
		switch {
		case mark.Err == nil:
			return offsets.Target(mark.Offset), nil
		case !kerr.IsRetriable(mark.Err), time.Now().After(giveUp), ctx.Err() != nil:
			return 0, fmt.Errorf("end of target partition %s/%d: %w", topic, number, mark.Err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(electionLimit / 100):
		}
	}
}

// electionLimit is how long to wait for the leader of a partition that was just created.
const electionLimit = 2 * time.Second

// errNotNow says that there was nothing to do that would prove anything: neither that
// something fails, nor that it works again.
var errNotNow = errors.New("not now")

// periodically does some work until ctx ends: at each interval, sooner when asked
// for, and with growing delays while it fails.
func (f *flow) periodically(ctx context.Context, interval time.Duration, soon <-chan struct{},
	kind, trouble string, work func(context.Context) error) {
	again := retry{log: f.log, clock: time.Now}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for failed := false; ; {
		if !failed {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-soon:
			}
		}
		err := work(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNotNow):
			failed = false
			continue
		case err != nil:
			f.metrics.failure(f.name, kind)
			again.wait(ctx, trouble, err)
		default:
			again.reset()
		}
		failed = err != nil
	}
}

// worker gives the worker that owns a partition here, or nil.
func (f *flow) worker(p chunk.Partition) *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.workers[p.Shard(f.cfg.Shards)]; r != nil {
		return r.worker
	}
	return nil
}

// ownWorkers lists the workers of this process.
func (f *flow) ownWorkers() []*worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*worker, 0, len(f.workers))
	for _, r := range f.workers {
		list = append(list, r.worker)
	}
	return list
}
