package page

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/settings"
)

// What the metrics say becomes lists of the same length, in which what is not known is null.
func TestHistory(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := func(name string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "replicator_" + name}, labels)
		registry.MustRegister(g)
		return g
	}
	lag := gauge("lag_records", "flow", "topic", "partition")
	unknown := gauge("lag_unknown_partitions", "flow")
	stopped := gauge("partitions_stopped", "flow", "kind")
	records := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_records_total"},
		[]string{"flow", "topic"})
	commit := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "replicator_commit_seconds"}, []string{"flow"})
	registry.MustRegister(records, commit)

	flow := settings.DefaultConfig()
	flow.From, flow.To = "old", "new"
	h := newHistory(registry, []settings.Config{flow})
	at := time.Unix(1000, 0)
	note := func() FlowHistory {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(sampleEvery)
		h.note(at, families)
		return h.document().Flows[0]
	}
	last := func(list []*float64) any {
		if one := list[len(list)-1]; one != nil {
			return *one
		}
		return nil
	}
	expect := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	f := note()
	expect("a lag that was never known", last(f.Lag), nil)
	expect("a rate at first", last(f.Records), nil)

	lag.WithLabelValues("old->new", "orders", "0").Set(3)
	lag.WithLabelValues("old->new", "orders", "1").Set(4)
	lag.WithLabelValues("new->old", "orders", "1").Set(400)
	records.WithLabelValues("old->new", "orders").Add(200)
	commit.WithLabelValues("old->new").Observe(0.5)
	commit.WithLabelValues("old->new").Observe(1.5)
	stopped.WithLabelValues("old->new", "source_truncated").Set(2)
	f = note()
	expect("lag", last(f.Lag), 7.0)
	expect("records a second", last(f.Records), 200/sampleEvery.Seconds())
	expect("time of a commit", last(f.CommitSeconds), 1.0)
	if events := h.document().Events; len(events) != 1 || events[0].Kind != "stop" || !events[0].At.Equal(at) {
		t.Errorf("events: %+v", events)
	}

	unknown.WithLabelValues("old->new").Set(1)
	f = note()
	expect("lag that is not known of one partition", last(f.Lag), nil)
	expect("no commit", last(f.CommitSeconds), nil)
	expect("nothing copied", last(f.Records), 0.0)

	handed := h.document()
	for range mostSamples + 5 {
		f = note()
	}
	if n := len(f.Lag); n != mostSamples || len(h.document().Times) != n {
		t.Errorf("%d samples of %d times are kept, want %d", n, len(h.document().Times), mostSamples)
	}
	if len(handed.Times) != 3 || !handed.Times[2].Equal(time.Unix(1000, 0).Add(3*sampleEvery)) {
		t.Errorf("what was handed out has changed: %v", handed.Times)
	}
}
