package preflight

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/txlimit"
)

// planLedger describes the ledger topic, or has the target validate its creation.
func planLedger(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, plan *FlowPlan) error {
	name := plan.Ledger.Topic
	if snap.LedgerErr != nil {
		plan.Problems = append(plan.Problems, snap.LedgerErr)
	}
	topic, there := snap.Target.Topics[name]
	if there {
		if topic.Err == nil {
			plan.Ledger.Exists, plan.Ledger.Shards = true, topic.Partitions
		}
		if topic.Err == nil && !topic.May(kmsg.ACLOperationWrite) {
			plan.Problems = append(plan.Problems, v.TargetCluster.Denied("Write", "topic "+name, nil))
		}
		switch {
		case topic.Err != nil || topic.May(kmsg.ACLOperationDescribeConfigs):
		case !v.Flow.SyncTopicConfigs:
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("whether the ledger topic %s is compacted cannot be asked: see "+
				"to it that its cleanup.policy is compact alone, or it will lose what the flow knows", name))
		default:
			plan.Problems = append(plan.Problems, v.TargetCluster.Denied("DescribeConfigs", "topic "+name, nil))
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	policy := "compact"
	answers, err := kadm.NewClient(v.TargetClient).ValidateCreateTopics(ctx, int32(v.Flow.Shards), 1,
		map[string]*string{"cleanup.policy": &policy}, name)
	if err == nil {
		err = answers[name].Err
	}
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.InvalidReplicationFactor),
		errors.Is(err, kerr.PolicyViolation): // run asks for more replicas and settings
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		problem := v.TargetCluster.Denied("Create", "the cluster or topic "+name, err)
		problem.Fix += fmt.Sprintf("; or create topic %s there by hand, with %d partitions (the shards), compacted and "+
			"without retention", name, v.Flow.Shards)
		plan.Problems = append(plan.Problems, problem)
		return nil
	}
	var said *kerr.Error
	if !errors.As(err, &said) {
		return v.TargetCluster.Explain(err)
	}
	plan.Problems = append(plan.Problems, &kafka.Problem{
		What: fmt.Sprintf("cluster %s would refuse to create the ledger topic %s", v.Flow.To, name),
		Fix:  "name another topic under ledger, or create it by hand: compacted, with as many partitions as shards", Err: err,
	})
	return nil
}

// planRights asks for the rights that show only when a run begins: on the group
// that shares the shards, and on the transactional ids. A right to describe comes
// with the one that is needed; that is all that can be asked without using it.
func planRights(ctx context.Context, v *snapshot.Viewer, plan *FlowPlan) error {
	list, _, err := v.Replicas(ctx)
	if err != nil {
		if !errors.Is(err, kerr.GroupAuthorizationFailed) {
			return err
		}
		plan.Problems = append(plan.Problems, v.TargetCluster.Denied("Read", "group "+v.Flow.GroupID(), err))
	}
	planReplicas(v, plan, list)
	if err := planClaims(ctx, v, plan); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	request := kmsg.NewPtrDescribeTransactionsRequest()
	for shard := range v.Flow.Shards {
		request.TransactionalIDs = append(request.TransactionalIDs, v.Flow.TransactionalID(int32(shard)))
	}
	for _, shard := range v.TargetClient.RequestSharded(ctx, request) {
		err := shard.Err
		if answer, ok := shard.Resp.(*kmsg.DescribeTransactionsResponse); ok && err == nil {
			for _, state := range answer.TransactionStates {
				if code := kerr.ErrorForCode(state.ErrorCode); errors.Is(code, kerr.TransactionalIDAuthorizationFailed) {
					err = code
				}
			}
		}
		if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
			plan.Problems = append(plan.Problems, v.TargetCluster.Denied("Write",
				"transactional id "+v.Flow.GroupID()+". (prefixed)", err))
			return nil
		}
	}
	return ctx.Err() // brokers that do not know the question show what is missing when a run begins
}

// planReplicas tells what the replicas that run already are to a run with this configuration.
func planReplicas(v *snapshot.Viewer, plan *FlowPlan, list []snapshot.Replica) {
	members := make([]owner.Member, len(list))
	for j := range list {
		members[j] = list[j].AsMember
	}
	if err := peers.ForeignMembers(&v.Flow, members); err != nil {
		plan.Problems = append(plan.Problems, err)
		return
	}
	if text := snapshot.OtherRules(list); text != "" {
		plan.Warnings = append(plan.Warnings, text+": "+peers.MixedRemedy)
	}
}

// planClaims asks whether the ledger of the opposite flow may be read, which tells what
// came from the target.
func planClaims(ctx context.Context, v *snapshot.Viewer, plan *FlowPlan) error {
	name := provenance.AskedOppositeLedger(&v.Flow)
	if name == "" {
		return nil
	}
	seen, err := kafka.Describe(ctx, v.SourceClient, v.SourceCluster, []string{name})
	if err != nil {
		return err
	}
	topic, there := seen.Topics[name]
	switch {
	case there && topic.Err != nil:
		plan.Problems = append(plan.Problems, topic.Err)
	case there && !topic.May(kmsg.ACLOperationRead):
		plan.Problems = append(plan.Problems, v.SourceCluster.Denied("Read", "topic "+name, nil))
	}
	return nil
}

// planLimits tells what the target says of transactions.
func planLimits(ctx context.Context, v *snapshot.Viewer, plan *FlowPlan) error {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	found, err := kafka.LimitsOf(ctx, v.TargetClient, v.TargetCluster)
	if err != nil {
		return err
	}
	plan.Problems = append(plan.Problems, found.Problems...)
	if err := txlimit.Fits(&v.Flow, found.Transaction); err != nil {
		plan.Problems = append(plan.Problems, err)
	} else if said := txlimit.Shortened(&v.Flow, found.Transaction); said != "" {
		plan.Warnings = append(plan.Warnings, said)
	}
	return nil
}
