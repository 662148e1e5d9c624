package replicate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
)

// collector reads the state of the engine's flows at each scrape.
type collector struct {
	engine *Engine

	lagRecords, lagSeconds, lagUnknown, progress      *prometheus.Desc
	stopped, partitions, shards, lane                 *prometheus.Desc
	groupLag, groupAge, groupPositions, cluster, info *prometheus.Desc
	groupDeleted, shareGroups, groupLeft, differing   *prometheus.Desc
	rpo, riskRecords, riskBytes                       *prometheus.Desc
	sourceSeen, openPartitions, openSeconds           *prometheus.Desc
	bound, throttled                                  *prometheus.Desc
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
		progress: desc("progress_offset", "Next source offset to fetch.", "topic", "partition"),
		rpo: desc("rpo_seconds", "Age of the oldest record that would be lost if the source were lost now, at most; 0 where "+
			"none would; grows while the source or the shard does not answer; left out while it is not known.", "topic"),
		riskRecords: desc("at_risk_records", "Source offsets that are not on the target yet, those behind open transactions "+
			"among them: at most that many records would be lost; left out while some are not known.", "topic"),
		riskBytes: desc("at_risk_bytes", "The same in bytes, by the average size of the topic's records that this process "+
			"has copied; left out while it has copied none.", "topic"),
		sourceSeen: desc("source_seen_age_seconds", "Time since the source last told where all partitions of the topic end.",
			"topic"),
		openPartitions: desc("open_transaction_partitions",
			"Partitions on the source in which an open transaction holds back what follows it.", "topic"),
		openSeconds: desc("open_transaction_seconds", "How long the oldest of these has been seen; 0 where there is none.",
			"topic"),
		bound: desc("limit_bytes_per_second",
			"What this process may copy now, its part of the flow's limit by shards; 0: no bound, or no shard."),
		throttled:  desc("throttled_seconds_total", "How long this process has waited for that before it read more."),
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
		groupLeft: desc("group_retention_left_ratio", "Share of the target's retention.ms that is left, at least, until it "+
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
		c.shareGroups, c.groupDeleted, c.groupLeft, c.cluster, c.info, c.differing,
		c.rpo, c.riskRecords, c.riskBytes, c.sourceSeen, c.openPartitions, c.openSeconds, c.bound, c.throttled} {
		ch <- d
	}
}

// gauges sends gauges.
type gauges chan<- prometheus.Metric

func (ch gauges) put(d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// Collect implements prometheus.Collector. What a flow has published once it goes on
// publishing while it is tried again.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	out := gauges(ch)
	out.put(c.info, 1, c.engine.now().Version, c.engine.now().Commit)
	for _, r := range c.engine.reached() {
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
		state := f.observer.state()
		out.put(c.shards, float64(f.Cfg.Shards), f.Name, "expected")
		out.put(c.shards, float64(state.Shards), f.Name, "owned")
		out.put(c.shards, float64(state.Working), f.Name, "working")
		out.put(c.differing, float64(f.replicas.differing.Load()), f.Name)
		out.put(c.bound, f.Pace.Rate(now), f.Name)
		ch <- prometheus.MustNewConstMetric(c.throttled, prometheus.CounterValue, f.Pace.Waited().Seconds(), f.Name)
		lane, why := f.Cfg.LaneInUse()
		out.put(c.lane, 1, f.Name, string(lane), why)
		c.collectPartitions(out, f.Name, &state, now)
		c.collectRisks(out, f.Name, &state, now)
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
	if f.CatchUp && state.Synced.IsZero() {
		return // they come at its end
	}
	last := state.Synced
	if last.IsZero() {
		last = state.Began
	}
	out.put(c.groupAge, now.Sub(last).Seconds(), f.Name)
	for _, kind := range groups.Kinds() {
		out.put(c.groupPositions, float64(state.GroupKinds[kind]), f.Name, string(kind))
	}
	out.put(c.shareGroups, float64(state.ShareGroups), f.Name)
	for key, behind := range state.GroupLag {
		out.put(c.groupLag, float64(behind), f.Name, key.Group, key.Topic)
	}
	for key, s := range state.groupLeft {
		out.put(c.groupLeft, s.Share, f.Name, key.Group, key.Topic)
	}
	for key, records := range state.GroupDeleted {
		out.put(c.groupDeleted, float64(records), f.Name, key.Group, key.Topic)
	}
}
