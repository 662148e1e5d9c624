package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// FlowPlan is what a run of the flow would do, and what is in its way.
type FlowPlan struct {
	Flow           string
	Source, Target ClusterSeen
	Ledger         LedgerPlan
	Topics         []TopicPlan       // selected ones, by source name
	Skipped        []topics.Skip     // all others, by name
	GroupsListed   int               // on the source, of those that commit offsets
	Groups         []GroupPlan       // selected ones with a position, by name
	LeftOut        []inspect.LeftOut // what the patterns choose and a rule leaves out, topics first
	// Problems stand in the way of the flow, or of a part of it that is not a topic; they have remedies.
	Problems []error
	// Warnings are worth knowing and stop nothing.
	Warnings []string
}

// ClusterSeen is a cluster that answered.
type ClusterSeen struct {
	Name, ID string
	Brokers  int
}

// LedgerPlan is the ledger topic as it is.
type LedgerPlan struct {
	Topic  string
	Exists bool
	Shards int // as it has, or will be created with
}

// TopicPlan is what would be done about one topic.
type TopicPlan struct {
	topics.Change
	Behind int64 // source offsets to copy: at most that many records
	Begun  bool  // some partition of it has progress
	// Stops are about single partitions; what concerns the whole topic is Change.Stop.
	Stops []*chunk.Stop
	// Kept is what the flow has set on the target topic before, as its ledger says, and what becomes of it at its end.
	Kept []topics.Back
}

// GroupPlan is what would be done about one group.
type GroupPlan struct {
	Group     string // by its name on the source
	Target    string // its name on the target
	Positions int
	Alone     map[string]int // positions that would be left alone, by reason
	Err       error          // why it cannot be read
}

// InTheWay collects everything that keeps a part of the flow from being copied.
func (p *FlowPlan) InTheWay() []error {
	list := slices.Clone(p.Problems)
	for i := range p.Topics {
		t := &p.Topics[i]
		if t.Stop != nil {
			list = append(list, fmt.Errorf("topic %s: %w", t.Source, chunk.TopicStop{Stop: t.Stop}))
		}
		for _, s := range chunk.Together(t.Stops) {
			list = append(list, s)
		}
	}
	for i := range p.Groups {
		if p.Groups[i].Err != nil {
			list = append(list, p.Groups[i].Err)
		}
	}
	return list
}

// Share compares the plan with those of flows that come before it: a target topic that one
// of them fills is in the way.
func (p *FlowPlan) Share(before []*FlowPlan) {
	for _, other := range before {
		if other.Target.ID != p.Target.ID {
			continue
		}
		filled := map[string]bool{}
		for i := range other.Topics {
			filled[other.Topics[i].Target] = other.Topics[i].Stop == nil
		}
		var both []string
		for i := range p.Topics {
			if t := &p.Topics[i]; filled[t.Target] && (t.Stop == nil || t.Stop.Kind != chunk.StopTaken) {
				both = append(both, t.Target)
			}
		}
		if len(both) > 0 {
			p.Problems = append(p.Problems, &kafka.Problem{
				What: fmt.Sprintf("flow %s fills topics of %s too that flow %s chooses: %s", other.Flow, p.Target.Name, p.Flow,
					kafka.Few(both)),
				Fix: "one target topic is filled by one flow: leave them out of one of the two (exclude_topics), or use " +
					"naming: prefix"})
		}
	}
}

// Plan looks at both clusters and tells what a run would do. The target is asked
// to check the changes, and changes nothing.
func Plan(ctx context.Context, i *snapshot.Viewer) (*FlowPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.LookLimit)
	defer cancel()
	seen, err := i.Take(ctx, func(string) bool { return true }, true)
	if err != nil {
		return nil, err
	}
	return planSeen(ctx, i, seen)
}

// planSeen plans by what has been seen.
func planSeen(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot) (*FlowPlan, error) {
	rehearsed, kept, err := planTopics(ctx, i, seen)
	if err != nil {
		return nil, err
	}
	plan := &FlowPlan{
		Flow:    i.Flow.Name(),
		Source:  ClusterSeen{i.Flow.From, seen.Source.Id, seen.Source.Brokers},
		Target:  ClusterSeen{i.Flow.To, seen.Target.Id, seen.Target.Brokers},
		Ledger:  LedgerPlan{Topic: i.Flow.LedgerTopic(), Shards: i.Flow.Shards},
		Skipped: rehearsed.Skipped, GroupsListed: seen.Listed, Problems: seen.Problems,
	}
	plan.Problems = append(plan.Problems, i.CheckCircle(ctx)...)
	for _, err := range i.Around.Unread {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("whether another flow carries records back is not known: %v", err))
	}
	if len(rehearsed.Topics) == 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("no topic is selected among the %d that cluster %s shows; if it "+
			"has more, grant the program's user Read on them: without it they are hidden", len(rehearsed.Skipped), i.Flow.From))
	}
	for _, change := range rehearsed.Topics {
		one, err := topicPlan(ctx, i, seen, change)
		if err != nil {
			return nil, err
		}
		one.Kept = kept[change.Source]
		plan.Topics = append(plan.Topics, one)
	}
	if err := planTaken(ctx, i, seen, plan.Topics); err != nil {
		return nil, err
	}
	planGroups(ctx, i, seen, plan)
	if topic := seen.Source.WithoutID(); topic != "" {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("cluster %s gives its topics no ids (Kafka before 2.8, or an "+
			"inter-broker protocol before it): a topic that is deleted and made again there is not noticed, and 'replicator "+
			"rollback' cannot carry anything back to it", i.Flow.From))
	}
	if err := planNames(ctx, i, seen, plan); err != nil {
		return nil, err
	}
	if err := planLedger(ctx, i, seen, plan); err != nil {
		return nil, err
	}
	if err := planLimits(ctx, i, plan); err != nil {
		return nil, err
	}
	return plan, planRights(ctx, i, plan)
}

