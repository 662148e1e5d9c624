package main

// What of replicas that show one partition counts: the better answer.
const (
	lagOfEach = "min by (flow, topic, partition) (replicator_lag_seconds)"
	leftOf    = "min by (flow, topic, partition) (replicator_lag_records)"
)

// mirror is the board of a mirror that runs for years: lag first.
func mirror() board {
	return board{
		uid: "replicator-mirror", title: "Replicator: a mirror", from: "now-6h",
		says: "A mirror that runs for years: how far behind it is, what would be lost with the source, and what is in " +
			"its way.",
		other: "replicator-migration", otherTitle: "A migration",
		rows: []row{
			{"Now", now()}, {"Lag", lag()}, {"What would be lost with the source", risk()}, {"Groups", groups()},
			{"Throughput", throughput()}, {"Commits", commits()}, {"What is in the way", stops()}, {"Replicas", replicas()},
		},
	}
}

func now() []panel {
	return []panel{
		{look: number, title: "Alerts that fire", unit: "short", red: of(1.0),
			says:    "All alerts of replicator, of all flows. 0 also where Prometheus has not loaded deploy/alerts.yaml.",
			queries: []query{q(`count(ALERTS{alertname=~"Replicator.+", alertstate="firing"}) or vector(0)`, "")}},
		{look: number, title: "Lag", unit: "s", red: of(300.0),
			says:    "Time since the partition that is furthest behind was seen caught up.",
			queries: []query{q("max(flow:replicator_lag_seconds:max)", "")}},
		{look: number, title: "RPO", unit: "s", red: of(60.0),
			says:    "Age of the oldest record that would be lost if the source were lost now, at most.",
			queries: []query{q("max(flow:replicator_rpo_seconds:max)", "")}},
		{look: number, title: "Partitions not copied", unit: "short", red: of(1.0),
			says:    "Stopped, for whatever reason, or paused: replicator status tells each reason and what to do.",
			queries: []query{q("sum(replicator_partitions_stopped)", "")}},
		{look: number, title: "Groups compared", unit: "s", red: of(60.0),
			says:    "Time since the positions of all groups were last compared with success.",
			queries: []query{q("max(replicator_group_sync_age_seconds)", "")}},
		{look: number, title: "Replicas", unit: "short", red: of(1.0), low: true, names: []string{"ReplicatorDown"},
			says:    "Processes that answer Prometheus, of all flows.",
			queries: []query{q("count(replicator_build_info) or vector(0)", "")}},
	}
}

func lag() []panel {
	return []panel{
		{title: "Lag by topic", unit: "s", shows: []string{"ReplicatorLag"},
			says: "Time since the partition of the topic that is furthest behind was last seen caught up; the ten worst."},
		{look: bars, title: "Ten worst partitions", unit: "s", red: of(300.0),
			says:    "Lag of the partitions that are furthest behind now.",
			queries: []query{q("topk(10, "+lagOfEach+")", "{{flow}} {{topic}}/{{partition}}")}},
		{title: "Records behind", unit: "short",
			says: "Source offsets up to the last stable one that are not on the target yet, markers among them. Where the " +
				"second line is not 0, that many partitions do not tell theirs, and are counted as they were known last.",
			queries: []query{q("flow:replicator_lag_records:sum", "{{flow}}"),
				q("sum by (flow) (replicator_lag_unknown_partitions)", "{{flow}}: partitions that do not tell")}},
		{title: "End to end", unit: "s",
			says: "Age of records when they were committed on the target, by their own timestamps: half of them, and 99 of " +
				"100, were younger.",
			queries: []query{
				q("histogram_quantile(0.5, sum by (flow, le) (rate(replicator_end_to_end_seconds_bucket[$__rate_interval])))",
					"{{flow}} p50"),
				q("histogram_quantile(0.99, sum by (flow, le) (rate(replicator_end_to_end_seconds_bucket[$__rate_interval])))",
					"{{flow}} p99")}},
		{look: bars, title: "Lag over 30 days", unit: "s", red: of(300.0),
			says: "The lag of each flow, and what it stayed under for 99 % and 99.9 % of the last 30 days, as rules have " +
				"recorded it.",
			queries: []query{q("quantile_over_time(0.99, flow:replicator_lag_seconds:max[30d])", "{{flow}} 99 %"),
				q("quantile_over_time(0.999, flow:replicator_lag_seconds:max[30d])", "{{flow}} 99.9 %"),
				q("max_over_time(flow:replicator_lag_seconds:max[30d])", "{{flow}} most")}},
		{look: bars, title: "RPO over 30 days", unit: "s", red: of(60.0),
			says: "What the RPO of each flow stayed under for 99 % and 99.9 % of the last 30 days, as rules have recorded it.",
			queries: []query{q("quantile_over_time(0.99, flow:replicator_rpo_seconds:max[30d])", "{{flow}} 99 %"),
				q("quantile_over_time(0.999, flow:replicator_rpo_seconds:max[30d])", "{{flow}} 99.9 %"),
				q("max_over_time(flow:replicator_rpo_seconds:max[30d])", "{{flow}} most")}},
	}
}

