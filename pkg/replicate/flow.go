package replicate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/txlimit"
	"replicator/pkg/replicate/wait"
)

// flow is one direction, old->new, at work in this process.
type flow struct {
	*shard.Flow
	// onlook opens a look at the groups from outside; see Options.
	onlook     func(context.Context, settings.Config) (groups.Onlooker, error)
	stableOnly bool          // what open transactions hold back is not waited for
	baseLog    *slog.Logger  // without the flow's name
	met        []policy.Flow // of other configurations, that cfg.Flows holds beside its own

	others *provenance.Neighbours
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
	*shard.Worker
	cancel context.CancelFunc
	done   chan struct{}
}

// init makes the flow fit to be looked at.
func (f *flow) init() {
	f.workers = map[int]*running{}
	f.Window = sink.NewWindow(shard.WindowBytes)
	f.Topology = shard.NewTopology()
	f.Notify = make(chan struct{}, 1)
	f.memory = newMemory()
	f.told = map[string]string{}
}

// open opens the clients that all workers share. Nothing is connected yet.
func (f *flow) open() (err error) {
	if f.Clients, err = clients.Open(&f.Cfg, f.Source, f.Target, f.Log); err != nil {
		return err
	}
	if f.others, err = provenance.OpenNeighbours(&f.Cfg, f.Source, f.Target); err != nil {
		return err
	}
	f.SourceScan = scan.Open(f.Source, f.Log)
	if f.LastCopied, err = lastcopied.Open(f.Source, f.Target); err != nil {
		return err
	}
	if f.Writers, err = provenance.OpenWriters(&f.Cfg, f.others, f.Target); err != nil {
		return err
	}
	f.TargetTopics = provenance.NewTarget(&f.Cfg, f.Target, f.TargetOffsets, f.Scan, f.Writers)
	cfg := clients.TopicsConfig(&f.Cfg, f.Source, f.Target, f.Policy, f.baseLog)
	cfg.Ledger = f.TargetTopics
	f.Topics, err = topics.Open(cfg)
	if err != nil {
		return err
	}
	if f.SourceWriters, err = provenance.OpenSourceWriters(&f.Cfg, f.Source); err != nil {
		return err
	}
	f.Owner, err = owner.Open(owner.Config{
		Target: f.Target, Group: f.Cfg.GroupID(), Ledger: f.Cfg.LedgerTopic(), Log: f.Log, Present: f.present.Store,
		Note: func() []byte { return peers.NoteFor(&f.Cfg, f.Identity) },
	})
	return err
}

