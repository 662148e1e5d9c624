package provenance

import (
	"fmt"
	"slices"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// pair is what a flow knows of the flows in the opposite direction that leave out what it brings, as it leaves out what
// they bring: whatever else stands in a topic that they choose began its way on the target, and they carry it to the
// source.
type pair struct {
	own  *policy.Policy
	back []carrier
}

// carrier is a flow in the opposite direction.
type carrier struct {
	policy.Hop
	chosen *policy.Policy
}

// pairOf finds the flows that a flow makes a pair with: those of its own configuration, and those whose ledgers stand
// on the source.
func (v *Neighbourhood) pairOf(cfg *settings.Config) (p pair, err error) {
	self, known := cfg.Self(), append(slices.Clone(cfg.Flows), v.Flows()...)
	chosen := cfg.Config
	chosen.Flows = known
	if p.own, err = policy.New(chosen); err != nil {
		return pair{}, err
	}
	candidates := slices.Clone(cfg.Beside)
	for _, way := range v.ways {
		if len(way) == 1 {
			candidates = append(candidates, way[0])
		}
	}
	for _, h := range candidates {
		if !h.Opposite(self) || !policy.Covered(self, h) {
			continue
		}
		back, err := h.Policy(known)
		if err != nil {
			return pair{}, err
		}
		p.back = append(p.back, carrier{h, back})
	}
	return p, nil
}

// Pair names the flows with which a flow makes a pair under the same names.
func (v *Neighbourhood) Pair() []string {
	names := []string{}
	for _, back := range v.pair.back {
		if name := back.String(); back.Naming == policy.Identity && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// CarriedBack says of topics of the target whether the flow in the opposite direction of the same configuration carries
// them to the source, as one of a pair with this one.
func CarriedBack(cfg *settings.Config) (func(target string) bool, error) {
	if AskedOppositeLedger(cfg) == "" {
		return func(string) bool { return false }, nil
	}
	p, err := (&Neighbourhood{}).pairOf(cfg)
	return func(target string) bool {
		_, carried := p.carrierOf(target)
		return carried
	}, err
}

// carrierOf is the flow that carries a topic of the target to the source, under the name from which it comes back here.
func (p *pair) carrierOf(target string) (policy.Flow, bool) {
	for i := range p.back {
		if p.carries(&p.back[i], target) {
			return p.back[i].Flow, true
		}
	}
	return policy.Flow{}, false
}

// carries says whether a flow in the opposite direction carries a topic of the target to the source, under the name
// from which it comes back here.
func (p *pair) carries(back *carrier, target string) bool {
	name, verdict := back.chosen.Topic(target)
	if !verdict.Selected {
		return false
	}
	again, verdict := p.own.Topic(name)
	return verdict.Selected && again == target
}

// isOpposite says whether a ledger of the source is that of a flow which copied from the target to it, whether or not
// it still does: what it wrote came from there.
func isOpposite(l *ledger.Other, source, target string) bool {
	return l.Err == nil && l.Identity != nil && source != target &&
		l.Identity.TargetCluster == source && l.Identity.SourceCluster == target
}

// origins are the clusters, by id, on which records begin their way that a flow brings to its target: its source, and
// whatever brings more to that, by flows that are known. A flow that leaves out what came back brings nothing that its
// target sent.
func origins(of *ledger.Upstream, known []ledger.Upstream, seen map[string]bool) map[string]bool {
	found := map[string]bool{of.Identity.SourceCluster: true}
	key := of.Identity.TargetCluster + "/" + of.Ledger
	if of.LeavesOut == policy.WhatFlowsWrote || seen[key] {
		return found
	}
	seen[key] = true
	for i := range known {
		before := &known[i]
		opposite := before.Identity.SourceCluster == of.Identity.TargetCluster
		if before.Identity.TargetCluster != of.Identity.SourceCluster || opposite && of.LeavesOut != policy.Nothing {
			continue
		}
		for cluster := range origins(before, known, seen) {
			found[cluster] = true
		}
	}
	return found
}

// isPaired says whether a flow in the opposite direction of one is known, and leaves out what that one brings.
func isPaired(one *ledger.Upstream, known []ledger.Upstream) bool {
	return slices.ContainsFunc(known, func(u ledger.Upstream) bool {
		return u.LeavesOut != policy.Nothing && u.Identity.SourceCluster == one.Identity.TargetCluster &&
			u.Identity.TargetCluster == one.Identity.SourceCluster
	})
}

// besides says whether another flow may fill the topics of the target that this one fills: both are of a pair, and
// nothing that one brings is brought by the other.
func (v *Neighbourhood) besides(cfg *settings.Config, other *ledger.Other) bool {
	if other.Identity == nil || other.Rules == nil {
		return false
	}
	self := ledger.Upstream{Ledger: cfg.LedgerTopic(), Habits: cfg.Self().Habits,
		Identity: ledger.Identity{SourceCluster: v.Source.Cluster, TargetCluster: v.target.Cluster}}
	beside := ledger.Upstream{Ledger: other.Topic, Identity: *other.Identity, Habits: other.Rules.Habits}
	if self.LeavesOut == policy.Nothing || beside.LeavesOut == policy.Nothing {
		return false
	}
	known := append(slices.Clone(v.upstream), other.Rules.Upstream...)
	if !isPaired(&self, known) || !isPaired(&beside, known) {
		return false // two originals in one topic, whose records nobody carries on
	}
	ours := origins(&self, known, map[string]bool{})
	for cluster := range origins(&beside, known, map[string]bool{}) {
		if ours[cluster] {
			return false
		}
	}
	return true
}

// SettingsError reports two flows that would both keep the settings of topics on each other's side.
type SettingsError struct {
	Flow   settings.Config
	Other  policy.Hop
	Topics []string // of the source
}

func (e *SettingsError) Error() string {
	return fmt.Sprintf("both flow %s and flow %s would set the settings of topics as the other side has them (ledger "+
		"topic %s on cluster %s): %s", e.Flow.Name(), e.Other.String(), e.Other.LedgerTopic(), e.Flow.From,
		named(e.Topics, e.Flow.SourcePrefix))
}

// Remedy tells what to do.
func (e *SettingsError) Remedy() string {
	return fmt.Sprintf("nothing is copied until that is decided. Are from and to of this flow exchanged? Then set them "+
		"right; to go back after a cutover, use 'replicator rollback' of flow %s. If both directions are meant to run under "+
		"the same names, one of them leaves settings to the other: set sync_topic_configs: false here or in flow %s, and "+
		"start it again", e.Other.String(), e.Other.String())
}
