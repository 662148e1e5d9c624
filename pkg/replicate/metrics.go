package replicate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
)

// metrics are the counters that the engine moves; what can be read off its state
// is collected at each scrape instead, see collect.go. Labels come from bounded
// sets: flows, topics, partitions, groups and kinds.
type metrics struct {
	records, bytes, commits, retries       *prometheus.CounterVec
	rebuilt, leftOut                       *prometheus.CounterVec
	failures, holes, holeOffsets, foreigns *prometheus.CounterVec
	commitSeconds, chunkSeconds, endToEnd  *prometheus.HistogramVec
}

// latencies covers 1 ms to 65 s.
var latencies = prometheus.ExponentialBuckets(0.001, 2, 17)

func newMetrics(registry prometheus.Registerer) *metrics {
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
	return &metrics{
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
		foreigns: counter("foreign_stretches_total",
			"Stretches of the target with records that this flow did not write.", "topic"),
		commitSeconds: histogram("commit_seconds", "Time of one commit, from the ledger's records to the answer."),
		chunkSeconds:  histogram("chunk_seconds", "Time of one chunk, from its first record to the end of its commit."),
		endToEnd: histogram("end_to_end_seconds",
			"Age of a partition's newest record when it was committed on the target, by its own timestamp."),
	}
}

// failure counts one failure, and the retry that follows it.
func (m *metrics) failure(flow, kind string) { m.failures.WithLabelValues(flow, kind).Inc() }

func (m *metrics) retry(flow string) { m.retries.WithLabelValues(flow).Inc() }

func (m *metrics) commit(flow string, took time.Duration) {
	m.commits.WithLabelValues(flow).Inc()
	m.commitSeconds.WithLabelValues(flow).Observe(took.Seconds())
}

func (m *metrics) committed(flow string, c chunk.Chunk, took time.Duration) {
	m.bytes.WithLabelValues(flow).Add(float64(c.Bytes))
	m.chunkSeconds.WithLabelValues(flow).Observe(took.Seconds())
}

func (m *metrics) copied(flow string, p chunk.Partition, records int64, newest int64, now time.Time) {
	m.records.WithLabelValues(flow, p.Topic).Add(float64(records))
	if age := now.Sub(time.UnixMilli(newest)); newest > 0 && age >= 0 {
		m.endToEnd.WithLabelValues(flow).Observe(age.Seconds())
	}
}

func (m *metrics) hole(flow string, p chunk.Partition, offsets int64) {
	m.holes.WithLabelValues(flow, p.Topic).Inc()
	m.holeOffsets.WithLabelValues(flow, p.Topic).Add(float64(offsets))
}

func (m *metrics) foreign(flow string, p chunk.Partition) {
	m.foreigns.WithLabelValues(flow, p.Topic).Inc()
}

// collector reads the state of the engine's flows at each scrape.
type collector struct {
	engine *Engine

	lagRecords, lagSeconds, progress, stopped, partitions *prometheus.Desc
	shards, lane, groupLag, groupAge, groupPositions      *prometheus.Desc
	groupDeleted                                          *prometheus.Desc
}

func newCollector(e *Engine) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("replicator_"+name, help, append([]string{"flow"}, labels...), nil)
	}
	return &collector{
		engine: e,
		lagRecords: desc("lag_records", "Source offsets up to the last stable one that are not on the target yet; "+
			"left out while the source has never told.", "topic", "partition"),
		lagSeconds: desc("lag_seconds", "Time since the partition was last seen caught up; 0 when it is; "+
			"grows while the source does not answer.", "topic", "partition"),
		progress:   desc("progress_offset", "Next source offset to fetch.", "topic", "partition"),
		stopped:    desc("partitions_stopped", "Partitions that are not copied, by kind of reason.", "kind"),
		partitions: desc("partitions", "Partitions that this process copies."),
		shards:     desc("shards_owned", "Shards that this process owns."),
		lane:       desc("lane_info", "Always 1: the lane that the flow's records take, and why.", "lane", "why"),
		groupLag: desc("group_lag_records", "Target offsets between a group's position and the end, summed by topic.",
			"group", "topic"),
		groupDeleted: desc("group_unread_deleted_records", "Records that were deleted on the target before the group "+
			"read them, and that the source still holds, summed by topic.", "group", "topic"),
		groupAge:       desc("group_sync_age_seconds", "Time since the groups were last compared with success."),
		groupPositions: desc("group_positions", "Group positions, by what the last comparison made of them.", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lagRecords, c.lagSeconds, c.progress, c.stopped, c.partitions,
		c.shards, c.lane, c.groupLag, c.groupDeleted, c.groupAge, c.groupPositions} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now := time.Now()
	for _, f := range c.engine.running() {
		state := f.look()
		gauge(c.shards, float64(state.Shards), f.name)
		lane, why := f.cfg.LaneInUse()
		gauge(c.lane, 1, f.name, string(lane), why)
		stopped, copied := map[string]int{}, 0
		for _, p := range state.Partitions {
			labels := []string{f.name, p.Partition.Topic, itoa(p.Partition.Number)}
			if p.Progress != unknownProgress {
				gauge(c.progress, float64(p.Progress), labels...)
			}
			if p.Behind >= 0 {
				gauge(c.lagRecords, float64(p.Behind), labels...)
			}
			if !p.Since.IsZero() {
				gauge(c.lagSeconds, p.BehindFor(now).Seconds(), labels...)
			}
			if p.Stop != nil {
				stopped[p.Stop.Kind]++
			} else if p.Copying {
				copied++
			}
		}
		gauge(c.partitions, float64(copied), f.name)
		for kind, n := range stopped {
			gauge(c.stopped, float64(n), f.name, kind)
		}
		if state.Synced.IsZero() {
			continue
		}
		gauge(c.groupAge, now.Sub(state.Synced).Seconds(), f.name)
		for _, kind := range groups.Kinds() {
			gauge(c.groupPositions, float64(state.GroupKinds[kind]), f.name, string(kind))
		}
		for key, behind := range state.GroupLag {
			gauge(c.groupLag, float64(behind), f.name, key.Group, key.Topic)
		}
		for key, records := range state.GroupDeleted {
			gauge(c.groupDeleted, float64(records), f.name, key.Group, key.Topic)
		}
	}
}
