package replicate

import (
	"context"
	"errors"
	"slices"
	"sync"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/shard"
)

// neighbours watches the flows of other configurations.
type neighbours struct {
	flow       *shard.Flow
	others     *provenance.Neighbours // nil before the flow is open
	known      []policy.Flow          // that the flow's policy takes into account, beside its configuration's own
	tellUnread sync.Once
	tellShared sync.Once
}

// metError ends a flow whose policy has to know more flows than it did.
type metError struct{ flows []policy.Flow }

func (*metError) Error() string { return "flows of other configurations have come or gone" }

// meet sees which there are. Its error is why this flow must not go on: a circle, or
// what was found is news to its policy.
func (n *neighbours) meet(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := n.others.Look(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.Conflict(&n.flow.Cfg); err != nil {
		return v, err
	}
	if err := n.others.LostLedger(ctx, v); err != nil {
		return v, err
	}
	if flows := v.Flows(); !slices.Equal(flows, n.known) {
		return v, &metError{flows}
	}
	n.flow.Groups.Opposed(v.Opposites())
	if err := v.SharedOtherwise(&n.flow.Cfg); err != nil {
		n.tellShared.Do(func() {
			n.flow.Log.Warn("the opposite flow names other shared groups", "error", err, "remedy", chunk.Remedy(err))
		})
	}
	for _, err := range v.Unread {
		n.tellUnread.Do(func() {
			n.flow.Log.Warn("a ledger on the source cannot be read: whether its flow carries records back is not known",
				"error", err, "remedy", chunk.Remedy(err))
		})
	}
	return v, nil
}

// announce lets others know of this flow, and sees them again: of two that start at the
// same moment at least one sees the other, before it copies anything. One that has copied
// nothing gives way for good.
func (n *neighbours) announce(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := n.meetAndNote(ctx)
	if err != nil {
		return nil, err
	}
	after, err := n.meet(ctx)
	if provenance.IsConflict(err) && !after.Own.Begun {
		rules := v.Rules(&n.flow.Cfg)
		rules.Withdrawn = true
		return nil, errors.Join(err, after.NoteRules(ctx, &n.flow.Cfg, n.flow.Target, rules))
	}
	return after, err
}

// meetAndNote is meet, and lets others know what this flow's rules are. It leaves out what all of its replicas do.
func (n *neighbours) meetAndNote(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := n.meet(ctx)
	if err != nil {
		return nil, err
	}
	members, err := n.flow.Owner.Members(ctx)
	if err != nil {
		return nil, err
	}
	rules := v.Rules(&n.flow.Cfg)
	unknown := slices.ContainsFunc(members, func(m owner.Member) bool { return !m.Known })
	switch {
	case peers.CompareRules(members, peers.RulesOf(&n.flow.Cfg)).Keys[peers.LeavesOut]:
		rules.LeavesOut = policy.Nothing
	case unknown && v.Own.Rules != nil && rules.LeavesOut != policy.Nothing: // shards are being shared out
		rules.LeavesOut = v.Own.Rules.LeavesOut
	}
	return v, v.NoteRules(ctx, &n.flow.Cfg, n.flow.Target, rules)
}
