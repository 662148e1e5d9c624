// Package replicate is the engine: it copies the flows of a configuration, and it
// alone wires the rooms together (source, sink, ledger, topics, groups, owner,
// peek, watermarks), which never import each other.
//
// The central type is [Engine]. It guarantees, for each flow:
//
//  1. data, map and progress become visible on the target together or not at all;
//  2. a shard is copied by its owner alone, and nothing is remembered over a
//     failure: the next session reads the ledger;
//  3. what cannot be copied stops its partition with a reason and a remedy, and
//     the other partitions go on;
//  4. nothing is written to the source.
//
// docs/ARCHITECTURE.md tells the life of a record and what each failure leaves.
package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// Options say what to run.
type Options struct {
	Clusters map[string]kafka.Config // by name, all that the flows name
	Flows    []Config                // validated
	// UntilCaughtUp ends each flow once everything that was on its source at the start is on its target.
	UntilCaughtUp bool
	// Onlook opens a look at a flow's groups from outside: with UntilCaughtUp it is asked where other replicas own shards.
	Onlook   func(ctx context.Context, flow Config) (groups.Onlooker, error)
	Registry prometheus.Registerer
	Log      *slog.Logger

	Version, Commit string // of the program, for its metrics

	// wrap, when set, stands between a shard and its writer: tests make commits fail in it.
	wrap func(shard int, w writer) writer
	// How often clusters are asked whether they answer, and after what silence it is said; 0: the defaults.
	askEvery, sayAfter time.Duration
	troubleFor         time.Duration // see there
	stableOnly         bool          // with UntilCaughtUp: open transactions are not waited for
}

// Engine copies flows. Run it once.
type Engine struct {
	options Options
	metrics *metrics

	mu    sync.Mutex
	flows map[string]*flow // those that are running
	ended map[string]Progress
	last  map[string]error // what ended a flow's last try
	past  map[string]*flow // that try, until the next one begins

	reaches []*reach // one for each cluster, by name
}

// New makes an engine and registers its metrics.
func New(o Options) *Engine {
	e := &Engine{
		options: o, metrics: newMetrics(o.Registry),
		flows: map[string]*flow{}, ended: map[string]Progress{}, last: map[string]error{}, past: map[string]*flow{},
	}
	e.reaches = reachesOf(&o)
	for _, cfg := range o.Flows {
		e.metrics.born(cfg.Name())
	}
	o.Registry.MustRegister(newCollector(e))
	return e
}

// onceLimit is how long a one-off copy tries to reach its clusters.
const onceLimit = 30 * time.Second

