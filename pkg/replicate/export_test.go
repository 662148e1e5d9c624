package replicate

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/shard"
)

// GroupsEvery spaces the looks at groups at the end of a one-off copy.
const GroupsEvery = groupsEvery

// SettleGroups is what a one-off copy of the only flow does at its end, in a process that owns that many shards, none
// of which has a session. It returns the positions that are not right.
func SettleGroups(ctx context.Context, o Options, shards int, goal map[chunk.Partition]offsets.Source) ([]string,
	error) {
	o.Log = slog.New(slog.DiscardHandler)
	f := newFlow(&o, New(o).metrics, o.Flows[0], nil, newMemory())
	defer f.close()
	if err := f.open(); err != nil {
		return nil, err
	}
	for number := range shards {
		f.workers.byShard[number] = &running{Worker: shard.New(f.Flow, number)}
	}
	return f.catchUp().settleGroups(ctx, goal, nil)
}

// ProgressNow is that of the only flow.
func (e *Engine) ProgressNow() map[chunk.Partition]published.Route {
	return e.present()[0].workers.copying()
}

// Alarm tells the workers of the only flow where the source's logs end.
func (e *Engine) Alarm(progress map[chunk.Partition]published.Route, stable listoffsets.Offsets) {
	e.present()[0].workers.alarm(progress, stable)
}
