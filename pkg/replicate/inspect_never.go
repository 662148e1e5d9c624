package replicate

import (
	"context"
	"fmt"

	"replicator/pkg/replicate/kafka"
)

// neverRan tells of a flow without a ledger, and whether its clusters look exchanged; fix is what to do if they are
// not.
func (i *Inspection) neverRan(ctx context.Context, fix string) *kafka.Problem {
	p := &kafka.Problem{What: fmt.Sprintf("flow %s has never run: there is no ledger %s on cluster %s", i.cfg.Name(),
		i.cfg.LedgerTopic(), i.cfg.To), Fix: fix}
	seen, err := describe(ctx, i.source, i.sourceCluster, nil)
	if err != nil { // what is known holds all the same
		return p
	}
	turned := i.cfg
	turned.From, turned.To = i.cfg.To, i.cfg.From
	turned.SourcePrefix, turned.TargetPrefix = i.cfg.TargetPrefix, i.cfg.SourcePrefix
	for _, ledger := range []string{turned.LedgerTopic(), i.cfg.LedgerTopic()} {
		if _, there := seen.topics[ledger]; there {
			p.What += fmt.Sprintf("; its source, cluster %s, holds ledger %s", i.cfg.From, ledger)
			p.Fix = "are from and to of the flow exchanged, or do bootstrap.servers lead to each other's cluster? Then set " +
				"them right. Else " + fix
			break
		}
	}
	return p
}
