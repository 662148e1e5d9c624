package inspect

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// Watcher looks at flows again and again, over the same connections. It belongs to one goroutine.
type Watcher struct {
	clusters map[string]kafka.Config
	flows    []settings.Config
	open     map[string]*snapshot.Viewer // by flow
}

// Watch makes one; nothing is connected yet.
func Watch(clusters map[string]kafka.Config, flows []settings.Config) *Watcher {
	return &Watcher{clusters: clusters, flows: flows, open: map[string]*snapshot.Viewer{}}
}

// Status answers the flows that could be looked at, and why others could not, or not on both sides. All are looked at
// side by side: one whose clusters do not answer holds up nobody.
func (w *Watcher) Status(ctx context.Context) ([]*FlowStatus, []error) {
	looks := make([]look, len(w.flows))
	var all sync.WaitGroup
	for i := range w.flows {
		looks[i].view = w.open[w.flows[i].Name()]
		all.Go(func() { looks[i].take(ctx, w.clusters, &w.flows[i]) })
	}
	all.Wait()
	seen := []*FlowStatus{}
	var failed []error
	for i, flow := range w.flows {
		one := &looks[i]
		if one.view != nil {
			w.open[flow.Name()] = one.view
		}
		if one.err != nil {
			failed = append(failed, one.err)
			continue
		}
		if away := w.away(flow); away != nil {
			failed = append(failed, fmt.Errorf("flow %s: %w", flow.Name(), away))
		}
		seen = append(seen, one.status)
	}
	return seen, failed
}

// look is one at one flow.
type look struct {
	view   *snapshot.Viewer // nil: it has to be opened, or cannot be
	status *FlowStatus
	err    error
}

func (l *look) take(ctx context.Context, clusters map[string]kafka.Config, flow *settings.Config) {
	if l.view == nil {
		if l.view, l.err = snapshot.OpenTolerant(ctx, clusters, *flow, nil); l.err != nil {
			return
		}
	}
	l.status, l.err = Status(ctx, l.view)
}

// away is why the source of a flow did not answer. The next look begins with new connections then.
func (w *Watcher) away(flow settings.Config) error {
	view := w.open[flow.Name()]
	if view.Away == nil {
		return nil
	}
	delete(w.open, flow.Name())
	view.Close()
	return errors.Unwrap(view.Away) // what follows from it was told
}

// Close ends the connections.
func (w *Watcher) Close() {
	for _, view := range w.open {
		view.Close()
	}
}