func risk() []panel {
	return []panel{
		{title: "RPO by topic", unit: "s", shows: []string{"ReplicatorRPO"},
			says: "Age of the oldest record that would be lost if the source were lost now, at most; the ten worst."},
		{title: "Records at risk", unit: "short",
			says: "At most that many records would be lost with the source, those behind open transactions among them.",
			queries: []query{q("sum by (flow) (replicator_at_risk_records)", "{{flow}}"),
				q("topk(10, sum by (flow, topic) (replicator_at_risk_records))", "{{flow}} {{topic}}")}},
		{title: "Bytes at risk", unit: "bytes",
			says: "The same in bytes, by the average size of a topic's records. A topic of which nothing was copied is " +
				"left out.",
			queries: []query{q("sum by (flow) (replicator_at_risk_bytes)", "{{flow}}")}},
		{title: "Silent source", unit: "s", shows: []string{"ReplicatorSourceSilent"},
			says: "Time since the source last told where all partitions of the topic end: what would be lost is not known " +
				"meanwhile."},
		{title: "Open transactions", unit: "s", shows: []string{"ReplicatorOpenTransaction"},
			says: "How long a transaction that is open on the source has held back what follows it, as every reader sees it; " +
				"replicator plan names it."},
		{title: "Partitions held back", unit: "short",
			says:    "Partitions in which an open transaction holds back what follows it.",
			queries: []query{q("sum by (flow) (replicator_open_transaction_partitions)", "{{flow}}")}},
	}
}

func groups() []panel {
	return []panel{
		{title: "Positions", unit: "short",
			says: "Group positions by what the last comparison made of them: 'right' is in sync, 'moved' was just put right, " +
				"'active' belongs to a consumer on the target; docs/metrics.md explains each.",
			queries: []query{q("sum by (flow, kind) (replicator_group_positions)", "{{flow}} {{kind}}")}},
		{title: "Age of the last comparison", unit: "s", shows: []string{"ReplicatorGroupsNotSynced"},
			says: "Time since the positions of all groups were last compared with success."},
		{title: "In the way of groups", unit: "short",
			shows: []string{"ReplicatorGroupsRefused", "ReplicatorSharedGroupOnBothSides"},
			says:  "Positions that may not be read or written, and positions of shared groups that have members on both sides."},
		{look: bars, title: "Ten groups furthest behind", unit: "short",
			says: "Target offsets between a group's position and the end, of all its topics.",
			queries: []query{q("topk(10, sum by (flow, group) (replicator_group_lag_records))",
				"{{flow}} {{group}}")}},
		{title: "Retention left", unit: "percentunit", red: of(0.2), low: true, shows: []string{"ReplicatorRetentionNear"},
			says: "Share of the target's retention that is left until it may delete what a group has not read: 50 % (or " +
				"more),  25 %, 12.5 %, 3 % or 0. A group that has read everything has none."},
		{title: "Deleted before they were read", unit: "short", shows: []string{"ReplicatorGroupLostRecords"},
			says: "Records that the target deleted before the group read them, and that the source still holds."},
	}
}

