package replicate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// change is other clusters and flows to go on with.
type change struct {
	options *Options
	refused error // why these options cannot begin; nil: they are to
	tell    func(error)
	done    chan struct{}
}

// RefusedError says that what was changed could not begin, and that the engine went back to what ran before.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string {
	return "the changed configuration cannot begin, the former one goes on: " + e.Err.Error()
}

func (e *RefusedError) Unwrap() error { return e.Err }

// errNotRunning is what one is told who changes an engine that has ended.
var errNotRunning = errors.New("the engine does not run")

// Change has the engine go on with other clusters and flows, which are validated. Flows that are the same, on the same
// clusters, go on undisturbed; all others end first, and then begin: what one lets go another may take. What is renewed
// for new connections is no change. A flow that cannot begin for a reason that only a person can cure has the engine go
// back to what ran before as a whole, and refused is told why.
func (e *Engine) Change(ctx context.Context, clusters map[string]kafka.Config, flows []settings.Config,
	refused func(error)) error {
	next := *e.now()
	next.Clusters, next.Flows = clusters, flows
	c := change{options: &next, tell: refused, done: make(chan struct{})}
	select {
	case e.changes <- c:
	case <-ctx.Done():
		return errNotRunning
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return errNotRunning
	}
}

// goesBack has the engine go back to what ran before o, if something did.
func (e *Engine) goesBack(ctx context.Context, o *Options, why error) bool {
	e.mu.Lock()
	can := e.options == o && e.former != nil
	e.mu.Unlock()
	if !can {
		return false // it has been at work by these rules
	}
	select {
	case e.changes <- change{options: o, refused: why, done: make(chan struct{})}:
	case <-ctx.Done():
	}
	return true
}

// reached are those who ask the engine's clusters.
func (e *Engine) reached() []*reach {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reaches
}

// now are the options of this moment.
func (e *Engine) now() *Options {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.options
}

// memoryOf is what is known of a flow for those who watch it; it outlives its tries and changes of its rules.
func (e *Engine) memoryOf(name string) *memory {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept[name] == nil {
		e.kept[name] = newMemory()
	}
	return e.kept[name]
}

// run is something that runs and can be ended.
type run struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func (r *run) end() {
	r.cancel()
	r.ended.Wait()
}

// runs are the flows of an engine that run, and who asks its clusters. They belong to the goroutine of follow.
type runs struct {
	engine *Engine
	group  *errgroup.Group
	byName map[string]*run
	asking *run
}

// ask has all clusters be asked whether they answer.
func (r *runs) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	r.asking = &run{cancel: cancel}
	for _, one := range r.engine.reaches {
		r.asking.ended.Go(func() { one.run(ctx) })
	}
}

// start begins the flows that do not run yet.
func (r *runs) start(ctx context.Context) {
	o := r.engine.now()
	for _, cfg := range o.Flows {
		if r.byName[cfg.Name()] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		one := &run{cancel: cancel}
		r.byName[cfg.Name()] = one
		one.ended.Add(1)
		r.group.Go(func() error {
			defer one.ended.Done()
			if err := r.engine.runFlow(ctx, o, cfg); err != nil {
				return fmt.Errorf("flow %s: %w", cfg.Name(), err)
			}
			return nil
		})
	}
}

// follow carries out changes until ctx ends.
func (r *runs) follow(ctx, asking context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-r.engine.changes:
			e := r.engine
			if c.refused == nil {
				r.change(ctx, asking, c.options, e.now(), c.tell)
			} else if former, tell := e.before(c.options); former != nil {
				r.change(ctx, asking, former, nil, nil)
				tell(&RefusedError{c.refused})
			}
			close(c.done)
		}
	}
}

// change ends what is not to go on as it does, and begins what is to.
func (r *runs) change(ctx, asking context.Context, next, former *Options, tell func(error)) {
	before := r.engine.now()
	same := func(cluster string) bool { return alike(before.Clusters[cluster], next.Clusters[cluster]) }
	wanted := map[string]settings.Config{}
	clusters := len(before.Clusters) == len(next.Clusters)
	for _, cfg := range next.Flows {
		wanted[cfg.Name()] = cfg
		clusters = clusters && same(cfg.From) && same(cfg.To)
	}
	var ending sync.WaitGroup
	for _, cfg := range before.Flows {
		other, stays := wanted[cfg.Name()]
		if stays && reflect.DeepEqual(cfg, other) && same(cfg.From) && same(cfg.To) {
			continue
		}
		ending.Go(r.byName[cfg.Name()].end)
		delete(r.byName, cfg.Name())
	}
	ending.Wait()
	if !clusters {
		r.asking.end()
	}
	r.engine.take(next, !clusters, former, tell)
	if !clusters {
		r.ask(asking)
	}
	r.start(ctx)
}

// before is what ran before o, and who is told that the engine goes back to it; nil where o is not what runs.
func (e *Engine) before(o *Options) (former *Options, tell func(error)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.options != o {
		return nil, nil
	}
	return e.former, e.refused
}

// take makes options those of the engine; reached: its clusters are others. The former ones are kept for when these
// cannot begin.
func (e *Engine) take(o *Options, reached bool, former *Options, tell func(error)) {
	for _, cfg := range o.Flows {
		e.metrics.Born(cfg.Name())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.options, e.former, e.refused = o, former, tell
	if reached {
		e.reaches = reachesOf(o)
	}
	for name := range e.past {
		if e.flows[name] == nil && !named(o.Flows, name) {
			delete(e.past, name)
			delete(e.last, name)
		}
	}
}

func named(flows []settings.Config, name string) bool {
	for i := range flows {
		if flows[i].Name() == name {
			return true
		}
	}
	return false
}

// alike says whether two configurations reach a cluster in the same way, but for what is renewed.
func alike(a, b kafka.Config) bool { return maps.Equal(lasting(a.Properties), lasting(b.Properties)) }

// lasting are the properties without the values of those that are renewed.
func lasting(properties map[string]string) map[string]string {
	lasting := maps.Clone(properties)
	for _, property := range kafka.Renewable {
		if lasting[property] != "" {
			lasting[property] = "renewed"
		}
	}
	return lasting
}