func planTopics(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot) (plan topics.Plan,
	kept map[string][]topics.Back,
	err error) {
	cfg := clients.TopicsConfig(&i.Flow, i.SourceCluster, i.TargetCluster, i.Policy, nil)
	cfg.Ledger = provenance.NewTarget(&i.Flow, i.TargetCluster, i.TargetOffsets, i.Scan, i.Writers)
	t, err := topics.Open(cfg)
	if err != nil {
		return plan, nil, err
	}
	defer t.Close()
	for _, b := range seen.Books {
		for _, k := range b.Keys() {
			t.Expect([]string{k.Partition.Topic})
		}
	}
	if plan, err = t.Plan(ctx); err != nil || len(seen.Books) == 0 {
		return plan, nil, err
	}
	var own []topics.Kept
	notes, err := provenance.KeptOf(seen.Books[0].Shard)
	if err != nil {
		return plan, nil, err
	}
	for _, c := range plan.Topics {
		if k, noted := notes[c.Source]; noted && k.TargetID == c.TargetID.String() {
			own = append(own, k)
		}
	}
	list, err := t.PlanBack(ctx, own)
	kept = map[string][]topics.Back{}
	for _, b := range list {
		if !b.Gone {
			kept[b.Topic] = append(kept[b.Topic], b)
		}
	}
	return plan, kept, err
}

// planTaken finds the topics that another flow fills and this one has not taken up.
func planTaken(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot, changes []TopicPlan) error {
	var own []*ledger.Shard
	for _, b := range seen.Books {
		own = append(own, b.Shard)
	}
	var fresh []topics.Mirrored
	for j := range changes {
		t := &changes[j].Mirrored
		if t.Stop != nil || len(changes[j].Stops) > 0 || t.TargetID == (chunk.TopicID{}) {
			continue
		}
		if is, err := provenance.IsOwn(own, t); err != nil {
			return err
		} else if !is {
			fresh = append(fresh, *t)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	taken, err := i.Writers.Taken(ctx, fresh)
	for j := range changes {
		if stop := taken[changes[j].Target]; stop != nil {
			changes[j].Stop = stop
		}
	}
	return err
}

// topicPlan adds what is to be copied, and what is in the way of single partitions.
func topicPlan(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot, change topics.Change) (TopicPlan,
	error) {
	one := TopicPlan{Change: change}
	for n := range change.Partitions {
		s := i.View(seen, chunk.Partition{Topic: change.Source, Number: int32(n)})
		status := inspect.PartitionOf(i, seen, s)
		one.Behind += status.Behind
		one.Begun = one.Begun || s.Started()
		if change.Stop != nil {
			continue // it says more, or the same
		}
		if s.Cut != nil {
			one.Stops = append(one.Stops, ledger.CutStop(s.Source, s.Cut))
			continue
		}
		if status.Phase == partition.PhaseStopped {
			one.Stops = append(one.Stops, ledger.StopOf(s.Source, s.Stop()))
			continue
		}
		stop, err := foreignAhead(ctx, i, s)
		if err != nil {
			return one, err
		}
		if stop != nil {
			one.Stops = append(one.Stops, stop)
		}
	}
	return one, nil
}

// foreignAhead tells whether a partition of the target that the flow has not
// written to yet holds records, which would stop it.
func foreignAhead(ctx context.Context, i *snapshot.Viewer, s *snapshot.PartitionView) (*chunk.Stop, error) {
	if !s.TargetThere || !s.Verdict.Foreign {
		return nil, nil
	}
	at, found, err := i.Scan.First(ctx, s.Target.Topic, s.Target.Number, s.TargetEarliest, s.TargetEarlyEnd, true)
	if err != nil || !found {
		return nil, err
	}
	return i.Writers.Stop(ctx, s.Source, s.Target, at), nil
}

// planGroups tells which groups would follow, and which would be left alone.
func planGroups(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot, plan *FlowPlan) {
	spots := i.Views(seen)
	for j := range seen.Held {
		held := &seen.Held[j]
		status, _ := inspect.CompareGroup(ctx, i, held, spots)
		one := GroupPlan{Group: held.Group, Target: held.Target, Positions: len(status.Positions), Alone: map[string]int{},
			Err: held.Err}
		for _, position := range status.Positions {
			if groups.Kind(position.State).LeftAlone() {
				one.Alone[position.Why]++
			}
		}
		plan.Groups = append(plan.Groups, one)
	}
	if plan.GroupsListed == 0 && len(i.Flow.Groups) > 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("cluster %s lists no consumer groups; if it has some, grant "+
			"the program's user Describe on them: without it the list is empty", i.Flow.From))
	}
}

