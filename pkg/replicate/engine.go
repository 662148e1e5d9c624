// Package replicate is the engine: it runs the flows of a configuration, each with the workers of its shards.
//
// The central type is [Engine]. It guarantees, for each flow:
//
//  1. a shard is copied by its owner alone;
//  2. what ends a flow is tried again, unless only a person can cure it: then the error has a remedy;
//  3. what is known of a flow for metrics and health outlives its tries;
//  4. nothing is written to the source.
//
// How a shard is copied stands in package shard; docs/ARCHITECTURE.md tells the life of a record and what each
// failure leaves. The engine calls no verb.
package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/wait"
)

// Options say what to run.
type Options struct {
	Clusters map[string]kafka.Config // by name, all that the flows name
	Flows    []settings.Config       // validated
	// UntilCaughtUp ends each flow once everything that was on its source at the start is on its target.
	UntilCaughtUp bool
	// ViewGroups opens a view of a flow's groups from outside: with UntilCaughtUp it is asked where other replicas
	// own shards.
	ViewGroups func(ctx context.Context, flow settings.Config) (groups.Viewer, error)
	Registry   prometheus.Registerer
	Log        *slog.Logger

	Version, Commit string // of the program, for its metrics

	// Wrap, when set, stands between a shard and its writer: tests make commits fail in it.
	Wrap func(shard int, w shard.Writer) shard.Writer
	// How often clusters are asked whether they answer, and after what silence it is said; 0: the defaults.
	AskEvery, SayAfter time.Duration
	TroubleFor         time.Duration // as shard.DefaultTroubleFor, which 0 stands for
	SeenEvery          time.Duration // as shard.DefaultSeenEvery, which 0 stands for
	StableOnly         bool          // with UntilCaughtUp: open transactions are not waited for
}

// Engine copies flows. Run it once.
type Engine struct {
	metrics *metrics.Metrics
	changes chan change

	mu      sync.Mutex
	options *Options         // replaced as a whole
	former  *Options         // what ran before these; nil: nothing did
	refused func(error)      // is told that the engine went back to them
	flows   map[string]*flow // those that are running
	ended   map[string]chunk.Progress
	last    map[string]error // what ended a flow's last try
	past    map[string]*flow // that try, until the next one begins
	kept    map[string]*memory

	reaches []*reach // one for each cluster, by name
}

// New makes an engine and registers its metrics.
func New(o Options) *Engine {
	e := &Engine{
		options: &o, metrics: metrics.New(o.Registry), changes: make(chan change),
		flows: map[string]*flow{}, ended: map[string]chunk.Progress{}, last: map[string]error{}, past: map[string]*flow{},
		kept: map[string]*memory{}, reaches: reachesOf(&o),
	}
	for _, cfg := range o.Flows {
		e.metrics.Born(cfg.Name())
	}
	o.Registry.MustRegister(newCollector(e))
	return e
}

// catchUpLimit is how long a one-off copy tries to reach its clusters.
const catchUpLimit = 30 * time.Second

// Run copies until ctx ends, or until caught up where that was asked for. It
// returns when every chunk that was begun is finished and every shard let go. An
// error names the flow that cannot go on and has a remedy.
func (e *Engine) Run(ctx context.Context) error {
	g, flowsCtx := errgroup.WithContext(ctx)
	r := &runs{engine: e, group: g, byName: map[string]*run{}}
	defer func() { r.asking.end() }()
	r.ask(ctx)
	r.start(flowsCtx)
	if !e.now().UntilCaughtUp {
		g.Go(func() error { return r.follow(flowsCtx, ctx) })
	}
	return g.Wait()
}

// runFlow runs one flow, again and again while what ends it may pass.
func (e *Engine) runFlow(ctx context.Context, o *Options, cfg settings.Config) error {
	log := o.Log.With("flow", cfg.Name())
	retry := wait.Retry{Log: log, Clock: time.Now}
	begun := time.Now()
	own, ran := cfg.Flows, false
	var met []policy.Flow
	remembered := e.memoryOf(cfg.Name())
	for ctx.Err() == nil {
		cfg.Flows = append(slices.Clone(own), met...)
		f := newFlow(o, e.metrics, cfg, met, remembered)
		e.enter(f)
		err := f.run(ctx)
		e.leave(f, err)
		a := attempt{
			err: err, ended: ctx.Err() != nil, catchUp: o.UntilCaughtUp, alone: len(o.Flows) == 1,
			compared: f.Topology.VersionNow() != 0, since: time.Since(begun),
		}
		ran = ran || a.compared
		switch a.outcome() {
		case done:
			return nil
		case stopped:
			return &StoppedError{f.Goal.Open(), ctx.Err()}
		case final:
			if !ran && e.goesBack(ctx, o, fmt.Errorf("flow %s: %w", cfg.Name(), err)) {
				return nil
			}
			return err
		case again:
			var news *metError
			if errors.As(err, &news) {
				met = news.flows
				log.Info("the flows of other configurations are taken into account", "flows", met)
			}
		case stands:
			kind := metrics.CircleFailed
			if handover.IsFailedOver(err) {
				kind = metrics.LedgerFailed
			}
			e.metrics.Failure(f.Name, kind)
			retry.Stand(ctx, cfg.RefreshInterval, err)
		case restart:
			e.metrics.Failure(f.Name, metrics.FlowFailed)
			retry.Wait(ctx, "flow is starting over", err)
		}
	}
	return nil
}

func (e *Engine) enter(f *flow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.past, f.Name)
	e.flows[f.Name] = f
}

func (e *Engine) leave(f *flow, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.flows, f.Name)
	e.ended[f.Name] = e.ended[f.Name].Plus(f.observer.progress())
	e.last[f.Name] = err
	if err != nil {
		e.past[f.Name] = f
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

// States are those of the running flows.
func (e *Engine) States() []FlowState {
	var states []FlowState
	for _, f := range e.running() {
		states = append(states, f.observer.state())
	}
	return states
}

// Progress sums up all flows.
func (e *Engine) Progress() chunk.Progress {
	e.mu.Lock()
	defer e.mu.Unlock()
	var sum chunk.Progress
	for _, p := range e.ended {
		sum = sum.Plus(p)
	}
	for _, f := range e.flows {
		sum = sum.Plus(f.observer.progress())
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
		if f == nil || f.Topology.VersionNow() == 0 {
			if err := e.last[cfg.Name()]; err != nil {
				return fmt.Errorf("flow %s: %w", cfg.Name(), err)
			}
			return fmt.Errorf("flow %s has not compared its clusters yet", cfg.Name())
		}
		if err := f.observer.unready(); err != nil && !f.memory.wasReady.Load() {
			return fmt.Errorf("flow %s: %w", cfg.Name(), err)
		}
		f.memory.wasReady.Store(true)
	}
	return nil
}
