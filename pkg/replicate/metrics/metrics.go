// Package metrics holds the counters that the engine moves. What can be read off its state is collected at each scrape
// instead. Labels come from bounded sets: flows, topics, partitions, groups and kinds.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/wire"
)

// Metrics are the counters of all flows of a process. All methods may be called by several goroutines; flow is the
// name of a flow.
type Metrics struct {
	records, bytes, commits, retries       *prometheus.CounterVec
	rebuilt, leftOut                       *prometheus.CounterVec
	failures, holes, holeOffsets, foreigns *prometheus.CounterVec
	events                                 *prometheus.GaugeVec
	cuts, cutOffsets                       *prometheus.CounterVec
	commitSeconds, chunkSeconds, endToEnd  *prometheus.HistogramVec
}

// latencies covers 1 ms to 65 s.
var latencies = prometheus.ExponentialBuckets(0.001, 2, 17)

// New registers the counters, all without values; it panics if they are registered already.
func New(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "replicator_" + name, Help: help},
			append([]string{"flow"}, labels...))
		registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "replicator_" + name, Help: help, Buckets: latencies}, []string{"flow"})
		registry.MustRegister(h)
		return h
	}
	last := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "replicator_event_timestamp_seconds",
		Help: "When this process last noted an event of that kind, in Unix time; 0: not since it began."},
		[]string{"flow", "topic", "event"})
	registry.MustRegister(last)
	return &Metrics{
		events:  last,
		records: counter("records_total", "Records committed on the target.", "topic"),
		bytes: counter("bytes_total",
			"Bytes committed on the target: keys, values and headers, in the batch lane batches as they travel."),
		rebuilt: counter("rebuilt_batches_total",
			"Batches that the batch lane took apart, or joined, and wrote anew, by reason.", "reason"),
		leftOut: counter("left_out_batches_total",
			"Batches that were not copied because the flow in the opposite direction had written them."),
		commits:     counter("commits_total", "Transactions committed on the target."),
		retries:     counter("retries_total", "Shards that started over after a failure."),
		failures:    counter("errors_total", "Failures by kind; all of them are retried.", "kind"),
		holes:       counter("holes_total", "Times that the source had deleted records before they were copied.", "topic"),
		holeOffsets: counter("hole_offsets_total", "Source offsets in holes: at most that many records were lost.", "topic"),
		cuts: counter("cuts_total",
			"Times that the log of a side, source or target, was cut before what had been copied.", "topic", "side"),
		cutOffsets: counter("cut_offsets_total",
			"Source offsets that were cut from a side: at most that many records are on the other one alone.", "topic",
			"side"),
		foreigns: counter("foreign_stretches_total",
			"Stretches of the target with records that this flow did not write.", "topic"),
		commitSeconds: histogram("commit_seconds", "Time of one commit, from the ledger's records to the answer."),
		chunkSeconds:  histogram("chunk_seconds", "Time of one chunk, from its first record to the end of its commit."),
		endToEnd: histogram("end_to_end_seconds",
			"Age of a partition's newest record when it was committed on the target, by its own timestamp."),
	}
}

// What has to be noticed although it happens once.
const (
	eventHole    = "hole"
	eventForeign = "foreign_records"
)

func events() []string { return []string{eventHole, eventForeign} }

// Born shows the counters of a flow at 0: the first event is an increase then.
func (m *Metrics) Born(flow string) {
	for _, c := range []*prometheus.CounterVec{m.bytes, m.leftOut, m.commits, m.retries} {
		c.WithLabelValues(flow)
	}
	for _, kind := range Failures() {
		m.failures.WithLabelValues(flow, kind.String())
	}
	for _, why := range []string{wire.OldMagic, wire.LogAppendTime, wire.Gaps, wire.Codec, source.ProgressInside,
		source.TooLarge, sink.Small} {
		m.rebuilt.WithLabelValues(flow, why)
	}
}

// BornTopic does the same for one of its topics.
func (m *Metrics) BornTopic(flow, topic string) {
	for _, c := range []*prometheus.CounterVec{m.records, m.holes, m.holeOffsets, m.foreigns} {
		c.WithLabelValues(flow, topic)
	}
	for _, side := range []string{"source", "target"} {
		m.cuts.WithLabelValues(flow, topic, side)
		m.cutOffsets.WithLabelValues(flow, topic, side)
	}
	for _, event := range events() {
		m.events.WithLabelValues(flow, topic, event)
	}
}

// Failure counts one failure, by its kind.
func (m *Metrics) Failure(flow string, kind Failure) {
	m.failures.WithLabelValues(flow, kind.String()).Inc()
}

// Retry counts a shard that starts over after a failure.
func (m *Metrics) Retry(flow string) { m.retries.WithLabelValues(flow).Inc() }

// Commit counts a transaction, of records or of the ledger alone, and how long its commit took.
func (m *Metrics) Commit(flow string, took time.Duration) {
	m.commits.WithLabelValues(flow).Inc()
	m.commitSeconds.WithLabelValues(flow).Observe(took.Seconds())
}

// Committed counts the bytes of a transaction of records, and how long it was open.
func (m *Metrics) Committed(flow string, c chunk.Chunk, took time.Duration) {
	m.bytes.WithLabelValues(flow).Add(float64(c.Bytes))
	m.chunkSeconds.WithLabelValues(flow).Observe(took.Seconds())
}

// Copied counts the committed records of one partition; newest is the timestamp of their last one, in ms.
func (m *Metrics) Copied(flow string, p chunk.Partition, records int64, newest int64, now time.Time) {
	m.records.WithLabelValues(flow, p.Topic).Add(float64(records))
	if age := now.Sub(time.UnixMilli(newest)); newest > 0 && age >= 0 {
		m.endToEnd.WithLabelValues(flow).Observe(age.Seconds())
	}
}

// Hole counts offsets that the source had deleted before they were copied.
func (m *Metrics) Hole(flow string, p chunk.Partition, offsets int64) {
	m.holes.WithLabelValues(flow, p.Topic).Inc()
	m.holeOffsets.WithLabelValues(flow, p.Topic).Add(float64(offsets))
	m.event(flow, p.Topic, eventHole)
}

// Cut counts a cut of the log of a side, and how many offsets of what was copied are gone from there.
func (m *Metrics) Cut(flow string, p chunk.Partition, cut *ledger.Cut) {
	m.cuts.WithLabelValues(flow, p.Topic, ledger.SideOf(cut)).Inc()
	m.cutOffsets.WithLabelValues(flow, p.Topic, ledger.SideOf(cut)).Add(float64(cut.Copied - cut.At))
}

// Foreign counts a stretch of the target whose records the flow did not write.
func (m *Metrics) Foreign(flow string, p chunk.Partition) {
	m.foreigns.WithLabelValues(flow, p.Topic).Inc()
	m.event(flow, p.Topic, eventForeign)
}

// Rebuilt counts a batch that did not travel as it was, and why.
func (m *Metrics) Rebuilt(flow, why string) { m.rebuilt.WithLabelValues(flow, why).Inc() }

// LeftOut counts a batch that the flow in the opposite direction had written.
func (m *Metrics) LeftOut(flow string) { m.leftOut.WithLabelValues(flow).Inc() }

// event notes the time of what an alert has to see although it is over at once, and
// perhaps before a counter is read for the first time.
func (m *Metrics) event(flow, topic, event string) {
	m.events.WithLabelValues(flow, topic, event).SetToCurrentTime()
}
