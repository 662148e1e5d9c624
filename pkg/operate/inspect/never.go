package inspect

import (
	"context"
	"fmt"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
)

// TakeRan looks at a flow that has run, as [snapshot.Viewer.Take] does: its ledger can be read, and knows something.
// fix is what to do if it has never run.
func TakeRan(ctx context.Context, v *snapshot.Viewer, wanted func(topic string) bool, replicas bool, fix string) (
	*snapshot.Snapshot, error) {
	snap, err := v.Take(ctx, wanted, replicas)
	if err == nil {
		err = snap.LedgerErr
	}
	if err == nil && len(snap.Books) == 0 {
		err = NeverRan(ctx, v, fix)
	}
	if err != nil {
		return nil, err
	}
	return snap, nil
}

// NeverRan tells of a flow without a ledger, and whether its clusters look exchanged; fix is what to do if they are
// not.
func NeverRan(ctx context.Context, v *snapshot.Viewer, fix string) *kafka.Problem {
	p := &kafka.Problem{What: fmt.Sprintf("flow %s has never run: there is no ledger %s on cluster %s", v.Flow.Name(),
		v.Flow.LedgerTopic(), v.Flow.To), Fix: fix}
	seen, err := kafka.Describe(ctx, v.SourceClient, v.SourceCluster, nil)
	if err != nil { // what is known holds all the same
		return p
	}
	exchanged := v.Flow
	exchanged.From, exchanged.To = v.Flow.To, v.Flow.From
	exchanged.SourcePrefix, exchanged.TargetPrefix = v.Flow.TargetPrefix, v.Flow.SourcePrefix
	for _, ledger := range []string{exchanged.LedgerTopic(), v.Flow.LedgerTopic()} {
		if _, there := seen.Topics[ledger]; there {
			p.What += fmt.Sprintf("; its source, cluster %s, holds ledger %s", v.Flow.From, ledger)
			p.Fix = "are from and to of the flow exchanged, or do bootstrap.servers lead to each other's cluster? Then set " +
				"them right. Else " + fix
			break
		}
	}
	return p
}
