package flowtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Pair is two flows in opposite directions under the same names: There is the world's, Back the other.
type Pair struct {
	*World
	There, Back settings.Config
}

// Pair makes them. There keeps the settings of topics.
func (w *World) Pair() *Pair {
	w.T.Helper()
	back := w.Cfg
	back.From, back.To, back.SyncTopicConfigs = w.Cfg.To, w.Cfg.From, false
	both := []settings.Config{w.Cfg, back}
	settings.Introduce(both)
	w.Cfg = both[0]
	return &Pair{w, both[0], both[1]}
}

// StartFlows runs flows of the pair in one process.
func (p *Pair) StartFlows(flows ...settings.Config) *Replica {
	p.T.Helper()
	return p.World.StartFlows(p.Clusters(), flows...)
}

// StartFlows runs flows in one process.
func (w *World) StartFlows(clusters map[string]kafka.Config, flows ...settings.Config) *Replica {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.Ctx)
	r := &Replica{W: w, Registry: prometheus.NewRegistry(), Cancel: cancel, Done: make(chan error, 1)}
	r.Engine = replicate.New(replicate.Options{
		Clusters: clusters, Flows: flows, Registry: r.Registry, Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
	})
	go func() {
		err := r.Run(ctx)
		if err != nil {
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

// SameOnBoth waits until a topic has the same records on both sides, want of them in all, each once.
func (p *Pair) SameOnBoth(topic string, want int) {
	p.T.Helper()
	var source, target []string
	defer func() {
		if p.T.Failed() {
			p.T.Logf("source %d: %q", len(source), source)
			p.T.Logf("target %d: %q", len(target), target)
		}
	}()
	p.Await(fmt.Sprintf("%d records of %s are on both sides", want, topic), func() bool {
		source, target = p.Holds(p.Sides.Source, topic), p.Holds(p.Sides.Target, topic)
		return len(source) >= want && len(target) >= want
	})
	inOrder := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
	if a, b := inOrder(source), inOrder(target); !slices.Equal(a, b) || len(a) != want || len(slices.Compact(a)) != want {
		p.T.Fatalf("topic %s: %d records on the source, %d on the target, want %d, the same ones, each once", topic,
			len(source), len(target), want)
	}
}

// Holds lists the committed records of a topic on either side: partition and value.
func (w *World) Holds(bootstrap, topic string) (list []string) {
	w.T.Helper()
	if bootstrap == w.Sides.Target {
		return w.HoldsAt(w.To, bootstrap, topic)
	}
	return w.HoldsAt(w.From, bootstrap, topic)
}

// HoldsAt is Holds, of any cluster.
func (w *World) HoldsAt(admin *kadm.Client, bootstrap, topic string) (list []string) {
	w.T.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()) // a log may end with markers
	w.Must("open a reader", err)
	defer client.Close()
	ends, err := admin.ListCommittedOffsets(w.Ctx, topic)
	w.Must("list ends", err)
	left := map[int32]int64{}
	for n, end := range ends[topic] {
		if end.Offset > 0 {
			left[n] = end.Offset
		}
	}
	for len(left) > 0 {
		fetched := client.PollFetches(w.Ctx)
		w.Must("read", fetched.Err0())
		fetched.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				list = append(list, fmt.Sprintf("%d:%s", r.Partition, r.Value))
			}
		})
		fetched.EachPartition(func(f kgo.FetchTopicPartition) {
			if n := len(f.Records); n > 0 && f.Records[n-1].Offset+1 >= left[f.Partition] {
				delete(left, f.Partition)
			}
		})
	}
	return list
}

// There says whether a cluster has a topic.
func (w *World) There(admin *kadm.Client, topic string) bool {
	w.T.Helper()
	listed, err := admin.ListTopics(w.Ctx, topic)
	w.Must("list topics", err)
	return listed.Has(topic)
}

// Noted says whether a flow of the pair has noted the ledger of the other.
func (w *World) Noted(flow settings.Config) bool {
	w.T.Helper()
	books, err := ledger.ReadAsItIs(w.Ctx, w.Clusters()[flow.To], flow.LedgerTopic())
	w.Must("read the ledger", err)
	return len(books) > 0 && strings.Contains(string(books[0].Note(ledger.RulesName)), "ledger_id")
}
