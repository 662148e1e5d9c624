package replicate

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// GroupsEvery spaces the looks at groups at the end of a one-off copy.
const GroupsEvery = groupsEvery

// SettleGroups is what a one-off copy of the only flow does at its end, in a process that owns that many shards, none of
// which has a session. It returns the positions that are not right.
func SettleGroups(ctx context.Context, o Options, shards int, goal map[chunk.Partition]offsets.Source) ([]string, error) {
	cfg := o.Flows[0]
	discard := slog.New(slog.DiscardHandler)
	f := &flow{baseLog: discard, onlook: o.Onlook, shared: &shared{
		cfg: cfg, name: cfg.Name(), once: true, metrics: New(o).metrics, log: discard,
		source: o.Clusters[cfg.From], target: o.Clusters[cfg.To]}}
	f.init()
	defer f.close()
	if err := f.open(); err != nil {
		return nil, err
	}
	for number := range shards {
		f.workers[number] = &running{worker: newWorker(f.shared, number)}
	}
	return f.settleGroups(ctx, goal, nil)
}
