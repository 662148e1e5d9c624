package preflight

import (
	"context"
	"fmt"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/txlimit"
)

// planReplicas tells what the replicas that run already are to a run with this configuration.
func planReplicas(i *snapshot.Viewer, plan *FlowPlan, list []snapshot.Replica) {
	members := make([]owner.Member, len(list))
	for j := range list {
		members[j] = list[j].AsMember
	}
	if err := peers.Strangers(&i.Flow, members); err != nil {
		plan.Problems = append(plan.Problems, err)
		return
	}
	if text := snapshot.OtherRules(list); text != "" {
		plan.Warnings = append(plan.Warnings, text+": "+peers.MixedRemedy)
	}
}

// planNames adds what becomes of patterns, and of groups that do not follow.
func planNames(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot, plan *FlowPlan) error {
	names, err := i.Groups.Names(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	plan.LeftOut = inspect.LeftOutNames(i, seen.Source, names, seen.Held)
	for _, m := range inspect.FileMatches(i, seen.Source, names) {
		switch {
		case m.Kind == policy.Groups && err != nil: // that they cannot be listed is a problem of its own
		case m.Nothing():
			plan.Warnings = append(plan.Warnings, m.Error()+"; "+m.Remedy())
		case m.Hint() != "":
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s: %s", m.Where, m.Hint()))
		}
	}
	return nil
}

// planLimits tells what the target says of transactions.
func planLimits(ctx context.Context, i *snapshot.Viewer, plan *FlowPlan) error {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	found, err := i.TargetCluster.Limits(ctx, i.TargetClient)
	if err != nil {
		return err
	}
	plan.Problems = append(plan.Problems, found.Problems...)
	if err := txlimit.Fits(&i.Flow, found.Transaction); err != nil {
		plan.Problems = append(plan.Problems, err)
	} else if said := txlimit.Shortened(&i.Flow, found.Transaction); said != "" {
		plan.Warnings = append(plan.Warnings, said)
	}
	return nil
}