func throughput() []panel {
	return []panel{
		{title: "Records", unit: "suffix: /s", says: "Records committed on the target.",
			queries: []query{q("sum by (flow) (rate(replicator_records_total[$__rate_interval]))", "{{flow}}")}},
		{title: "Bytes", unit: "Bps",
			says:    "Keys, values and headers committed on the target, in the batch lane batches as they travel.",
			queries: []query{q("sum by (flow) (rate(replicator_bytes_total[$__rate_interval]))", "{{flow}}")}},
		{look: bars, title: "Ten busiest topics", unit: "suffix: /s",
			says:    "Records committed on the target, over the last 5 min.",
			queries: []query{q("topk(10, sum by (flow, topic) (rate(replicator_records_total[5m])))", "{{flow}} {{topic}}")}},
		{title: "Records in 24 h", unit: "short",
			says:    "What was copied in the 24 h before each moment, from what rules have recorded.",
			queries: []query{q("avg_over_time(flow:replicator_records:rate5m[1d]) * 86400", "{{flow}}")}},
		{title: "Bytes in 24 h", unit: "bytes",
			says:    "What was copied in the 24 h before each moment, from what rules have recorded.",
			queries: []query{q("avg_over_time(flow:replicator_bytes:rate5m[1d]) * 86400", "{{flow}}")}},
		{title: "Batches written anew, or left out", unit: "suffix: /s",
			says: "Batches that could not travel as they are stored, by reason, and those left out because the flow in the " +
				"opposite direction had written them.",
			queries: []query{
				q("sum by (flow, reason) (rate(replicator_rebuilt_batches_total[$__rate_interval]))", "{{flow}} {{reason}}"),
				q("sum by (flow) (rate(replicator_left_out_batches_total[$__rate_interval]))", "{{flow}} left out")}},
		{title: "Limit", unit: "Bps", says: "What all replicas together may copy now, by the flow's limits; 0: no bound.",
			queries: []query{q("sum by (flow) (replicator_limit_bytes_per_second)", "{{flow}}")}},
		{title: "Waited for the limit", unit: "percentunit",
			says:    "Share of the time that the replica which waits most has waited before it read more.",
			queries: []query{q("max by (flow) (rate(replicator_throttled_seconds_total[$__rate_interval]))", "{{flow}}")}},
	}
}

func commits() []panel {
	return []panel{
		{title: "Commits", unit: "suffix: /s", says: "Transactions committed on the target.",
			queries: []query{q("sum by (flow) (rate(replicator_commits_total[$__rate_interval]))", "{{flow}}")}},
		{title: "Time of a commit", unit: "s",
			says: "From the ledger's records to the target's answer. What grows here while little is copied is the target's " +
				"transaction coordinator.",
			queries: []query{
				q("histogram_quantile(0.5, sum by (flow, le) (rate(replicator_commit_seconds_bucket[$__rate_interval])))",
					"{{flow}} p50"),
				q("histogram_quantile(0.99, sum by (flow, le) (rate(replicator_commit_seconds_bucket[$__rate_interval])))",
					"{{flow}} p99")}},
		{title: "Time of a chunk", unit: "s",
			says: "From its first record to the end of its commit; commit_interval is a part of it.",
			queries: []query{
				q("histogram_quantile(0.5, sum by (flow, le) (rate(replicator_chunk_seconds_bucket[$__rate_interval])))",
					"{{flow}} p50"),
				q("histogram_quantile(0.99, sum by (flow, le) (rate(replicator_chunk_seconds_bucket[$__rate_interval])))",
					"{{flow}} p99")}},
	}
}

// lastOf is when an event was last noted, of each topic: as alerts ask for it.
func lastOf(event string) string {
	return `max by (flow, topic) (replicator_event_timestamp_seconds{event="` + event + `"})`
}