// close ends what open has opened, all at once: each handle takes its time.
func (f *flow) close() {
	var closing sync.WaitGroup
	defer closing.Wait()
	if f.Owner != nil {
		closing.Go(f.Owner.Close)
	}
	if f.SourceWriters != nil {
		closing.Go(f.SourceWriters.Close)
	}
	if f.Topics != nil {
		closing.Go(f.Topics.Close)
	}
	if f.Writers != nil {
		f.Writers.Close()
	}
	if f.others != nil {
		f.others.Close()
	}
	if f.LastCopied != nil {
		f.LastCopied.Close()
	}
	if f.SourceScan != nil {
		closing.Go(func() { _ = f.SourceScan.Close() })
	}
	closing.Go(f.Clients.Close)
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
	if cause := context.Cause(ctx); provenance.InCircle(cause) || peers.AreStrangers(cause) || errors.As(cause,
		new(*metError)) {
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
		r := &running{Worker: shard.New(f.Flow, number), cancel: cancel, done: make(chan struct{})}
		f.mu.Lock()
		r.Published.Remember(f.lost[number])
		delete(f.lost, number)
		f.workers[number] = r
		f.Owned.Store(int32(len(f.workers)))
		f.mu.Unlock()
		g.Go(func() error {
			defer close(r.done)
			return r.Run(work)
		})
		f.Topology.Refresh() // the topics whose first partition is here are this process's to create
	}
	g.Go(func() error { return f.Owner.Run(ctx, gain, f.lose) })
	g.Go(func() error {
		f.periodically(ctx, f.Cfg.RefreshInterval, f.Topology.Notify, metrics.TopicsFailed,
			"topics cannot be compared", f.refresh)
		return nil
	})
	g.Go(func() error {
		f.periodically(ctx, f.Cfg.RefreshInterval, nil, metrics.FlowFailed,
			"other replicas cannot be seen", f.watchReplicas)
		return nil
	})
	g.Go(func() error {
		f.periodically(ctx, watchEvery, nil, metrics.EndsFailed, "lag is not known", f.watch)
		return nil
	})
	if !f.CatchUp {
		g.Go(func() error {
			f.periodically(ctx, f.Cfg.GroupSyncInterval, nil, metrics.GroupsFailed,
				"groups cannot be synced", f.syncGroups)
			return nil
		})
		g.Go(func() error {
			f.periodically(ctx, 3*f.Cfg.RefreshInterval, nil, metrics.RetentionFailed,
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
	f.SameLedger.Store(false)
	f.mu.Lock()
	for _, shard := range shards {
		if r := f.workers[shard]; r != nil {
			delete(f.workers, shard)
			ending = append(ending, r)
		}
	}
	f.Owned.Store(int32(len(f.workers)))
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
		f.lost[r.Shard] = r.Published.Known()
	}
}

// prepare checks what must hold before anything is copied: two clusters, a
// ledger of the right shape, and a first look at the topics.
func (f *flow) prepare(ctx context.Context) error {
	// A cluster that is away, or refuses the login, shows here at once.
	if err := f.SourceOffsets.Reach(ctx); err != nil {
		return err
	}
	if err := f.TargetOffsets.Reach(ctx); err != nil {
		return err
	}
	from, to, err := f.Topics.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	if err := policy.SameCluster(f.Cfg.Flow(), from, to); err != nil {
		return err
	}
	if err := f.learnLimits(ctx); err != nil {
		return err
	}
	// Whose ledger it is comes before anything is altered or anybody shut out.
	f.Signer = identity.NewSigner(&f.Cfg, f.Source, f.Target, f.Policy, f.Log)
	f.Identity = identity.Of(&f.Cfg, from, to)
	kept, changes, err := f.Signer.Compare(ctx, f.Identity)
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
	created, shards, err := f.Topics.EnsureLedger(ctx, f.Cfg.LedgerTopic(), f.Cfg.Shards)
	if err != nil {
		return err
	}
	if shards != f.Cfg.Shards {
		return &ledger.ShardsError{Ledger: f.Cfg.LedgerTopic(), Have: shards, Want: f.Cfg.Shards}
	}
	if created { // the first topic that shows, perhaps
		if err := f.targetHasIDs(ctx); err != nil {
			return err
		}
	}
	if kept, err = f.Signer.Sign(ctx, f.Identity, kept, changes); err != nil {
		return err
	}
	f.Groups.AlsoKnownAs(kept.Formerly)
	seen, err := f.announce(ctx)
	if err != nil {
		return err
	}
	return f.compare(ctx, seen)
}

// errNotNow says that there was nothing to do that would prove anything: neither that
// something fails, nor that it works again.
var errNotNow = errors.New("not now")

// periodically does some work until ctx ends: at each interval, sooner when asked
// for, and with growing delays while it fails.
func (f *flow) periodically(ctx context.Context, interval time.Duration, soon <-chan struct{},
	kind metrics.Failure, trouble string, work func(context.Context) error) {
	again := wait.Retry{Log: f.Log, Clock: time.Now}
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
			f.Metrics.Failure(f.Name, kind)
			again.Wait(ctx, trouble, err)
		default:
			again.Reset()
		}
		failed = err != nil
	}
}

// worker gives the worker that owns a partition here, or nil.
func (f *flow) worker(p chunk.Partition) *shard.Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.workers[p.Shard(f.Cfg.Shards)]; r != nil {
		return r.Worker
	}
	return nil
}

// ownWorkers lists the workers of this process.
func (f *flow) ownWorkers() []*shard.Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*shard.Worker, 0, len(f.workers))
	for _, r := range f.workers {
		list = append(list, r.Worker)
	}
	return list
}

// targetHasIDs refuses a target whose topics have no ids. Where no topic shows, nothing
// is known.
func (f *flow) targetHasIDs(ctx context.Context) error {
	topic, found, err := f.TargetOffsets.WithoutID(ctx)
	if err == nil && found {
		err = &identity.NoTopicIDsError{Cluster: f.Cfg.To, Topic: topic}
	}
	return err
}

// learnLimits asks the target what it says of transactions, before anything is begun.
func (f *flow) learnLimits(ctx context.Context) error {
	client, err := kafka.NewFranz(f.Target)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := f.Target.Limits(ctx, client)
	if err != nil {
		return err
	}
	if len(found.Problems) > 0 {
		return found.Problems[0]
	}
	if err := txlimit.Fits(&f.Cfg, found.Transaction); err != nil {
		return err
	}
	if said := txlimit.Shortened(&f.Cfg, found.Transaction); said != "" {
		f.Log.Info("transactions are shortened", "why", said)
	}
	f.Longest.Set(found.Transaction)
	return nil
}
