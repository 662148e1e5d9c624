package snapshot

import (
	"context"
	"time"

	"replicator/pkg/replicate/identity"
)

// elsewhereAgain spaces the searches of one command for another ledger of the same copy.
const elsewhereAgain = time.Minute

// CheckIdentity makes sure that the flow's ledger is about it, before a command works on it.
func (v *Viewer) CheckIdentity(ctx context.Context) error {
	s := identity.NewSigner(&v.Flow, v.SourceCluster, v.TargetCluster, v.Policy, nil)
	_, _, err := s.Compare(ctx, identity.Of(&v.Flow, v.SourceID, v.TargetID))
	return err
}

// CheckCircle answers the faults that show together with the flows of others, as they are now.
func (v *Viewer) CheckCircle(ctx context.Context) []error {
	if v.Away != nil {
		return nil // what other flows bring there is not known, and nothing is copied from it
	}
	asking, cancel := Bounded(ctx, v)
	defer cancel()
	around, err := v.others.Look(asking)
	if err != nil {
		return []error{err}
	}
	v.Around = around
	if err := v.Around.Conflict(&v.Flow); err != nil {
		return []error{&Lasting{err}}
	}
	if err := v.Around.OneWay(&v.Flow); err != nil {
		return []error{&Lasting{err}}
	}
	if err := v.others.LostLedger(ctx, v.Around); err != nil {
		return []error{err}
	}
	return nil
}
