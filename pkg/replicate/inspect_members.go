package replicate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/partition"
)

// Replica is a process that runs the flow, as its group on the target tells. One that was
// killed is counted until its session there is over, 6 s by default.
type Replica struct {
	Member string `json:"member"` // its id in the group
	Host   string `json:"host"`   // from where it is connected
	Shards []int  `json:"shards"` // that it owns
	// OtherRules are the keys of the configuration in which its rules are not those that status was given.
	OtherRules []string `json:"other_rules,omitempty"`

	member owner.Member `json:"-"`
}

// replicas counts the processes that share the flow's shards now.
func (i *Inspection) replicas(ctx context.Context) (int, error) {
	list, _, err := i.members(ctx)
	return len(list), err
}

// members lists the processes that share the flow's shards now, by host; settled says that
// the group is not just sharing them out anew.
func (i *Inspection) members(ctx context.Context) (list []Replica, settled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	tick := time.NewTicker(coordinatorEvery)
	defer tick.Stop()
	for {
		described, err := kadm.NewClient(i.target).DescribeGroups(ctx, i.cfg.GroupID())
		group := described[i.cfg.GroupID()]
		if err == nil {
			err = group.Err
		}
		switch {
		case err == nil:
			list, settled := i.replicasOf(&group)
			return list, settled, nil
		case ctx.Err() != nil || !noCoordinatorYet(err):
			return []Replica{}, true, whyNoGroup(i.targetCluster, i.cfg.GroupID(), err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (i *Inspection) replicasOf(group *kadm.DescribedGroup) (list []Replica, settled bool) {
	list = []Replica{}
	rules := i.cfg.rules()
	for _, m := range group.Members {
		r := Replica{Member: m.MemberID, Host: strings.TrimPrefix(m.ClientHost, "/"), Shards: []int{}}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				for _, number := range topic.Partitions {
					if topic.Topic == i.cfg.LedgerTopic() {
						r.Shards = append(r.Shards, int(number))
					}
				}
			}
		}
		slices.Sort(r.Shards)
		r.member = owner.MemberOf(&m)
		if note, ok := memberNoteOf(&r.member); ok {
			r.OtherRules = differing(rules, note.Rules)
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Replica) int { return strings.Compare(a.Host+" "+a.Member, b.Host+" "+b.Member) })
	return list, group.State == "Stable" || len(list) == 0
}

// lookAtReplicas fills in who runs the flow, and which shards nobody has.
func (i *Inspection) lookAtReplicas(ctx context.Context, p *picture, status *FlowStatus) {
	list, settled, err := i.members(ctx)
	if err != nil {
		p.problems = append(p.problems, err)
		return
	}
	p.work = workOf(list, settled, len(p.books))
	status.Replicas, status.Members, status.Unowned = p.work.replicas, list, p.work.unowned
	i.tellOtherRules(p, list)
}

// work is who works on which shards now.
type work struct {
	replicas *int  // processes that run the flow; nil: not known
	unowned  []int // shards that nobody has; nil: not known, or being shared out
}

func workOf(list []Replica, settled bool, shards int) work {
	n := len(list)
	w := work{replicas: &n}
	if !settled {
		return w
	}
	w.unowned = []int{}
	for shard := range shards {
		if !slices.ContainsFunc(list, func(r Replica) bool { return slices.Contains(r.Shards, shard) }) {
			w.unowned = append(w.unowned, shard)
		}
	}
	return w
}

// rests says that nobody works on a shard.
func (w *work) rests(shard int) bool {
	return w.replicas != nil && *w.replicas == 0 || slices.Contains(w.unowned, shard)
}

// tellOtherRules tells of replicas whose rules are not those of the configuration at hand.
func (i *Inspection) tellOtherRules(p *picture, list []Replica) {
	if text := otherRules(list); text != "" {
		p.problems = append(p.problems, &kafka.Problem{What: text, Fix: mixedRemedy})
	}
}

// planReplicas tells what the replicas that run already are to a run with this configuration.
func (i *Inspection) planReplicas(plan *FlowPlan, list []Replica) {
	members := make([]owner.Member, len(list))
	for j := range list {
		members[j] = list[j].member
	}
	if err := i.cfg.strangers(members); err != nil {
		plan.Problems = append(plan.Problems, err)
		return
	}
	if text := otherRules(list); text != "" {
		plan.Warnings = append(plan.Warnings, text+": "+mixedRemedy)
	}
}

// otherRules names the replicas whose rules are not those of the configuration at hand; "": none.
func otherRules(list []Replica) string {
	o := others{hosts: map[string]bool{}, keys: map[string]bool{}}
	for _, r := range list {
		for _, key := range r.OtherRules {
			o.keys[key], o.hosts[r.Host] = true, true
		}
		if len(r.OtherRules) > 0 {
			o.n++
		}
	}
	if o.n == 0 {
		return ""
	}
	return o.String() + " than this configuration"
}

// missesLedger says of a flow that runs, and has no ledger, that it was deleted; nil: it does not run, so that it may
// never have. It looks again: replicas that have just begun have made it before they joined their group.
func (i *Inspection) missesLedger(ctx context.Context) error {
	if n, err := i.replicas(ctx); err != nil || n == 0 {
		return nil
	}
	name := i.cfg.LedgerTopic()
	seen, err := describe(ctx, i.target, i.targetCluster, []string{name})
	if err != nil {
		return err
	}
	if _, there := seen.topics[name]; there {
		return nil
	}
	return &lasting{ledgerDeleted(name, i.targetCluster.Name, nil)}
}

// ledgerDeleted is a flow that runs without its ledger.
func ledgerDeleted(name, cluster string, err error) error {
	return &kafka.Problem{
		What: fmt.Sprintf("the ledger topic %s was deleted on cluster %s while the flow runs: nothing is copied any more",
			name, cluster),
		Fix: "stop the replicas and find out who deleted it. No record on the target is lost, but without the ledger " +
			"nobody can tell what was copied, nor where groups stand: what is there will be refused as foreign_records " +
			"when the flow begins anew. Copy to topics of another name then (naming: prefix), or onto topics that you " +
			"have emptied",
		Err: err,
	}
}

// missedLedger explains an error that a ledger leaves which is not there any more.
func (f *shared) missedLedger(ctx context.Context, err error) error {
	code, known := kafka.Code(err)
	switch ck.ErrorCode(code) {
	case ck.ErrUnknownTopicOrPart, ck.ErrUnknownTopicID, ck.ErrUnknownTopic, ck.ErrUnknownPartition:
	default:
		known = false
	}
	if !known {
		return err
	}
	name := f.cfg.LedgerTopic()
	if ids, asked := f.targetMarks.TopicIDs(ctx, []string{name}); asked != nil || len(ids) > 0 {
		return err
	}
	return ledgerDeleted(name, f.target.Name, err)
}

// hiddenStatus are the partitions of topics that the source does not let us see, as the
// ledger knows them.
func (i *Inspection) hiddenStatus(p *picture) []PartitionStatus {
	var list []PartitionStatus
	for shard := range p.books {
		seen := map[chunk.Partition]bool{}
		for _, k := range p.books[shard].Keys() {
			err := p.hidden[k.Partition.Topic]
			if err == nil || seen[k.Partition] {
				continue
			}
			seen[k.Partition] = true
			target, _ := i.policy.Topic(k.Partition.Topic)
			one := PartitionStatus{
				Topic: k.Partition.Topic, Partition: k.Partition.Number, TargetTopic: target, Shard: shard,
				Phase: partition.PhaseStopped, Reason: err.Error(), Remedy: chunk.Remedy(err), EndsUnknown: true,
			}
			state := p.books[shard].State(k)
			if state.Start != ledger.NotStarted {
				progress := offsets.Source(state.Progress)
				one.Progress = &progress
			}
			if state.Stop != nil {
				since := state.Stop.Since
				one.Reason, one.Remedy, one.StoppedSince = state.Stop.Reason, state.Stop.Fix, &since
			}
			list = append(list, one)
		}
	}
	return list
}
