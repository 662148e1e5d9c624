package replicate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/wire"
)

// metrics are the counters that the engine moves; what can be read off its state
// is collected at each scrape instead, see collect.go. Labels come from bounded
// sets: flows, topics, partitions, groups and kinds.
type metrics struct {
	records, bytes, commits, retries       *prometheus.CounterVec
	rebuilt, leftOut                       *prometheus.CounterVec
	failures, holes, holeOffsets, foreigns *prometheus.CounterVec
	events                                 *prometheus.GaugeVec
	cuts, cutOffsets                       *prometheus.CounterVec
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
	last := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "replicator_event_timestamp_seconds",
		Help: "When this process last noted an event of that kind, in Unix time; 0: not since it began."},
		[]string{"flow", "topic", "event"})
	registry.MustRegister(last)
	return &metrics{
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

// errorKinds are the kinds of failure.
func errorKinds() []string {
	return []string{"source_position", "source_connection", "source_ends", "cluster", "ledger", "topics", "groups", "flow",
		"other"}
}

// What has to be noticed although it happens once.
const (
	eventHole    = "hole"
	eventForeign = "foreign_records"
)

func events() []string { return []string{eventHole, eventForeign} }

// born shows the counters of a flow at 0: the first event is an increase then.
func (m *metrics) born(flow string) {
	for _, c := range []*prometheus.CounterVec{m.bytes, m.leftOut, m.commits, m.retries} {
		c.WithLabelValues(flow)
	}
	for _, kind := range errorKinds() {
		m.failures.WithLabelValues(flow, kind)
	}
	for _, why := range []string{wire.OldMagic, wire.LogAppendTime, wire.Holes, wire.Codec, source.ProgressInside,
		source.TooLarge, sink.Small} {
		m.rebuilt.WithLabelValues(flow, why)
	}
}

// bornTopic does the same for one of its topics.
func (m *metrics) bornTopic(flow, topic string) {
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
	m.event(flow, p.Topic, eventHole)
}

func (m *metrics) cut(flow string, p chunk.Partition, cut *ledger.Cut) {
	m.cuts.WithLabelValues(flow, p.Topic, sideOf(cut)).Inc()
	m.cutOffsets.WithLabelValues(flow, p.Topic, sideOf(cut)).Add(float64(cut.Copied - cut.At))
}

func (m *metrics) foreign(flow string, p chunk.Partition) {
	m.foreigns.WithLabelValues(flow, p.Topic).Inc()
	m.event(flow, p.Topic, eventForeign)
}

// event notes the time of what an alert has to see although it is over at once, and
// perhaps before a counter is read for the first time.
func (m *metrics) event(flow, topic, event string) {
	m.events.WithLabelValues(flow, topic, event).SetToCurrentTime()
}

// collector reads the state of the engine's flows at each scrape.
type collector struct {
	engine *Engine

	lagRecords, lagSeconds, lagUnknown, progress      *prometheus.Desc
	stopped, partitions, shards, lane                 *prometheus.Desc
	groupLag, groupAge, groupPositions, cluster, info *prometheus.Desc
	groupDeleted, shareGroups, groupShelf, differing  *prometheus.Desc
}

func newCollector(e *Engine) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("replicator_"+name, help, append([]string{"flow"}, labels...), nil)
	}
	return &collector{
		engine: e,
		lagRecords: desc("lag_records", "Source offsets up to the last stable one that are not on the target yet, "+
			"as they were known last; left out while they have never been.", "topic", "partition"),
		lagSeconds: desc("lag_seconds", "Time since the partition was last seen caught up; 0 when it is; "+
			"grows while one of the clusters does not answer.", "topic", "partition"),
		lagUnknown: desc("lag_unknown_partitions", "Partitions whose lag_records is old or missing: "+
			"the source does not tell their ends, or their shard is not at work."),
		progress:   desc("progress_offset", "Next source offset to fetch.", "topic", "partition"),
		stopped:    desc("partitions_stopped", "Partitions that are not copied, by kind of reason.", "kind"),
		partitions: desc("partitions", "Partitions that this process copies."),
		shards: desc("shards", "Shards: expected are those of the flow, in all processes; owned those that this process "+
			"owns, working those of them that have read the ledger and are at work.", "state"),
		differing: desc("replicas_differing",
			"Replicas of the flow whose rules are not those of this process: what only some choose may be copied by nobody."),
		lane: desc("lane_info", "Always 1: the lane that the flow's records take, and why.", "lane", "why"),
		groupLag: desc("group_lag_records", "Target offsets between a group's position and the end, summed by topic.",
			"group", "topic"),
		groupDeleted: desc("group_unread_deleted_records", "Records that were deleted on the target before the group "+
			"read them, and that the source still holds, summed by topic.", "group", "topic"),
		groupShelf: desc("group_retention_left_ratio", "Share of the target's retention.ms that is left, at least, until it "+
			"may delete the first record that the group has not read: 0.5 (or more), 0.25, 0.125, 0.03125 or 0; left out "+
			"where nothing is unread, or records are kept for ever.", "group", "topic"),
		groupAge: desc("group_sync_age_seconds", "Time since the groups were last compared with success, in all shards "+
			"of this process; before the first time, since its start."),
		shareGroups: desc("share_groups", "Share groups (KIP-932) on the source that the flow's patterns choose: they have "+
			"no position that could follow."),
		groupPositions: desc("group_positions", "Group positions, by what the last comparison made of them.", "kind"),
		cluster: prometheus.NewDesc("replicator_cluster_up", "Whether the cluster answers this process: 1, or 0.",
			[]string{"cluster"}, nil),
		info: prometheus.NewDesc("replicator_build_info", "Always 1: the program that runs.",
			[]string{"version", "commit"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lagRecords, c.lagSeconds, c.lagUnknown, c.progress, c.stopped, c.partitions,
		c.shards, c.lane, c.groupLag, c.groupAge, c.groupPositions,
		c.shareGroups, c.groupDeleted, c.groupShelf, c.cluster, c.info, c.differing} {
		ch <- d
	}
}

// gauges sends gauges.
type gauges chan<- prometheus.Metric

func (ch gauges) put(d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// Collect implements prometheus.Collector. What a flow has once shown it goes on
// showing while it is tried again.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	out := gauges(ch)
	out.put(c.info, 1, c.engine.options.Version, c.engine.options.Commit)
	for _, r := range c.engine.reaches {
		if up, known := r.state(); known {
			value := 0.0
			if up {
				value = 1
			}
			out.put(c.cluster, value, r.cluster.Name)
		}
	}
	now := time.Now()
	for _, f := range c.engine.present() {
		state := f.look()
		out.put(c.shards, float64(f.cfg.Shards), f.name, "expected")
		out.put(c.shards, float64(state.Shards), f.name, "owned")
		out.put(c.shards, float64(state.Working), f.name, "working")
		out.put(c.differing, float64(f.differing.Load()), f.name)
		lane, why := f.cfg.LaneInUse()
		out.put(c.lane, 1, f.name, string(lane), why)
		c.collectPartitions(out, f.name, &state, now)
		c.collectGroups(out, f, &state, now)
	}
}

func (c *collector) collectPartitions(out gauges, flow string, state *FlowState, now time.Time) {
	stopped, copied, unknown := map[string]int{}, 0, 0
	for i := range state.Partitions {
		p := &state.Partitions[i]
		labels := []string{flow, p.Partition.Topic, itoa(p.Partition.Number)}
		if p.Progress != unknownProgress {
			out.put(c.progress, float64(p.Progress), labels...)
		}
		if p.Behind >= 0 {
			out.put(c.lagRecords, float64(p.Behind), labels...)
		}
		if !p.Fresh(now) {
			unknown++
		}
		if !p.Since.IsZero() {
			out.put(c.lagSeconds, p.BehindFor(now).Seconds(), labels...)
		}
		if p.Stop != nil {
			stopped[p.Stop.Kind]++
		} else if p.State == partition.Copying {
			copied++
		}
	}
	out.put(c.lagUnknown, float64(unknown), flow)
	out.put(c.partitions, float64(copied), flow)
	for _, kind := range chunk.StopKinds() {
		out.put(c.stopped, float64(stopped[kind]), flow, kind)
	}
}

func (c *collector) collectGroups(out gauges, f *flow, state *FlowState, now time.Time) {
	if f.once && state.Synced.IsZero() {
		return // they come at its end
	}
	last := state.Synced
	if last.IsZero() {
		last = state.Began
	}
	out.put(c.groupAge, now.Sub(last).Seconds(), f.name)
	for _, kind := range groups.Kinds() {
		out.put(c.groupPositions, float64(state.GroupKinds[kind]), f.name, string(kind))
	}
	out.put(c.shareGroups, float64(state.ShareGroups), f.name)
	for key, behind := range state.GroupLag {
		out.put(c.groupLag, float64(behind), f.name, key.Group, key.Topic)
	}
	for key, s := range state.groupShelves {
		out.put(c.groupShelf, s.Share, f.name, key.Group, key.Topic)
	}
	for key, records := range state.GroupDeleted {
		out.put(c.groupDeleted, float64(records), f.name, key.Group, key.Topic)
	}
}
