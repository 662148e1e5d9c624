package snapshot

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

// Replica is a process that runs the flow, as its group on the target tells. One that was
// killed is counted until its session there is over, 6 s by default.
type Replica struct {
	Member string `json:"member"` // its id in the group
	Host   string `json:"host"`   // from where it is connected
	Shards []int  `json:"shards"` // that it owns
	// OtherRules are the keys of the configuration in which its rules are not those that status was given.
	OtherRules []string `json:"other_rules,omitempty"`

	AsMember owner.Member `json:"-"`
}

// CountReplicas counts the processes that share the flow's shards now.
func (v *Viewer) CountReplicas(ctx context.Context) (int, error) {
	list, _, err := v.Replicas(ctx)
	return len(list), err
}

// Replicas lists the processes that share the flow's shards now, by host; settled says that
// the group is not just sharing them out anew.
func (v *Viewer) Replicas(ctx context.Context) (list []Replica, settled bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	id := v.Flow.GroupID()
	err = wait.Until(ctx, groups.CoordinatorEvery, func() (bool, error) {
		described, err := kadm.NewClient(v.TargetClient).DescribeGroups(ctx, id)
		group := described[id]
		if err == nil {
			err = group.Err
		}
		switch {
		case err == nil:
			list, settled = replicasOf(&v.Flow, &group)
			return true, nil
		case groups.NoCoordinatorYet(err):
			return false, nil
		}
		return false, err
	})
	if err != nil {
		return []Replica{}, true, groups.WhyNone(v.TargetCluster, id, err)
	}
	return list, settled, nil
}

func replicasOf(flow *settings.Config, group *kadm.DescribedGroup) (list []Replica, settled bool) {
	list = []Replica{}
	rules := peers.RulesOf(flow)
	for _, m := range group.Members {
		r := Replica{Member: m.MemberID, Host: strings.TrimPrefix(m.ClientHost, "/"), Shards: []int{}}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				for _, number := range topic.Partitions {
					if topic.Topic == flow.LedgerTopic() {
						r.Shards = append(r.Shards, int(number))
					}
				}
			}
		}
		slices.Sort(r.Shards)
		r.AsMember = owner.MemberOf(&m)
		if note, ok := peers.NoteOf(&r.AsMember); ok {
			r.OtherRules = peers.DifferingKeys(rules, note.Rules)
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Replica) int { return strings.Compare(a.Host+" "+a.Member, b.Host+" "+b.Member) })
	return list, group.State == "Stable" || len(list) == 0
}

// Work is who works on which shards now.
type Work struct {
	Replicas *int  // processes that run the flow; nil: not known
	Unowned  []int // shards that nobody has; nil: not known, or being shared out
}

// WorkOf says who works on which of so many shards; without settled, none is known to be unowned.
func WorkOf(list []Replica, settled bool, shards int) Work {
	n := len(list)
	w := Work{Replicas: &n}
	if !settled {
		return w
	}
	w.Unowned = []int{}
	for shard := range shards {
		if !slices.ContainsFunc(list, func(r Replica) bool { return slices.Contains(r.Shards, shard) }) {
			w.Unowned = append(w.Unowned, shard)
		}
	}
	return w
}

// Rests says that nobody works on a shard.
func (w *Work) Rests(shard int) bool {
	return w.Replicas != nil && *w.Replicas == 0 || slices.Contains(w.Unowned, shard)
}

// NoteOtherRules adds to the problems replicas whose rules are not those of the configuration at hand.
func (snap *Snapshot) NoteOtherRules(list []Replica) {
	if text := OtherRules(list); text != "" {
		snap.Problems = append(snap.Problems, &kafka.Problem{What: text, Fix: peers.MixedRemedy})
	}
}

// OtherRules names the replicas whose rules are not those of the configuration at hand; "": none.
func OtherRules(list []Replica) string {
	o := peers.Differing{Hosts: map[string]bool{}, Keys: map[string]bool{}}
	for _, r := range list {
		for _, key := range r.OtherRules {
			o.Keys[key], o.Hosts[r.Host] = true, true
		}
		if len(r.OtherRules) > 0 {
			o.Count++
		}
	}
	if o.Count == 0 {
		return ""
	}
	return o.String() + " than this configuration"
}

// MissingLedger says of a flow that runs, and has no ledger, that it was deleted; nil: it does not run, so that it may
// never have. It asks again: replicas that have just begun have made it before they joined their group.
func (v *Viewer) MissingLedger(ctx context.Context) error {
	if n, err := v.CountReplicas(ctx); err != nil || n == 0 {
		return nil
	}
	name := v.Flow.LedgerTopic()
	seen, err := kafka.Describe(ctx, v.TargetClient, v.TargetCluster, []string{name})
	if err != nil {
		return err
	}
	if _, there := seen.Topics[name]; there {
		return nil
	}
	return &Lasting{ledger.Deleted(name, v.TargetCluster.Name, nil)}
}
