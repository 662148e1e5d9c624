package shard

import (
	"context"
	"fmt"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// foreignRecords looks for records on the target, in partitions of this flow, that it did not write.
type foreignRecords struct {
	flow *Flow
	log  *slog.Logger
	// committed are the keys of which this session has committed records: a write that is not committed ends the
	// session, so whatever else lies behind them now is not ours. It outlives assignments.
	committed map[ledger.Key]bool
}

// between finds out whether [from,to) of the target, which our own markers do not
// explain, holds records that somebody else wrote. Before the transaction's
// first record a committed reader tells; among its records only an uncommitted
// one can read, and what it sees counts even if it is aborted later: a group
// then stops too early rather than too late.
func (f *foreignRecords) between(ctx context.Context, key ledger.Key, topic topics.Mirrored,
	from, to offsets.Target, before bool) ([]offsets.Stretch, error) {
	p := key.Partition
	if f.flow.Writers.CarriesBack(topic.Target) {
		return nil, nil // it began its way there, and goes the other way
	}
	if before && !f.flow.exactlyOnce() && !f.committed[key] {
		return nil, nil // after a crash these may be our own records: at least once, they are there twice
	}
	if before { // below an open transaction of somebody else a committed reader sees nothing yet
		stable, err := f.flow.targetEnd(ctx, topic.Target, p.Number)
		if err != nil {
			return nil, err
		}
		if stable < to {
			return f.found(p, topic.Target, max(stable, from), to), nil
		}
	}
	first, end, found, err := f.flow.Scan.Stretch(ctx, topic.Target, p.Number, from, to, before)
	if err != nil {
		return nil, fmt.Errorf("look for foreign records in %s/%d [%d,%d): %w", topic.Target, p.Number, from, to, err)
	}
	if !found {
		return nil, nil
	}
	return f.found(p, topic.Target, first, end), nil
}

// found reports a stretch of them.
func (f *foreignRecords) found(p chunk.Partition, target string, first, end offsets.Target) []offsets.Stretch {
	f.log.Warn("target partition holds records of somebody else", "partition", p, "target", target,
		"from", first, "to", end,
		"remedy", "find out who writes to the target; groups stop before these records and say so in status")
	f.flow.Metrics.Foreign(f.flow.Name, p)
	return []offsets.Stretch{{From: first, To: end}}
}
