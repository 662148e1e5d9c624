package inspect

import (
	"context"

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

// Status answers the flows that could be looked at, and why others could not.
func (w *Watcher) Status(ctx context.Context) ([]*FlowStatus, []error) {
	seen := []*FlowStatus{}
	var failed []error
	for _, flow := range w.flows {
		status, err := w.one(ctx, flow)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		seen = append(seen, status)
	}
	return seen, failed
}

func (w *Watcher) one(ctx context.Context, flow settings.Config) (*FlowStatus, error) {
	view := w.open[flow.Name()]
	if view == nil {
		opened, err := snapshot.Open(ctx, w.clusters, flow, nil)
		if err != nil {
			return nil, err
		}
		view = opened
		w.open[flow.Name()] = view
	}
	return Status(ctx, view)
}

// Close ends the connections.
func (w *Watcher) Close() {
	for _, view := range w.open {
		view.Close()
	}
}