// Run copies until ctx ends, or until caught up where that was asked for. It
// returns when every chunk that was begun is finished and every shard let go. An
// error names the flow that cannot go on and has a remedy.
func (e *Engine) Run(ctx context.Context) error {
	asking, enough := context.WithCancel(ctx)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer enough()
	for _, r := range e.reaches {
		asked.Go(func() { r.run(asking) })
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, cfg := range e.options.Flows {
		g.Go(func() error {
			if err := e.runFlow(ctx, cfg); err != nil {
				return fmt.Errorf("flow %s: %w", cfg.Name(), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// runFlow runs one flow, again and again while what ends it may pass.
func (e *Engine) runFlow(ctx context.Context, cfg Config) error {
	log := e.options.Log.With("flow", cfg.Name())
	again := retry{log: log, clock: time.Now}
	begun := time.Now()
	own := cfg.Flows
	var met []policy.Flow
	for ctx.Err() == nil {
		cfg.Flows = append(slices.Clone(own), met...)
		f := &flow{met: met, stableOnly: e.options.stableOnly, onlook: e.options.Onlook, baseLog: e.options.Log, shared: &shared{
			cfg: cfg, name: cfg.Name(), once: e.options.UntilCaughtUp, metrics: e.metrics,
			log: log, troubleFor: cmp.Or(e.options.troubleFor, troubleFor),
			source: e.options.Clusters[cfg.From], target: e.options.Clusters[cfg.To], wrap: e.options.wrap,
		}}
		e.enter(f)
		err := f.run(ctx)
		e.leave(f, err)
		var unfinished *UnfinishedError
		var news *metError
		switch {
		case errors.As(err, &news):
			met = news.flows
			log.Info("the flows of other configurations are taken into account", "flows", met)
		case err == nil:
			if e.options.UntilCaughtUp {
				return nil
			}
		case ctx.Err() != nil && e.options.UntilCaughtUp:
			return &StoppedError{f.goal.open(), ctx.Err()}
		case ctx.Err() != nil:
		case final(err), errors.As(err, &unfinished), e.circleEnds(f, err), e.options.UntilCaughtUp && hopeless(err),
			e.options.UntilCaughtUp && f.topology.versionNow() == 0 && time.Since(begun) > onceLimit:
			return err
		case inCircle(err):
			e.metrics.failure(f.name, "circle")
			again.stand(ctx, cfg.RefreshInterval, err)
		default:
			e.metrics.failure(f.name, "flow")
			again.wait(ctx, "flow is starting over", err)
		}
	}
	return nil
}

// circleEnds says whether a circle ends the engine: one that is found at the start of the
// only flow. Else the flow stands still, and the others go on.
func (e *Engine) circleEnds(f *flow, err error) bool {
	return inCircle(err) && (e.options.UntilCaughtUp || len(e.options.Flows) == 1 && f.topology.versionNow() == 0)
}

// final tells the errors that no retry can cure.
func final(err error) bool {
	var same *policy.SameClusterError
	var shards *ShardsError
	var version *ledger.VersionError
	var damage *ledger.Damage
	var idless *NoTopicIDsError
	var strange *ledger.NotLedgerError
	return isStranger(err) || errors.As(err, &strange) ||
		errors.As(err, &same) || errors.As(err, &shards) || errors.As(err, &version) || errors.As(err, &damage) ||
		errors.As(err, &idless) ||
		isClosed(err)
}

// hopeless tells the errors of a shard that only a person can cure.
func hopeless(err error) bool {
	if final(err) || limited(err) {
		return true
	}
	code, _ := kafka.Code(err)
	switch kerr.ErrorForCode(int16(code)) {
	case kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed:
		return true // one that lacks on a topic stops that topic
	}
	return false
}

func (e *Engine) enter(f *flow) {
	f.init()
	e.mu.Lock()
	defer e.mu.Unlock()
	if before := e.past[f.name]; before != nil {
		f.memory = before.remembered()
		f.wasReady.Store(before.wasReady.Load())
		delete(e.past, f.name)
	}
	e.flows[f.name] = f
}

func (e *Engine) leave(f *flow, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.flows, f.name)
	e.ended[f.name] = e.ended[f.name].plus(f.progress())
	e.last[f.name] = err
	if err != nil {
		e.past[f.name] = f
	}
}

// running lists the flows that are running, in no order.
func (e *Engine) running() []*flow {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*flow, 0, len(e.flows))
	for _, f := range e.flows {
		list = append(list, f)
	}
	return list
}

// present lists the flows that run, and those that are about to be tried again.
func (e *Engine) present() []*flow {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.AppendSeq(slices.Collect(maps.Values(e.flows)), maps.Values(e.past))
}

// Look tells the state of the running flows.
func (e *Engine) Look() []FlowState {
	var states []FlowState
	for _, f := range e.running() {
		states = append(states, f.look())
	}
	return states
}

// Progress is how far a one-off copy is.
type Progress struct {
	Records, Bytes int64 // copied by this process
	Done, Goal     int64 // source offsets passed since the start, and to be passed in all
}

func (p Progress) plus(q Progress) Progress {
	return Progress{p.Records + q.Records, p.Bytes + q.Bytes, p.Done + q.Done, p.Goal + q.Goal}
}

// Progress sums up all flows.
func (e *Engine) Progress() Progress {
	e.mu.Lock()
	defer e.mu.Unlock()
	var sum Progress
	for _, p := range e.ended {
		sum = sum.plus(p)
	}
	for _, f := range e.flows {
		sum = sum.plus(f.progress())
	}
	return sum
}

// Ready tells why the engine is not at work: a flow has not reached its clusters yet, is
// not in its group, or a shard of this process has not read the ledger. One that was at
// work once stays ready while a cluster is away: it goes on by itself, and a process that
// is taken out of service for it would be missing where its metrics, lag_seconds and
// group_sync_age_seconds among them, tell of the fault.
func (e *Engine) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, cfg := range e.options.Flows {
		f := e.flows[cfg.Name()]
		if f == nil || f.topology.versionNow() == 0 {
			if err := e.last[cfg.Name()]; err != nil {
				return fmt.Errorf("flow %s: %w", cfg.Name(), err)
			}
			return fmt.Errorf("flow %s has not compared its clusters yet", cfg.Name())
		}
		if err := f.unready(); err != nil && !f.wasReady.Load() {
			return fmt.Errorf("flow %s: %w", cfg.Name(), err)
		}
		f.wasReady.Store(true)
	}
	return nil
}

// unready is why the flow has never been at work as a whole in this process.
func (f *flow) unready() error {
	if !f.present.Load() {
		return &kafka.Problem{
			What: fmt.Sprintf("this process is not in group %s on cluster %s yet", f.cfg.GroupID(), f.target.Name),
			Fix:  "wait some seconds; if it stays so, look at the log, and at the brokers of that cluster",
		}
	}
	for _, w := range f.ownWorkers() {
		if read, why := w.shown.ready(); read {
			continue
		} else if why != nil {
			return fmt.Errorf("shard %d has not read its partition of the ledger yet: %w", w.shard, why)
		}
		return fmt.Errorf("shard %d has not read its partition of the ledger yet", w.shard)
	}
	return nil
}
