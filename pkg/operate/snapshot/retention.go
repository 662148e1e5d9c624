package snapshot

import (
	"context"
	"time"

	"replicator/pkg/replicate/listoffsets"
)

// retentionEvery is for how long a viewer remembers what both sides said of their retention.
const retentionEvery = 30 * time.Second

// Retention is how long both sides keep topics, by the names that each side gives them.
type Retention struct {
	asked          time.Time
	Source, Target map[string]listoffsets.Kept
}

// Retention asks both sides for how long they keep the topics of a snapshot, not more often than it is of use.
func (v *Viewer) Retention(ctx context.Context, snap *Snapshot) (Retention, error) {
	if time.Since(v.retention.asked) < retentionEvery {
		return v.retention, nil
	}
	var targets []string
	for _, topic := range snap.Topics {
		if name, _ := v.Policy.Topic(topic); snap.Target.Topics[name].Partitions > 0 {
			targets = append(targets, name)
		}
	}
	now := Retention{asked: time.Now()}
	var err error
	asking, cancel := Bounded(ctx, v)
	defer cancel()
	switch now.Source, err = v.SourceOffsets.Kept(asking, snap.Topics); {
	case err != nil && Tolerant(v) && ctx.Err() == nil:
		now.Source = make(map[string]listoffsets.Kept, len(snap.Topics))
		for _, topic := range snap.Topics {
			now.Source[topic] = listoffsets.Kept{Err: err}
		}
	case err != nil:
		return now, err
	}
	if now.Target, err = v.TargetOffsets.Kept(ctx, targets); err != nil {
		return now, err
	}
	v.retention = now
	return now, nil
}
