package main

// What is left of a flow, and what its groups have left on the target.
const (
	left      = "flow:replicator_lag_records:sum"
	groupLeft = "sum by (flow, group) (replicator_group_lag_records)"
)

// migration is the board of the hours of a move: what is left, and when it is over.
func migration() board {
	return board{
		uid: "replicator-migration", title: "Replicator: a migration", from: "now-3h",
		says:  "The hours of a move: what is left to copy, when that is over, and what is in the way of the cutover.",
		other: "replicator-mirror", otherTitle: "A mirror",
		rows: []row{
			{"What is left", whatIsLeft()}, {"How it goes", progress()}, {"Groups", moving()}, {"Cutover", cutover()},
		},
	}
}

func whatIsLeft() []panel {
	return []panel{
		{look: number, title: "Records left", unit: "short",
			says:    "Source offsets that are not on the target yet, markers of transactions among them.",
			queries: []query{q("sum("+left+")", "")}},
		{look: number, title: "Bytes left", unit: "bytes",
			says: "The same in bytes, by the average size of a topic's records. A topic of which nothing was copied is " +
				"left out.",
			queries: []query{q("sum(replicator_at_risk_bytes)", "")}},
		{look: number, title: "Copied", unit: "percentunit",
			says:    "Of the most that was left in the time shown; for the whole move, have the board begin where it began.",
			queries: []query{q("1 - sum("+left+") / clamp_min(max_over_time(sum("+left+")[$__range:]), 1)", "")}},
		{look: number, title: "Copied a second", unit: "suffix: /s",
			says:    "Records committed on the target, over the last 5 min.",
			queries: []query{q("sum(flow:replicator_records:rate5m)", "")}},
		{look: number, title: "Time left", unit: "s", text: map[string]string{"Infinity": "it does not grow less"},
			says: "If what is left goes on growing less as in the last 10 min, with all that is still written to the " +
				"source. 0: caught up.",
			queries: []query{q("(sum("+left+") > 0) / clamp_min(-sum(deriv("+left+"[10m])), 0) or sum("+left+") * 0", "")}},
		{look: number, title: "Partitions caught up", unit: "percentunit",
			says:    "Partitions of which nothing is left, of those that tell.",
			queries: []query{q("avg("+leftOf+" == bool 0)", "")}},
	}
}

func progress() []panel {
	return []panel{
		{title: "Left over time", unit: "short", says: "Source offsets that are not on the target yet.",
			queries: []query{q(left, "{{flow}}")}},
		{title: "Written and copied", unit: "suffix: /s",
			says: "Offsets a second that are written to the source, and that are copied, over 5 min. The move ends where the " +
				"second is more than the first.",
			queries: []query{
				q("sum by (flow) (deriv(replicator_progress_offset[5m])) + sum by (flow) (deriv(replicator_lag_records[5m]))",
					"{{flow}} written"),
				q("sum by (flow) (deriv(replicator_progress_offset[5m]))", "{{flow}} copied")}},
		{title: "Bytes copied", unit: "Bps", says: "Committed on the target, in the batch lane batches as they travel.",
			queries: []query{q("sum by (flow) (rate(replicator_bytes_total[$__rate_interval]))", "{{flow}}")}},
		{look: bars, title: "Ten topics with most left", unit: "short",
			says:    "Source offsets that are not on the target yet.",
			queries: []query{q("topk(10, flow_topic:replicator_lag_records:sum)", "{{flow}} {{topic}}")}},
		{look: bars, title: "Ten partitions with most left", unit: "short",
			says: "One that is far ahead of the others decides when the move ends: more replicas do not help it.",
			queries: []query{q("topk(10, "+leftOf+")",
				"{{flow}} {{topic}}/{{partition}}")}},
		{title: "Time of a commit", unit: "s",
			says: "From the ledger's records to the target's answer: 99 of 100 were faster.",
			queries: []query{
				q("histogram_quantile(0.99, sum by (flow, le) (rate(replicator_commit_seconds_bucket[$__rate_interval])))",
					"{{flow}}")}},
	}
}

func moving() []panel {
	return []panel{
		{look: number, title: "Positions in sync", unit: "percentunit", width: 6,
			says: "Positions of groups that stand on the target where they stand on the source, or where a consumer there has " +
				"put them.",
			queries: []query{q(`sum(replicator_group_positions{kind=~"right|moved|active"}) / `+
				`clamp_min(sum(replicator_group_positions), 1)`, "")}},
		{look: number, title: "Groups drained", unit: "percentunit", width: 6,
			says: "Groups that have read all that is on the target. With nothing left to copy, they have read all that is " +
				"on the source; 'replicator drained' makes sure.",
			queries: []query{q("avg("+groupLeft+" == bool 0)", "")}},
		{look: number, title: "Groups not drained", unit: "short", width: 6,
			says:    "How many groups have not read all that is on the target.",
			queries: []query{q("sum("+groupLeft+" > bool 0)", "")}},
		{look: number, title: "Positions that wait for records", unit: "short", width: 6,
			says:    "They point to records that are not copied yet, and follow once these are.",
			queries: []query{q(`sum(replicator_group_positions{kind="not_copied_yet"})`, "")}},
		{title: "Positions", unit: "short", width: 12,
			says:    "Group positions by what the last comparison made of them; docs/metrics.md explains each.",
			queries: []query{q("sum by (flow, kind) (replicator_group_positions)", "{{flow}} {{kind}}")}},
		{look: bars, title: "Ten groups with most to read", unit: "short", width: 12,
			says:    "Target offsets between a group's position and the end, of all its topics.",
			queries: []query{q("topk(10, "+groupLeft+")", "{{flow}} {{group}}")}},
	}
}

func cutover() []panel {
	return []panel{
		{look: bars, title: "In the way of a cutover", unit: "short", width: 12, red: of(1.0),
			says: "Each ought to be 0 before applications move.",
			queries: []query{q("sum("+left+")", "records left to copy"),
				q("sum(replicator_lag_unknown_partitions)", "partitions of which it is not known"),
				q("sum(replicator_partitions_stopped)", "partitions stopped or paused"),
				q("sum(replicator_open_transaction_partitions)", "partitions behind an open transaction"),
				q(`sum(replicator_group_positions{kind=~"refused|on_both_sides|beyond_source_end|stopped_before_foreign"})`,
					"positions of groups that cannot follow"),
				q("sum(replicator_group_unread_deleted_records) or vector(0)", "records deleted before a group read them"),
				q("sum(replicator_share_groups)", "share groups, which have no position that could follow")}},
		{look: words, title: "Then", width: 12, says: "`replicator plan -c FILE` tells what a move reckons with, and " +
			"`replicator drained -c FILE` whether groups have read all that is on the source.\n\n`replicator cutover -c FILE` " +
			"waits until nobody writes to the source, what is left is copied and every group stands on the target; it can be " +
			"killed and given again at any step. `--dry-run` says what is in its way. `replicator rollback` goes back.\n\n" +
			"The daemon may go on after a cutover: it has nothing to copy, and what is left stays 0."},
	}
}
