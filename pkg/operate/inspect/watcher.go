package inspect

import (
	"context"
	"errors"
	"fmt"

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

// Status answers the flows that could be looked at, and why others could not, or not on both sides.
func (w *Watcher) Status(ctx context.Context) ([]*FlowStatus, []error) {
	seen := []*FlowStatus{}
	var failed []error
	for _, flow := range w.flows {
		status, err := w.one(ctx, flow)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if away := w.away(flow); away != nil {
			failed = append(failed, fmt.Errorf("flow %s: %w", flow.Name(), away))
		}
		seen = append(seen, status)
	}
	return seen, failed
}

func (w *Watcher) one(ctx context.Context, flow settings.Config) (*FlowStatus, error) {
	view := w.open[flow.Name()]
	if view == nil {
		opened, err := snapshot.OpenTolerant(ctx, w.clusters, flow, nil)
		if err != nil {
			return nil, err
		}
		view = opened
		w.open[flow.Name()] = view
	}
	return Status(ctx, view)
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
