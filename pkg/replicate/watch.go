package replicate

import (
	"context"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
)

// watchEvery is how often the source's ends are looked at.
const watchEvery = time.Second

// lag is how far one partition's copy is behind the source.
type lag struct {
	end    offsets.Source // the source's last stable offset
	behind int64          // offsets between progress and end
	since  time.Time      // when it was last seen caught up, or first seen at all
}

// syncState is the outcome of the last round of the group sync.
type syncState struct {
	at     time.Time // zero: none has succeeded yet
	report groups.Report
	lag    map[GroupTopic]int64
}

// watch measures the lag of the partitions that this process owns, against the
// last stable offsets that the source tells now.
func (f *flow) watch(ctx context.Context) error {
	var names []string
	for _, t := range f.topologyNow() {
		names = append(names, t.Source)
	}
	stable, err := f.sourceMarks.Stable(ctx, names)
	if err != nil {
		return err
	}
	now := time.Now()
	lags := map[chunk.Partition]lag{}
	for _, w := range f.owned() {
		for p, shown := range w.shown.snapshot() {
			mark, ok := stable[p]
			if !ok || mark.Err != nil {
				continue
			}
			lags[p] = lag{end: offsets.Source(mark.Offset), behind: max(mark.Offset-int64(shown.next), 0), since: now}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, l := range lags {
		if before, ok := f.lags[p]; ok && l.behind > 0 {
			l.since = before.since
			lags[p] = l
		}
	}
	f.lags = lags
	return nil
}

// syncGroups makes one round for the partitions that this process owns.
func (f *flow) syncGroups(ctx context.Context) error {
	mine := func(p chunk.Partition) bool {
		w := f.worker(p)
		return w != nil && w.shown.knows(p)
	}
	report, err := f.groups.Sync(ctx, mine, f.takeEnds,
		func(p chunk.Partition, s offsets.Source, position *offsets.Target) groups.Answer {
			return f.translate(ctx, p, s, position)
		})
	if err != nil {
		return err
	}
	behind := map[GroupTopic]int64{}
	for i := range report.Positions {
		at := &report.Positions[i]
		target, _ := f.policy.Topic(at.Partition.Topic)
		end := f.ends.stable[chunk.Partition{Topic: target, Number: at.Partition.Number}]
		if at.After >= 0 && end.Err == nil {
			behind[GroupTopic{at.Group, target}] += max(end.Offset-int64(at.After), 0)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = syncState{at: time.Now(), report: report, lag: behind}
	return nil
}
