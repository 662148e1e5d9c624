package replicate

import (
	"strconv"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
)

// FlowState is what this process knows of one flow, for metrics, health and
// progress. It covers the shards that the process owns.
type FlowState struct {
	Flow       string
	Shards     int
	Partitions []PartitionState
	Synced     time.Time // when the groups were last compared with success; zero: not yet
	GroupKinds map[groups.Kind]int
	GroupLag   map[GroupTopic]int64
}

// GroupTopic is a group's positions in one topic.
type GroupTopic struct{ Group, Topic string }

// PartitionState is one partition as its worker shows it.
type PartitionState struct {
	Partition chunk.Partition
	Copying   bool
	Progress  offsets.Source
	End       offsets.Source // the source's last stable offset; 0 while it is not known
	Behind    int64          // source offsets
	Since     time.Time      // when it was last seen caught up
	Stop      *chunk.Stop    // why it is not copied
}

// BehindFor is how long the partition has not been caught up.
func (p *PartitionState) BehindFor(now time.Time) time.Duration {
	if p.Behind == 0 || p.Since.IsZero() {
		return 0
	}
	return now.Sub(p.Since)
}

// look takes a picture of the flow.
func (f *flow) look() FlowState {
	s := FlowState{Flow: f.name}
	workers := f.owned()
	s.Shards = len(workers)
	f.mu.Lock()
	lags, synced := f.lags, f.synced
	f.mu.Unlock()
	for _, w := range workers {
		for p, shown := range w.shown.snapshot() {
			l := lags[p]
			s.Partitions = append(s.Partitions, PartitionState{
				Partition: p, Copying: shown.assigned, Progress: shown.next, End: l.end,
				Behind: max(int64(l.end-shown.next), 0), Since: l.since, Stop: shown.stop,
			})
		}
	}
	s.Synced, s.GroupKinds, s.GroupLag = synced.at, synced.report.Kinds, synced.lag
	return s
}

// progress tells how far a one-off copy is.
func (f *flow) progress() Progress {
	p := Progress{Records: f.copied.Load(), Bytes: f.copiedBytes.Load()}
	f.mu.Lock()
	goals := f.goals
	f.mu.Unlock()
	for _, w := range f.owned() {
		for partition, shown := range w.shown.snapshot() {
			goal, ok := goals[partition]
			if !ok || shown.began < 0 {
				continue
			}
			p.Goal += max(int64(goal-shown.began), 0)
			p.Done += max(int64(min(shown.next, goal)-shown.began), 0)
		}
	}
	return p
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