func stops() []panel {
	return []panel{
		{title: "Partitions not copied", unit: "short", shows: []string{"ReplicatorPartitionStopped"},
			says: "Partitions that are stopped, by kind of reason; replicator status tells each reason and what to do."},
		{title: "Paused", unit: "short", shows: []string{"ReplicatorPausedForLong"},
			says: "Partitions that wait by an operator's word; replicator history tells whose."},
		{title: "Errors and retries", unit: "suffix: /s",
			says: "Failures by kind, and shards that started over after one. All are tried again: what matters is what stays.",
			queries: []query{q("sum by (flow, kind) (rate(replicator_errors_total[$__rate_interval]))", "{{flow}} {{kind}}"),
				q("sum by (flow) (rate(replicator_retries_total[$__rate_interval]))", "{{flow}} shards started over")}},
		{look: number, title: "Last hole", unit: "dateTimeFromNow", width: 6, names: []string{"ReplicatorHole"},
			text:    map[string]string{"0": "not since it began"},
			says:    "When the source was last seen to have deleted records before they were copied.",
			queries: []query{q("1000 * max by (flow) ("+lastOf("hole")+")", "{{flow}}")}},
		{look: number, title: "Offsets in holes", unit: "short", width: 6, red: of(1.0),
			says: "At most that many records were lost in the time shown, because the source deleted them before they " +
				"were copied.",
			queries: []query{q("sum by (flow) (increase(replicator_hole_offsets_total[$__range]))", "{{flow}}")}},
		{look: number, title: "Last foreign records", unit: "dateTimeFromNow", width: 6,
			names: []string{"ReplicatorForeignRecords"}, text: map[string]string{"0": "not since it began"},
			says:    "When somebody else was last seen to write to a topic of ours on the target.",
			queries: []query{q("1000 * max by (flow) ("+lastOf("foreign_records")+")", "{{flow}}")}},
		{look: number, title: "Holes, foreign stretches, cuts", unit: "short", width: 6, red: of(1.0),
			says: "How often in the time shown: records gone before they were copied, records of others on the target, a " +
				"log that was cut before what had been copied.",
			queries: []query{q("sum by (flow) (increase(replicator_holes_total[$__range]))", "{{flow}} holes"),
				q("sum by (flow) (increase(replicator_foreign_stretches_total[$__range]))", "{{flow}} foreign"),
				q("sum by (flow) (increase(replicator_cuts_total[$__range]))", "{{flow}} cuts")}},
	}
}

func replicas() []panel {
	const byProcess = " * on (instance, job) group_left () replicator_build_info"
	return []panel{
		{look: number, title: "Clusters", unit: "short", red: of(1.0), low: true, shows: []string{"ReplicatorClusterAway"},
			text: map[string]string{"0": "away", "1": "answers"}, width: 4,
			says: "Whether each cluster answers every replica, of all flows."},
		{look: number, title: "Shards worked on by nobody", unit: "short", shows: []string{"ReplicatorShardsIdle"}, width: 5,
			says: "Shards of which no replica that Prometheus scrapes has read the ledger and is at work."},
		{look: number, title: "Replicas with other rules", unit: "short", shows: []string{"ReplicatorRulesDiffer"}, width: 5,
			says: "Replicas whose configuration is not that of another: what only some choose may be copied by nobody."},
		{look: number, title: "Configuration", unit: "short", red: of(1.0), low: true, shows: []string{"ReplicatorConfigNotInUse"},
			text: map[string]string{"0": "not in use", "1": "in use"}, width: 5,
			says: "Whether the configuration file of every replica is what runs."},
		{look: number, title: "Configuration taken over", unit: "dateTimeFromNow", width: 5,
			says: "When each replica last took over what its configuration file says.", queries: []query{
				q("max by (instance) (replicator_config_last_reload_success_timestamp_seconds) * 1000", "{{instance}}")}},
		{title: "Shards at work", unit: "short", says: "Shards that each replica works on, and those that it owns.",
			queries: []query{q(`sum by (flow, instance) (replicator_shards{state="working"})`, "{{flow}} {{instance}}"),
				q(`sum by (flow, instance) (replicator_shards{state="owned"})`, "{{flow}} {{instance}} owned")}},
		{title: "Memory", unit: "bytes", says: "Resident memory of each process, and the heap that Go has in use.",
			queries: []query{q("process_resident_memory_bytes"+byProcess, "{{instance}}"),
				q("go_memstats_heap_inuse_bytes"+byProcess, "{{instance}} heap")}},
		{title: "CPU", unit: "short", says: "Processors that each process keeps busy.",
			queries: []query{q("rate(process_cpu_seconds_total[$__rate_interval])"+byProcess, "{{instance}}")}},
		{look: bars, title: "Versions", unit: "short", width: 12, says: "How many replicas run which version.",
			queries: []query{q("count by (version, commit) (replicator_build_info)", "{{version}} {{commit}}")}},
		{look: bars, title: "Lanes", unit: "short", width: 12, says: "The lane that each flow's records take, and why.",
			queries: []query{q("max by (flow, lane, why) (replicator_lane_info)", "{{flow}}: {{lane}}, {{why}}")}},
	}
}
