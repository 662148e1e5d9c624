package shard

import (
	"context"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// trimEvery is how often maps are compared with the starts of the logs.
const trimEvery = 10 * time.Minute

// trimmer keeps maps from growing for ever.
type trimmer struct {
	flow         *Flow
	book         *ledger.Shard
	assigned     *assignment
	transactions *transactions

	trimmed time.Time // when maps were last compared with the logs' starts
}

func (t *trimmer) due() bool { return time.Since(t.trimmed) >= trimEvery }

// trim forgets the segments of maps that lie wholly below what both logs still
// hold: nobody can ask for them.
func (t *trimmer) trim(ctx context.Context) error {
	t.trimmed = time.Now()
	var sources, targets []string
	for p, r := range t.assigned.routes {
		if len(t.book.State(r.key).Map.Heads()) > 0 {
			sources, targets = append(sources, p.Topic), append(targets, r.topic.Target)
		}
	}
	slices.Sort(sources)
	slices.Sort(targets)
	source, err := t.flow.SourceOffsets.Earliest(ctx, slices.Compact(sources))
	if err != nil {
		return err
	}
	target, err := t.flow.TargetOffsets.Earliest(ctx, slices.Compact(targets))
	if err != nil {
		return err
	}
	var changes []ledger.Change
	for p, r := range t.assigned.routes {
		state := t.book.State(r.key)
		from, ok := source[p]
		to, known := target[chunk.Partition{Topic: r.topic.Target, Number: p.Number}]
		if !ok || !known || from.Err != nil || to.Err != nil {
			continue
		}
		starts := &ledger.LogStarts{Source: offsets.Source(from.Offset), Target: offsets.Target(to.Offset)}
		if len(state.Map.Clone().Trim(starts.Source, starts.Target)) > 0 {
			changes = append(changes, ledger.Change{Key: r.key, Header: state.Header, Trim: starts})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	prepared, err := t.book.Prepare(changes)
	if err != nil {
		return err
	}
	return t.transactions.write(ctx, prepared)
}
