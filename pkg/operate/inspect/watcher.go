package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
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

// Status answers the flows that could be looked at, and, each as a [FlowError], why others could not, or not on all of
// both sides. All are looked at
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
		why := one.err
		if one.status != nil {
			seen = append(seen, one.status)
			why = cmp.Or(w.away(flow), one.status.partly())
		}
		if why != nil {
			failed = append(failed, &FlowError{flow.Name(), ofFlow(flow.Name(), why)})
		}
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
		l.view, l.err = snapshot.OpenTolerant(ctx, clusters, *flow, nil)
	}
	if l.err == nil {
		l.status, l.err = Status(ctx, l.view)
	}
	if l.err != nil && ctx.Err() == nil {
		l.err = withoutTarget(ctx, clusters, flow, l.err)
	}
}

// ofFlow is an error that begins with the flow which it is about.
func ofFlow(name string, err error) error {
	if strings.HasPrefix(err.Error(), "flow "+name) {
		return err
	}
	return fmt.Errorf("flow %s: %w", name, err)
}

// partly is what of the source was not seen, while the rest of it answered; nil: nothing.
func (s *FlowStatus) partly() error {
	if s.SourceAway || s.EndsUnknown == 0 {
		return nil
	}
	var unknown []string
	for i := range s.Partitions {
		if p := &s.Partitions[i]; p.EndsUnknown {
			unknown = append(unknown, fmt.Sprintf("%s/%d", p.Topic, p.Partition))
		}
	}
	return &kafka.Problem{What: fmt.Sprintf("the source answers in part: of %d of %d partitions it does not tell where "+
		"they end, and what is told of them is what was last seen: %s", s.EndsUnknown, len(s.Partitions), kafka.Few(unknown)),
		Fix: "see whether the brokers that lead them run, and can be reached from here; copying goes on by itself"}
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
