package preflight

import (
	"context"
	"fmt"
	"slices"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/provenance"
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

	ahead []error // what a run will note about its partitions, and nobody has noted yet
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

// Plan asks both clusters and says what a run would do. The target is asked
// to check the changes, and changes nothing.
func Plan(ctx context.Context, v *snapshot.Viewer) (*FlowPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := v.Take(ctx, func(string) bool { return true }, true)
	if err != nil {
		return nil, err
	}
	return planSeen(ctx, v, snap)
}

// planSeen plans by what has been seen.
func planSeen(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot) (*FlowPlan, error) {
	validated, kept, err := planTopics(ctx, v, snap)
	if err != nil {
		return nil, err
	}
	plan := &FlowPlan{
		Flow:    v.Flow.Name(),
		Source:  ClusterSeen{v.Flow.From, snap.Source.ID, snap.Source.Brokers},
		Target:  ClusterSeen{v.Flow.To, snap.Target.ID, snap.Target.Brokers},
		Ledger:  LedgerPlan{Topic: v.Flow.LedgerTopic(), Shards: v.Flow.Shards},
		Skipped: validated.Skipped, GroupsListed: snap.Listed, Problems: snap.Problems,
	}
	plan.Problems = append(plan.Problems, v.CheckCircle(ctx)...)
	if err := v.Around.SharedOtherwise(&v.Flow); err != nil {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%v; %s", err, chunk.Remedy(err)))
	}
	for _, err := range v.Around.Unread {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("whether another flow carries records back is not known: %v", err))
	}
	if len(validated.Topics) == 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("no topic is selected among the %d that cluster %s shows; if it "+
			"has more, grant the program's user Read on them: without it they are hidden", len(validated.Skipped), v.Flow.From))
	}
	for _, change := range validated.Topics {
		one, err := topicPlan(ctx, v, snap, change)
		if err != nil {
			return nil, err
		}
		one.Kept = kept[change.Source]
		plan.Topics = append(plan.Topics, one)
		for _, err := range one.ahead {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("%v; %s", err, chunk.Remedy(err)))
		}
	}
	if err := planTaken(ctx, v, snap, plan.Topics); err != nil {
		return nil, err
	}
	planGroups(ctx, v, snap, plan)
	if topic := snap.Source.WithoutID(); topic != "" {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("cluster %s gives its topics no ids (Kafka before 2.8, or an "+
			"inter-broker protocol before it): a topic that is deleted and made again there is not noticed, and 'replicator "+
			"rollback' cannot carry anything back to it", v.Flow.From))
	}
	if err := planNames(ctx, v, snap, plan); err != nil {
		return nil, err
	}
	if err := planLedger(ctx, v, snap, plan); err != nil {
		return nil, err
	}
	if err := planLimits(ctx, v, plan); err != nil {
		return nil, err
	}
	return plan, planRights(ctx, v, plan)
}

func planTopics(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot) (plan topics.Plan,
	kept map[string][]topics.Back,
	err error) {
	cfg := clients.TopicsConfig(&v.Flow, v.SourceCluster, v.TargetCluster, v.Policy, nil)
	cfg.Ledger = provenance.NewTarget(&v.Flow, v.TargetCluster, v.TargetOffsets, v.Scan, v.Writers)
	cfg.CarriesBack = v.Writers.CarriesBack
	t, err := topics.Open(cfg)
	if err != nil {
		return plan, nil, err
	}
	defer t.Close()
	for _, b := range snap.Books {
		for _, k := range b.Keys() {
			t.Expect([]string{k.Partition.Topic})
		}
	}
	if plan, err = t.Plan(ctx); err != nil || len(snap.Books) == 0 {
		return plan, nil, err
	}
	var own []topics.Kept
	notes, err := provenance.KeptOf(snap.Books[0].Shard)
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
func planTaken(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, changes []TopicPlan) error {
	var own []*ledger.Shard
	for _, b := range snap.Books {
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
	taken, err := v.Writers.Taken(ctx, fresh)
	for j := range changes {
		if stop := taken[changes[j].Target]; stop != nil {
			changes[j].Stop = stop
		}
	}
	return err
}

// topicPlan adds what is to be copied, and what is in the way of single partitions.
func topicPlan(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, change topics.Change) (TopicPlan,
	error) {
	one := TopicPlan{Change: change}
	for n := range change.Partitions {
		view := snap.View(chunk.Partition{Topic: change.Source, Number: int32(n)})
		status := inspect.PartitionStatusOf(snap, view)
		one.Behind += status.Behind
		one.Begun = one.Begun || view.Started()
		one.ahead = append(one.ahead, inspect.Ahead(view)...)
		if change.Stop != nil {
			continue // it says more, or the same
		}
		if view.Cut != nil {
			one.Stops = append(one.Stops, ledger.CutStop(view.Source, view.Cut))
			continue
		}
		if status.Phase == partition.PhaseStopped {
			one.Stops = append(one.Stops, ledger.StopOf(view.Source, view.Stop()))
			continue
		}
		stop, err := foreignAhead(ctx, v, view)
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
func foreignAhead(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView) (*chunk.Stop, error) {
	if !view.TargetThere || !view.Verdict.Foreign {
		return nil, nil
	}
	at, found, err := v.Scan.First(ctx, view.Target.Topic, view.Target.Number, view.TargetEarliest, view.TargetStable,
		true)
	if err != nil || !found {
		return nil, err
	}
	return v.Writers.Stop(ctx, view.Source, view.Target, at), nil
}

// planGroups tells which groups would follow, and which would be left alone.
func planGroups(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, plan *FlowPlan) {
	views := snap.Views()
	for j := range snap.Held {
		held := &snap.Held[j]
		status, _ := inspect.GroupStatusOf(ctx, v, held, views)
		one := GroupPlan{Group: held.Group, Target: held.Target, Positions: len(status.Positions), Alone: map[string]int{},
			Err: held.Err}
		for _, position := range status.Positions {
			if groups.Kind(position.State).LeftAlone() {
				one.Alone[position.Why]++
			}
		}
		plan.Groups = append(plan.Groups, one)
	}
	if plan.GroupsListed == 0 && len(v.Flow.Groups) > 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("cluster %s lists no consumer groups; if it has some, grant "+
			"the program's user Describe on them: without it the list is empty", v.Flow.From))
	}
}

// planNames adds what becomes of patterns, and of groups that do not follow.
func planNames(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, plan *FlowPlan) error {
	names, err := v.Groups.Names(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	plan.LeftOut = inspect.LeftOutNames(v, snap.Source, names, snap.Held)
	for _, m := range inspect.FileMatches(v, snap.Source, names) {
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
