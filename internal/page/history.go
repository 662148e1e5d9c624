package page

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"replicator/pkg/replicate/settings"
)

const (
	sampleEvery = 20 * time.Second
	mostSamples = 6 * 60 * 60 / 20 // six hours
	mostEvents  = 200
)

// sample is what the metrics said of one flow.
type sample struct {
	partitions, lag, unknown, records, bytes float64
	lagKnown                                 bool
	commitSum, commits                       float64
	stopped                                  map[string]float64 // by kind
	holes                                    map[string]float64 // by topic
}

// history keeps what the metrics of this process said, for some hours.
type history struct {
	metrics prometheus.Gatherer

	mu     sync.Mutex
	flows  []string
	before map[string]*sample // by flow, of the last time
	kept   History
}

func newHistory(metrics prometheus.Gatherer, flows []settings.Config) *history {
	h := &history{metrics: metrics, before: map[string]*sample{}}
	h.kept = History{EverySeconds: sampleEvery.Seconds(), Times: []time.Time{}, Flows: []FlowHistory{}, Events: []Event{}}
	h.change(flows)
	return h
}

// change keeps what is known of the flows that stay; of others nothing is known for the times that were.
func (h *history) change(flows []settings.Config) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := map[string]FlowHistory{}
	for _, f := range h.kept.Flows {
		known[f.Flow] = f
	}
	h.flows, h.kept.Flows = nil, []FlowHistory{}
	for i := range flows {
		name := flows[i].Name()
		f, stays := known[name]
		if !stays {
			none := func() []*float64 { return make([]*float64, len(h.kept.Times)) }
			f = FlowHistory{Flow: name, Partitions: none(), Lag: none(), Records: none(), Bytes: none(), CommitSeconds: none()}
		}
		h.flows, h.kept.Flows = append(h.flows, name), append(h.kept.Flows, f)
	}
}

// run takes a sample now and then.
func (h *history) run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case at := <-tick.C:
			families, err := h.metrics.Gather()
			if err != nil {
				continue // whoever scrapes is told why
			}
			h.note(at, families)
		}
	}
}

// document is all that is kept; its lists are never written to.
func (h *history) document() History {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.kept
	kept.Flows = append([]FlowHistory{}, kept.Flows...)
	return kept
}

// note adds what the metrics say at a time.
func (h *history) note(at time.Time, families []*dto.MetricFamily) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := samples(families)
	var since float64
	if n := len(h.kept.Times); n > 0 {
		since = at.Sub(h.kept.Times[n-1]).Seconds()
	}
	h.kept.Times = kept(h.kept.Times, at, mostSamples)
	for i, name := range h.flows {
		s := now[name]
		if s == nil {
			s = &sample{}
		}
		before := h.before[name]
		h.before[name] = s
		f := &h.kept.Flows[i]
		f.Partitions = kept(f.Partitions, &s.partitions, mostSamples)
		f.Lag = kept(f.Lag, known(s.lag, s.lagKnown && s.unknown == 0), mostSamples)
		moved := before != nil && since > 0
		if before == nil {
			before = &sample{} // the process has just begun
		}
		f.Records = kept(f.Records, known((s.records-before.records)/since, moved), mostSamples)
		f.Bytes = kept(f.Bytes, known((s.bytes-before.bytes)/since, moved), mostSamples)
		f.CommitSeconds = kept(f.CommitSeconds, known((s.commitSum-before.commitSum)/(s.commits-before.commits),
			moved && s.commits > before.commits), mostSamples)
		h.changes(at, name, before, s)
	}
}

// changes notes stops that came or went, and holes.
func (h *history) changes(at time.Time, flow string, before, now *sample) {
	add := func(kind, where, what string) {
		h.kept.Events = kept(h.kept.Events, Event{at, flow, kind, where, what}, mostEvents)
	}
	for kind, n := range now.stopped {
		switch was := before.stopped[kind]; {
		case n > was:
			add("stop", "", fmt.Sprintf("partitions stopped as %s in this process: %g, up from %g", kind, n, was))
		case n < was:
			add("stop", "", fmt.Sprintf("partitions stopped as %s in this process: %g, down from %g", kind, n, was))
		}
	}
	for topic, n := range now.holes {
		if was := before.holes[topic]; n > was {
			add("hole", topic, fmt.Sprintf("%g more holes: the source had deleted records before they were copied", n-was))
		}
	}
}

// known is a number, or nil.
func known(n float64, is bool) *float64 {
	if !is {
		return nil
	}
	return &n
}

// kept is a list with one more, of which the first go when it gets too long. What was handed out stays as it is.
func kept[T any](list []T, one T, most int) []T {
	if len(list) < most {
		return append(list[:len(list):len(list)], one)
	}
	return append(append(make([]T, 0, most), list[len(list)-most+1:]...), one)
}

// samples sums up metrics by flow.
func samples(families []*dto.MetricFamily) map[string]*sample {
	all := map[string]*sample{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			flow := labels["flow"]
			if flow == "" {
				continue
			}
			s := all[flow]
			if s == nil {
				s = &sample{stopped: map[string]float64{}, holes: map[string]float64{}}
				all[flow] = s
			}
			s.add(family.GetName(), labels, m)
		}
	}
	return all
}

// add takes over one value.
func (s *sample) add(name string, labels map[string]string, m *dto.Metric) {
	gauge, counter := m.GetGauge().GetValue(), m.GetCounter().GetValue()
	switch name {
	case "replicator_partitions":
		s.partitions += gauge
	case "replicator_lag_records":
		s.lag, s.lagKnown = s.lag+gauge, true
	case "replicator_lag_unknown_partitions":
		s.unknown += gauge
	case "replicator_records_total":
		s.records += counter
	case "replicator_bytes_total":
		s.bytes += counter
	case "replicator_commit_seconds":
		s.commitSum += m.GetHistogram().GetSampleSum()
		s.commits += float64(m.GetHistogram().GetSampleCount())
	case "replicator_partitions_stopped":
		s.stopped[labels["kind"]] += gauge
	case "replicator_holes_total":
		s.holes[labels["topic"]] += counter
	}
}