// planLedger looks at the ledger topic, or rehearses its creation.
func planLedger(ctx context.Context, i *snapshot.Viewer, seen *snapshot.Snapshot, plan *FlowPlan) error {
	name := plan.Ledger.Topic
	if seen.LedgerErr != nil {
		plan.Problems = append(plan.Problems, seen.LedgerErr)
	}
	topic, there := seen.Target.Topics[name]
	if there {
		if topic.Err == nil {
			plan.Ledger.Exists, plan.Ledger.Shards = true, topic.Partitions
		}
		if topic.Err == nil && !topic.May(kmsg.ACLOperationWrite) {
			plan.Problems = append(plan.Problems, i.TargetCluster.Denied("Write", "topic "+name, nil))
		}
		switch {
		case topic.Err != nil || topic.May(kmsg.ACLOperationDescribeConfigs):
		case !i.Flow.SyncTopicConfigs:
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("whether the ledger topic %s is compacted cannot be asked: see "+
				"to it that its cleanup.policy is compact alone, or it will lose what the flow knows", name))
		default:
			plan.Problems = append(plan.Problems, i.TargetCluster.Denied("DescribeConfigs", "topic "+name, nil))
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	policy := "compact"
	answers, err := kadm.NewClient(i.TargetClient).ValidateCreateTopics(ctx, int32(i.Flow.Shards), 1,
		map[string]*string{"cleanup.policy": &policy}, name)
	if err == nil {
		err = answers[name].Err
	}
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.InvalidReplicationFactor),
		errors.Is(err, kerr.PolicyViolation): // run asks for more replicas and settings
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		problem := i.TargetCluster.Denied("Create", "the cluster or topic "+name, err)
		problem.Fix += fmt.Sprintf("; or create topic %s there by hand, with %d partitions (the shards), compacted and "+
			"without retention", name, i.Flow.Shards)
		plan.Problems = append(plan.Problems, problem)
		return nil
	}
	var said *kerr.Error
	if !errors.As(err, &said) {
		return i.TargetCluster.Explain(err)
	}
	plan.Problems = append(plan.Problems, &kafka.Problem{
		What: fmt.Sprintf("cluster %s would refuse to create the ledger topic %s", i.Flow.To, name),
		Fix:  "name another topic under ledger, or create it by hand: compacted, with as many partitions as shards", Err: err,
	})
	return nil
}

// planRights asks for the rights that show only when a run begins: on the group
// that shares the shards, and on the transactional ids. A right to describe comes
// with the one that is needed; that is all that can be asked without using it.
func planRights(ctx context.Context, i *snapshot.Viewer, plan *FlowPlan) error {
	list, _, err := i.Replicas(ctx)
	if err != nil {
		if !errors.Is(err, kerr.GroupAuthorizationFailed) {
			return err
		}
		plan.Problems = append(plan.Problems, i.TargetCluster.Denied("Read", "group "+i.Flow.GroupID(), err))
	}
	planReplicas(i, plan, list)
	if err := planClaims(ctx, i, plan); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	request := kmsg.NewPtrDescribeTransactionsRequest()
	for shard := range i.Flow.Shards {
		request.TransactionalIDs = append(request.TransactionalIDs, i.Flow.TransactionalID(int32(shard)))
	}
	for _, shard := range i.TargetClient.RequestSharded(ctx, request) {
		err := shard.Err
		if answer, ok := shard.Resp.(*kmsg.DescribeTransactionsResponse); ok && err == nil {
			for _, state := range answer.TransactionStates {
				if code := kerr.ErrorForCode(state.ErrorCode); errors.Is(code, kerr.TransactionalIDAuthorizationFailed) {
					err = code
				}
			}
		}
		if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
			plan.Problems = append(plan.Problems, i.TargetCluster.Denied("Write",
				"transactional id "+i.Flow.GroupID()+". (prefixed)", err))
			return nil
		}
	}
	return ctx.Err() // brokers that do not know the question show what is missing when a run begins
}

// planClaims asks whether the ledger of the opposite flow may be read, which tells what
// came from the target.
func planClaims(ctx context.Context, i *snapshot.Viewer, plan *FlowPlan) error {
	lane, _ := i.Flow.LaneInUse()
	name := i.Flow.OppositeLedger()
	if lane != settings.LaneBatch || name == "" {
		return nil
	}
	seen, err := kafka.Describe(ctx, i.SourceClient, i.SourceCluster, []string{name})
	if err != nil {
		return err
	}
	topic, there := seen.Topics[name]
	switch {
	case there && topic.Err != nil:
		plan.Problems = append(plan.Problems, topic.Err)
	case there && !topic.May(kmsg.ACLOperationRead):
		plan.Problems = append(plan.Problems, i.SourceCluster.Denied("Read", "topic "+name, nil))
	}
	return nil
}
