package ownership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
)

// LedgerView is what a flow's ledger says of its flow, beside the flow as it is now.
type LedgerView struct {
	Flow     string           `json:"flow"`
	Ledger   string           `json:"ledger"`
	Says     *ledger.Identity `json:"says"` // null: it is not there, or does not name its flow
	Now      ledger.Identity  `json:"now"`
	NotThere string           `json:"not_there,omitempty"` // what is known where there is no ledger, with Remedy
	// Refused is why the flow would not run with it, with its remedy; "": it would.
	Refused string `json:"refused,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Read compares a flow with what its ledger says, and changes nothing.
func Read(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config) (*LedgerView, error) {
	viewer, err := snapshot.Open(ctx, clusters, flow, nil)
	if err != nil {
		return nil, err
	}
	defer viewer.Close()
	s := identity.NewSigner(&flow, viewer.SourceCluster, viewer.TargetCluster, viewer.Policy, nil)
	v := &LedgerView{Flow: flow.Name(), Ledger: flow.LedgerTopic(),
		Now: identity.Of(&flow, viewer.SourceID, viewer.TargetID)}
	v.Says, _, err = s.Compare(ctx, v.Now)
	if err == nil {
		err = v.runs(ctx, viewer)
	}
	var refusal interface{ Remedy() string }
	if errors.As(err, &refusal) {
		v.Refused, v.Remedy, err = err.Error(), refusal.Remedy(), nil
	}
	return v, err
}

// runs is why a flow would not run whose ledger is its own, or not there; nil: it would.
func (v *LedgerView) runs(ctx context.Context, viewer *snapshot.Viewer) error {
	books, err := ledger.ReadFirst(ctx, viewer.TargetCluster, viewer.Flow.LedgerTopic(), viewer.Flow.Shards, 1)
	switch {
	case err != nil:
		return err
	case len(books) == 0:
		none := inspect.NeverRan(ctx, viewer, "there is nothing to do: 'replicator run' makes it")
		v.NotThere, v.Remedy = none.What, none.Fix
	default:
		if err := handover.NotClosed(books[0], books[0], v.Flow); err != nil {
			return handover.SourceAnswers(err)
		}
	}
	around := viewer.CheckCircle(ctx)
	if len(around) > 0 && provenance.Forbids(around[0]) {
		return around[0]
	}
	return nil
}

// oppositeRests refuses while replicas of the opposite flow are at work: they take what the flow has written for that
// of another one, since its ledger names another cluster, and would take what it writes from then on for the same.
func oppositeRests(ctx context.Context, viewer *snapshot.Viewer) error {
	for _, l := range viewer.Around.Source.Ledgers {
		id := l.Identity
		if id == nil || id.TargetCluster != viewer.SourceID || id.SourceCluster != viewer.TargetID {
			continue
		}
		opposite := settings.Config{Config: policy.Config{Flow: policy.Flow{From: id.From, To: id.To,
			TargetPrefix: id.TargetPrefix}}}
		group := opposite.GroupID()
		members, err := groups.Members(ctx, viewer.SourceClient, viewer.SourceCluster, group)
		if err != nil {
			return fmt.Errorf("see whether flow %s runs: %w", id.Flow(), err)
		}
		if n := len(members); n > 0 {
			return &kafka.Problem{What: fmt.Sprintf("%d replicas of the opposite flow %s are at work (group %s on cluster "+
				"%s)", n, id.Flow(), group, viewer.Flow.From), Fix: "stop them, wait until the group has no members (a killed " +
				"one stays until its session times out), give this again, and start both flows"}
		}
	}
	return nil
}

// AcceptOpposite notes in a flow's ledger that the ledgers of now are those of the flows around it: what a lost one
// claimed counts as native from then on.
func AcceptOpposite(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*LedgerView, error) {
	viewer, err := snapshot.Open(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	if viewer.Around.Own.Rules != nil {
		err = viewer.Around.NoteRules(ctx, &flow, viewer.TargetCluster, viewer.Around.Rules(&flow))
	}
	viewer.Close()
	if err != nil {
		return nil, err
	}
	return Read(ctx, clusters, flow)
}

// Accept notes in a flow's ledger that its clusters are the ones of now, though
// their ids are not those that it was begun with. It is for an operator who knows that: a
// cluster that was built anew in place of the former one. Nobody may work on the flow.
// Topics that were made anew are told from the former ones by their ids, as always.
func Accept(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*LedgerView, error) {
	viewer, err := snapshot.Open(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	defer viewer.Close()
	if err := oppositeRests(ctx, viewer); err != nil {
		return nil, err
	}
	s := identity.NewSigner(&flow, viewer.SourceCluster, viewer.TargetCluster, viewer.Policy, log)
	now := identity.Of(&flow, viewer.SourceID, viewer.TargetID)
	says, err := s.Accept(ctx, now)
	if err != nil {
		return nil, err
	}
	return &LedgerView{Flow: flow.Name(), Ledger: flow.LedgerTopic(), Says: says, Now: now}, nil
}
