package flowtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
)

// Reaches waits until orders/0 is copied up to an offset.
func (r *Replica) Reaches(upTo offsets.Source) {
	r.W.T.Helper()
	r.W.Await("orders/0 is copied", func() bool {
		p, _ := r.Shown("orders", 0)
		return p.Progress == upTo
	})
}

// StartAs runs one more replica of a flow whose clusters have other names.
func (w *World) StartAs(cfg settings.Config) *Replica {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	r := &Replica{W: w, Registry: prometheus.NewRegistry(), Cancel: cancel, Done: make(chan error, 1)}
	r.Engine = replicate.New(replicate.Options{
		Clusters: map[string]kafka.Config{
			cfg.From: w.Kafka(cfg.From, w.Sides.Source), cfg.To: w.Kafka(cfg.To, w.Sides.Target)},
		Flows: []settings.Config{cfg}, Registry: r.Registry, Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
	})
	go func() { r.Done <- r.Run(ctx) }()
	w.T.Cleanup(func() {
		cancel()
		<-r.Done
	})
	return r
}

// Upgrading is a cluster whose topics have no ids until what it answers is called.
func (w *World) Upgrading(fake *kafkatest.Cluster) (upgraded func()) {
	var done atomic.Bool
	fake.ControlKey(int16(kmsg.ApiVersions), func(request kmsg.Request) (kmsg.Response, error, bool) {
		if done.Load() {
			return nil, nil, false
		}
		fake.KeepControl()
		answer := kmsg.NewPtrApiVersionsResponse()
		answer.Version = request.GetVersion()
		kversion.V2_7_0().EachMaxKeyVersion(func(key, version int16) {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = key, version
			answer.ApiKeys = append(answer.ApiKeys, k)
		})
		return answer, nil, true
	})
	return func() { done.Store(true) }
}

// Once runs a one-off copy beside whatever runs already.
func (w *World) Once() chan error {
	w.T.Helper()
	e := replicate.New(replicate.Options{
		Clusters: w.Clusters(), Flows: []settings.Config{w.Cfg}, Registry: prometheus.NewRegistry(), UntilCaughtUp: true,
		ViewGroups: inspect.ViewGroups(w.Clusters(), nil),
		Log:        slog.New(slog.NewTextHandler(&w.Log, nil)),
	})
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		done <- e.Run(w.Ctx)
	}()
	w.T.Cleanup(func() { <-ended })
	return done
}

// Ends waits for the end of a one-off copy.
func (w *World) Ends(done chan error) error {
	w.T.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(Patience):
		w.T.Fatal("the one-off copy goes on and on")
		return nil
	}
}

// Owned is how many shards a replica works on.
func (r *Replica) Owned() int {
	n := 0
	for _, f := range r.States() {
		n += f.Shards
	}
	return n
}

// Scrape is what a replica's state gives for one metric, by the labels behind flow.
func (r *Replica) Scrape(name string) map[string]float64 {
	r.W.T.Helper()
	families, err := r.Registry.Gather()
	r.W.Must("gather", err)
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "flow" {
					labels = append(labels, l.GetValue())
				}
			}
			values[strings.Join(labels, "/")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// Replica is one running engine.
type Replica struct {
	*replicate.Engine
	W        *World
	Registry *prometheus.Registry
	Cancel   context.CancelFunc
	Done     chan error
}

// Start runs one more replica of the daemon; a test that does not stop it has it stopped at its end.
func (w *World) Start(wrap func(shard int, out shard.Writer) shard.Writer) *Replica {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	r := &Replica{W: w, Registry: prometheus.NewRegistry(), Cancel: cancel, Done: make(chan error, 1)}
	options := replicate.Options{
		Clusters: w.Clusters(), Flows: []settings.Config{w.Cfg}, Registry: r.Registry, Wrap: wrap,
		Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
	}
	if w.Tune != nil {
		w.Tune(&options)
	}
	r.Engine = replicate.New(options)
	go func() {
		err := r.Run(ctx)
		if err != nil && !(w.MayClose && handover.IsClosed(err)) {
			w.T.Errorf("the engine ended: %v", err)
		}
		r.Done <- err
	}()
	w.T.Cleanup(func() {
		cancel()
		<-r.Done
	})
	return r
}

// Stop ends the replica as SIGTERM does.
func (r *Replica) Stop() {
	r.W.T.Helper()
	r.Cancel()
	err := <-r.Done
	r.Done <- nil // for the cleanup
	r.W.Must("stop", err)
}

// Shown is what a replica says of a partition.
func (r *Replica) Shown(topic string, number int32) (replicate.PartitionState, bool) {
	for _, f := range r.States() {
		for _, p := range f.Partitions {
			if p.Partition == (chunk.Partition{Topic: topic, Number: number}) {
				return p, true
			}
		}
	}
	return replicate.PartitionState{}, false
}

// Stopped waits until a partition has stopped for a reason of that kind.
func (r *Replica) Stopped(topic string, number int32, kind string) *chunk.Stop {
	r.W.T.Helper()
	var stop *chunk.Stop
	r.W.Await(fmt.Sprintf("%s/%d stops with %s", topic, number, kind), func() bool {
		p, _ := r.Shown(topic, number)
		stop = p.Stop
		return stop != nil && stop.Kind == kind
	})
	if stop.Remedy() == "" {
		r.W.T.Errorf("%v comes without a remedy", stop)
	}
	return stop
}

// Copies waits until a partition is being copied.
func (r *Replica) Copies(topic string, number int32) {
	r.W.T.Helper()
	r.W.Await(fmt.Sprintf("%s/%d is copied", topic, number), func() bool {
		p, known := r.Shown(topic, number)
		return known && p.Stop == nil && p.State == partition.Copying
	})
}
