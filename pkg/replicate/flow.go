package replicate

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/pace"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/topology"
	"replicator/pkg/replicate/txlimit"
)

// flow is one direction, old->new, at work in this process: what all who work on it have in common, and the order
// in which they begin and end. Each of them keeps to a matter of its own, and knows of the others only those that it
// has as fields.
type flow struct {
	*shard.Flow
	options *Options
	memory  *memory

	workers    *workers
	observer   *observer
	neighbours *neighbours
	replicas   *replicas
	topicSync  *topicSync
	groupSync  *groupSync // nil before the flow is open
}

// newFlow makes a try of a flow, which others may observe from now on. met are flows of other configurations, which
// cfg.Flows holds beside its own.
func newFlow(o *Options, m *metrics.Metrics, cfg settings.Config, met []policy.Flow, before *memory) *flow {
	shared := &shard.Flow{
		Cfg: cfg, Name: cfg.Name(), CatchUp: o.UntilCaughtUp, Metrics: m, Log: o.Log.With("flow", cfg.Name()),
		TroubleFor: cmp.Or(o.TroubleFor, shard.DefaultTroubleFor), Wrap: o.Wrap,
		SeenEvery: cmp.Or(o.SeenEvery, shard.DefaultSeenEvery),
		Source:    o.Clusters[cfg.From], Target: o.Clusters[cfg.To],
		Window: sink.NewWindow(shard.WindowBytes), Topology: topology.New(), Notify: make(chan struct{}, 1),
	}
	if bound := cfg.Limits.Schedule(); !cfg.Limits.None() {
		shared.Pace = pace.New(func(now time.Time) float64 { // of the flow's bound as much as it has of its shards
			return float64(bound(now)) * float64(shared.Owned.Load()) / float64(cfg.Shards)
		})
	}
	f := &flow{Flow: shared, options: o, memory: before}
	f.workers = &workers{flow: shared, memory: before, byShard: map[int]*running{}}
	f.observer = &observer{flow: shared, workers: f.workers, memory: before}
	f.neighbours = &neighbours{flow: shared, known: met}
	f.replicas = &replicas{flow: shared}
	f.topicSync = &topicSync{flow: shared, workers: f.workers, neighbours: f.neighbours}
	return f
}

