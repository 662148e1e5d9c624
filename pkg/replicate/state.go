package replicate

import (
	"maps"
	"strconv"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/retention"
	"replicator/pkg/replicate/shard"
)

// FlowState is what this process knows of one flow, for metrics, health and
// progress. It covers the shards that the process owns.
type FlowState struct {
	Flow       string
	Shards     int // that it owns
	Working    int // of them, those that are at work
	Began      time.Time
	Partitions []PartitionState
	Synced     time.Time // when the groups were last compared with success; zero: not yet
	GroupKinds map[groups.Kind]int
	// ShareGroups counts those that the flow's patterns choose; nothing of theirs can follow.
	ShareGroups int
	GroupLag    map[retention.GroupTopic]int64
	// GroupDeleted counts the records that were deleted on the target before the group read them, and that the source
	// still holds.
	GroupDeleted map[retention.GroupTopic]int64
	groupShelves map[retention.GroupTopic]retention.Left
}

// PartitionState is one partition as its worker shows it.
type PartitionState struct {
	Partition chunk.Partition
	State     partition.State // Unseen: its shard is not at work
	Progress  offsets.Source  // -1 while the shard has not read it from the ledger
	End       offsets.Source  // the source's last stable offset, as it was told last
	Reported  time.Time       // when that was; zero: never
	Behind    int64           // source offsets, as they were known last; -1 while Progress or End has never been known
	Since     time.Time       // when it was last seen caught up, or first seen; zero: not looked at yet
	Stop      *chunk.Stop     // why it is not copied
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

// shown is what the workers of this process show of their partitions. Those that
// a worker does not show at the moment, between two sessions, are among them, and
// those of shards that were lost with the membership, as long as it is not had again.
func (f *flow) shown() map[chunk.Partition]shard.PublishedRoute {
	all := map[chunk.Partition]shard.PublishedRoute{}
	workers := f.ownWorkers()
	own := make(map[int]bool, len(workers))
	for _, w := range workers {
		own[w.Shard] = true
	}
	for _, t := range f.Topology.Now() {
		for n := range t.Partitions {
			p := chunk.Partition{Topic: t.Source, Number: int32(n)}
			if own[p.Shard(f.Cfg.Shards)] {
				all[p] = shard.PublishedRoute{Next: unknownProgress}
			}
		}
	}
	for _, w := range workers {
		maps.Copy(all, w.Published.Known())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.present.Load() {
		clear(f.lost) // what was not given again is another's
	}
	for _, routes := range f.lost {
		for p, r := range routes {
			r.State = partition.Unseen
			all[p] = r
		}
	}
	return all
}

// look takes a picture of the flow.
func (f *flow) look() FlowState {
	workers := f.ownWorkers()
	s := FlowState{Flow: f.Name, Shards: len(workers)}
	for _, w := range workers {
		if w.Published.Working() {
			s.Working++
		}
	}
	shown := f.shown()
	f.mu.Lock()
	lags, synced := f.lags, f.synced
	s.Began = f.since
	s.groupShelves = f.shelves
	f.mu.Unlock()
	for p, r := range shown {
		l := lags[p]
		one := PartitionState{
			Partition: p, State: r.State, Progress: r.Next, End: l.end, Reported: l.told, Behind: -1,
			Since: l.since, Stop: r.Stop,
		}
		if !l.told.IsZero() && r.Next != unknownProgress {
			one.Behind = max(int64(l.end-r.Next), 0)
		}
		s.Partitions = append(s.Partitions, one)
	}
	s.ShareGroups = synced.report.Shares
	s.Synced, s.GroupKinds, s.GroupLag = synced.at, synced.report.Kinds, synced.lag
	s.GroupDeleted = synced.deleted
	return s
}

// progress tells how far a one-off copy is.
func (f *flow) progress() chunk.Progress {
	p := chunk.Progress{Records: f.Copied.Load(), Bytes: f.CopiedBytes.Load()}
	goals := f.Goal.Now()
	for _, w := range f.ownWorkers() {
		for partition, shown := range w.Published.Routes() {
			goal, ok := goals[partition]
			if !ok || shown.Began < 0 {
				continue
			}
			p.Goal += max(int64(goal-shown.Began), 0)
			p.Done += max(int64(min(shown.Next, goal)-shown.Began), 0)
		}
	}
	return p
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
