package replicate

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/retention"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/shard"
)

// FlowState is what this process knows of one flow, for metrics, health and
// progress. It covers the shards that the process owns.
type FlowState struct {
	Flow       string
	Shards     int       // that it owns
	Working    int       // of them, those that are at work
	Began      time.Time // this process's first try to run the flow
	Partitions []PartitionState
	Synced     time.Time           // when the groups were last compared with success; zero: not yet
	GroupKinds map[groups.Kind]int // positions and failed groups of the last round, by kind
	// ShareGroups counts those that the flow's patterns choose; nothing of theirs can follow.
	ShareGroups int
	GroupLag    map[retention.GroupTopic]int64
	// GroupDeleted counts the records that were deleted on the target before the group read them, and that the source
	// still holds.
	GroupDeleted map[retention.GroupTopic]int64
	groupLeft    map[retention.GroupTopic]retention.Left
}

// PartitionState is one partition as its worker publishes it.
type PartitionState struct {
	Partition chunk.Partition
	State     partition.State // Unseen: its shard is not at work
	Progress  offsets.Source  // -1 while the shard has not read it from the ledger
	End       offsets.Source  // the source's last stable offset, as it was reported last
	Reported  time.Time       // when that was; zero: never
	Behind    int64           // source offsets, as they were known last; -1 while Progress or End has never been known
	Since     time.Time       // when it was last seen caught up, or first seen; zero: not seen yet
	Stop      *chunk.Stop     // why it is not copied

	Last           seen.End  // where the source's log was last seen to end, open transactions among it
	Held           time.Time // since when an open transaction has held the rest; zero: none does
	Records, Bytes int64     // that its worker has copied
}

// unknownProgress is the Progress of a partition whose shard has just been taken over.
const unknownProgress offsets.Source = -1

// BehindFor is how long the partition has not been seen caught up.
func (p *PartitionState) BehindFor(now time.Time) time.Duration {
	if p.Since.IsZero() || p.Behind == 0 && p.Fresh(now) {
		return 0
	}
	return max(now.Sub(p.Since), 0)
}

// Fresh says whether Behind is that of now: the source tells, and the shard is at work.
func (p *PartitionState) Fresh(now time.Time) bool {
	return p.Behind >= 0 && p.State != partition.Unseen && now.Sub(p.Reported) < StaleAfter
}

// observer is how metrics, health and progress see a flow, whether it is open or not. It may be used by several
// goroutines.
type observer struct {
	flow    *shard.Flow
	workers *workers
	memory  *memory
}

// routes are the partitions of this process as its workers publish them. Those that a
// worker does not publish at the moment, between two sessions, are among them, and
// those of shards that were lost with the membership, as long as it is not had again.
func (o *observer) routes() map[chunk.Partition]published.Route {
	all := map[chunk.Partition]published.Route{}
	lost := o.memory.lostNow(o.workers.present.Load()) // before the workers, who may have such a shard again
	workers := o.workers.list()
	own := make(map[int]bool, len(workers))
	for _, w := range workers {
		own[w.Shard] = true
	}
	for _, t := range o.flow.Topology.Now() {
		for n := range t.Partitions {
			p := chunk.Partition{Topic: t.Source, Number: int32(n)}
			if own[p.Shard(o.flow.Cfg.Shards)] {
				all[p] = published.Route{Next: unknownProgress}
			}
		}
	}
	for _, routes := range lost {
		for p, r := range routes {
			r.State = partition.Unseen
			all[p] = r
		}
	}
	for _, w := range workers {
		maps.Copy(all, w.Published.Known())
	}
	return all
}

// state is what is known of the flow now.
func (o *observer) state() FlowState {
	workers := o.workers.list()
	routes := o.routes()
	known := o.memory.now()
	last := known.groups
	s := FlowState{
		Flow: o.flow.Name, Shards: len(workers), Began: o.memory.began,
		Synced: last.at, GroupKinds: last.report.Kinds, ShareGroups: last.report.Shares,
		GroupLag: last.lag, GroupDeleted: last.deleted, groupLeft: known.left,
	}
	for _, w := range workers {
		if w.Published.Working() {
			s.Working++
		}
	}
	for p, r := range routes {
		l := known.lags[p]
		one := PartitionState{
			Partition: p, State: r.State, Progress: r.Next, End: l.end, Reported: l.reported, Behind: -1,
			Since: l.since, Stop: r.Stop, Last: l.seen(), Held: l.held, Records: r.Records, Bytes: r.Bytes,
		}
		if !l.reported.IsZero() && r.Next != unknownProgress {
			one.Behind = max(int64(l.end-r.Next), 0)
		}
		s.Partitions = append(s.Partitions, one)
	}
	return s
}

// progress tells how far a one-off copy is.
func (o *observer) progress() chunk.Progress {
	p := chunk.Progress{Records: o.flow.Copied.Load(), Bytes: o.flow.CopiedBytes.Load()}
	goals := o.flow.Goal.Now()
	for _, w := range o.workers.list() {
		for partition, r := range w.Published.Routes() {
			goal, ok := goals[partition]
			if !ok || r.Began < 0 {
				continue
			}
			p.Goal += max(int64(goal-r.Began), 0)
			p.Done += max(int64(min(r.Next, goal)-r.Began), 0)
		}
	}
	return p
}

// unready is why the flow has never been at work as a whole in this process.
func (o *observer) unready() error {
	if !o.workers.present.Load() {
		return &kafka.Problem{
			What: fmt.Sprintf("this process is not in group %s on cluster %s yet", o.flow.Cfg.GroupID(), o.flow.Target.Name),
			Fix:  "wait some seconds; if it stays so, look at the log, and at the brokers of that cluster",
		}
	}
	for _, w := range o.workers.list() {
		if read, why := w.Published.Ready(); read {
			continue
		} else if why != nil {
			return fmt.Errorf("shard %d has not read its partition of the ledger yet: %w", w.Shard, why)
		}
		return fmt.Errorf("shard %d has not read its partition of the ledger yet", w.Shard)
	}
	return nil
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