// open opens the clients that all workers share. Nothing is connected yet.
func (f *flow) open() (err error) {
	if f.Clients, err = clients.Open(&f.Cfg, f.Source, f.Target, f.Log); err != nil {
		return err
	}
	if f.neighbours.others, err = provenance.OpenNeighbours(&f.Cfg, f.Source, f.Target); err != nil {
		return err
	}
	f.SourceScan = scan.Open(f.Source, f.Log)
	if f.LastCopied, err = lastcopied.Open(f.Source, f.Target); err != nil {
		return err
	}
	if f.Writers, err = provenance.OpenWriters(&f.Cfg, f.neighbours.others, f.Target); err != nil {
		return err
	}
	f.groupSync = newGroupSync(f.Flow, f.workers, f.memory)
	f.TargetTopics = provenance.NewTarget(&f.Cfg, f.Target, f.TargetOffsets, f.Scan, f.Writers)
	cfg := clients.TopicsConfig(&f.Cfg, f.Source, f.Target, f.Policy, f.options.Log)
	cfg.Ledger, cfg.CarriesBack = f.TargetTopics, f.Writers.CarriesBack
	if f.Topics, err = topics.Open(cfg); err != nil {
		return err
	}
	if f.SourceWriters, err = provenance.OpenSourceWriters(&f.Cfg, f.Source, f.Target); err != nil {
		return err
	}
	f.Owner, err = owner.Open(owner.Config{
		Target: f.Target, Group: f.Cfg.GroupID(), Ledger: f.Cfg.LedgerTopic(), Log: f.Log, Present: f.workers.present.Store,
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
	if f.neighbours.others != nil {
		f.neighbours.others.Close()
	}
	if f.groupSync != nil {
		f.groupSync.opposites.Close()
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
	if err := f.prepare(ctx); err != nil {
		return err
	}
	return f.work(ctx)
}

// work copies what the group gives this process, until ctx ends.
func (f *flow) work(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	gain := func(number int) { f.workers.gain(ctx, g, number) }
	g.Go(func() error { return f.Owner.Run(ctx, gain, f.workers.lose) })
	for _, c := range f.chores() {
		g.Go(func() error { return c.run(ctx, f.Flow) })
	}
	var outcome error
	if f.CatchUp {
		g.Go(func() error { outcome = f.catchUp().run(ctx); return errCaughtUp })
	}
	if err := g.Wait(); !errors.Is(err, errCaughtUp) {
		return err
	}
	return outcome
}

// chores are what is done beside copying. A one-off copy has the groups follow at its end.
func (f *flow) chores() []chore {
	lag := &lagWatch{flow: f.Flow, workers: f.workers, observer: f.observer, memory: f.memory}
	list := []chore{
		{f.Cfg.RefreshInterval, f.Topology.Notify, metrics.TopicsFailed, "topics cannot be compared", f.topicSync.round},
		{f.Cfg.RefreshInterval, nil, metrics.FlowFailed, "other replicas cannot be seen", f.replicas.round},
		{lagEvery, nil, metrics.EndsFailed, "lag is not known", lag.round},
	}
	if f.CatchUp {
		return list
	}
	left := &retentionWatch{flow: f.Flow, memory: f.memory}
	return append(list,
		chore{f.Cfg.GroupSyncInterval, nil, metrics.GroupsFailed, "groups cannot be synced", f.groupSync.round},
		chore{3 * f.Cfg.RefreshInterval, nil, metrics.RetentionFailed, "the target's retention is not known", left.round})
}

// catchUp is what ends a one-off copy.
func (f *flow) catchUp() *catchUp {
	return &catchUp{flow: f.Flow, workers: f.workers, groupSync: f.groupSync, memory: f.memory,
		stableOnly: f.options.StableOnly, viewGroups: f.options.ViewGroups}
}

// prepare checks what must hold before anything is copied: two clusters, a
// ledger of the right shape, and a first comparison of the topics.
func (f *flow) prepare(ctx context.Context) error {
	// A cluster that is away, or refuses the login, shows here at once. A flow that is closed has no need of its source.
	if err := f.SourceOffsets.Reach(ctx); err != nil {
		return cmp.Or(f.closed(ctx), err)
	}
	if err := f.TargetOffsets.Reach(ctx); err != nil {
		return err
	}
	from, to, err := f.Topics.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	if err := policy.SameCluster(f.Cfg.Flow, from, to); err != nil {
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
	if err := f.closed(ctx); err != nil { // before anything is altered
		return handover.SourceAnswers(err)
	}
	if _, err := f.neighbours.meet(ctx); err != nil { // before anything is made
		return err
	}
	if err := f.replicas.alone(ctx); err != nil {
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
	seen, err := f.neighbours.announce(ctx)
	if err == nil { // others know of this flow by now, and wait for it as well
		err = seen.OneWay(&f.Cfg)
	}
	if err != nil {
		return err
	}
	return f.topicSync.compare(ctx, seen)
}

// closed is why nobody may work on the flow, as far as the ledger can be read; nil: somebody may. Each worker asks
// again, of its own shard.
func (f *flow) closed(ctx context.Context) error {
	first, err := ledger.ReadFirstAsItIs(ctx, f.Target, f.Cfg.LedgerTopic())
	if err != nil || first == nil {
		return nil
	}
	if err := handover.NotClosed(first, first, f.Name); handover.IsClosed(err) {
		return err
	}
	return nil
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
	found, err := kafka.LimitsOf(ctx, client, f.Target)
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
