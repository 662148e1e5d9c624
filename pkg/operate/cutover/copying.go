package cutover

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/settings"
)

// copying is the copying that a command does itself: what is left before applications move, where no daemon runs, or,
// for a rollback, all the time.
type copying struct {
	o      *Options
	rested bool // what was left was copied, or tried to be

	engine *replicate.Engine  // that copies meanwhile; nil: none has
	cancel context.CancelFunc // ends it; nil: it does not run
	ended  chan error
}

// rest copies what is left where no daemon does.
func (c *copying) rest(ctx context.Context, replicas *int) error {
	if replicas == nil || *replicas > 0 {
		return nil
	}
	c.rested = true
	limited := ctx
	if c.o.Force && c.o.Patience > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.o.Patience)
		defer cancel()
	}
	err := replicate.New(replicate.Options{
		Clusters: c.o.Clusters, Flows: []settings.Config{c.o.Flow}, UntilCaughtUp: true, Registry: prometheus.NewRegistry(),
		ViewGroups: inspect.ViewGroups(c.o.Clusters, c.o.Log), Log: c.o.Log, StableOnly: true,
		// the step waits for the rest, and says so
	}).Run(limited)
	var unfinished *replicate.UnfinishedError
	if errors.As(err, &unfinished) || limited.Err() != nil { // the next check tells what is missing
		return nil
	}
	return err
}

// carry has flows copy in this process while the applications are handed over by those steps.
func (m *mover) carry(ctx context.Context, flows []settings.Config, steps []stepwise.Step) error {
	m.copying.engine = replicate.New(replicate.Options{Clusters: m.o.Clusters, Flows: flows,
		Registry: prometheus.NewRegistry(), Log: m.o.Log})
	defer m.copying.stop() //nolint:errcheck // it is asked where all else went well
	steps = append([]stepwise.Step{{
		Name: "running", Check: m.copying.running, Act: m.copying.start,
		Do: "records are carried back while applications still write", Undo: "interrupt this command",
	}}, steps...)
	if err := stepwise.Run(ctx, steps, checkEvery, m.o.reportStep); err != nil {
		return err
	}
	return m.copying.stop()
}

// start begins to copy, until stop.
func (c *copying) start(ctx context.Context) error {
	ctx, c.cancel = context.WithCancel(ctx)
	c.ended = make(chan error, 1)
	go func() { c.ended <- c.engine.Run(ctx) }()
	return nil
}

// running says what is missing of an engine at work in this process, and why it has ended.
func (c *copying) running(context.Context) (string, error) {
	if c.cancel == nil {
		return "it is to be started", nil
	}
	select {
	case err := <-c.ended:
		c.cancel = nil
		if err == nil {
			err = errors.New("the copying has ended")
		}
		return "", err
	default:
		return "", nil
	}
}

// stop ends the copying and waits until its shards are let go.
func (c *copying) stop() error {
	if c.cancel == nil {
		return nil
	}
	c.cancel()
	c.cancel = nil
	return <-c.ended
}

// fresh says whether a copy that is at work has run into a stop. One that ended before
// may have left it in the ledger, and what was in its way may be gone.
func (c *copying) fresh(p *inspect.PartitionStatus, replicas *int) bool {
	if c.engine == nil {
		return c.rested || replicas == nil || *replicas > 0
	}
	for _, flow := range c.engine.States() {
		for _, own := range flow.Partitions {
			if flow.Flow == c.o.Flow.Name() && own.Partition == (chunk.Partition{Topic: p.Topic, Number: p.Partition}) {
				return own.Stop != nil
			}
		}
	}
	return false
}
