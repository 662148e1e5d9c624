package snapshot

import (
	"context"
	"errors"
	"time"

	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// elsewhereAgain spaces the searches of one command for another ledger of the same copy.
const elsewhereAgain = time.Minute

// sameFlow compares what the ledger says of its flow with this one, and notes in the
// snapshot why nothing that it holds is about it.
func (v *Viewer) sameFlow(ctx context.Context, snap *Snapshot) error {
	s := identity.NewSigner(&v.Flow, v.SourceCluster, v.TargetCluster, v.Policy, nil)
	s.Seen = &identity.Evidence{Source: snap.Source}
	for _, b := range snap.Books {
		s.Seen.Books = append(s.Seen.Books, b.Shard)
	}
	var kept *ledger.Identity
	var err error
	if len(snap.Books) > 0 {
		if kept, err = snap.Books[0].Identity(); err != nil {
			return err
		}
	}
	all := func() (*identity.Evidence, error) {
		var err error
		if s.Seen.Target == nil {
			s.Seen.Target, err = kafka.Describe(ctx, v.TargetClient, v.TargetCluster, nil)
		}
		return s.Seen, err
	}
	switch {
	case kept != nil:
		_, err = identity.Compare(v.Flow.LedgerTopic(), *kept, identity.Of(&v.Flow, snap.Source.Id, snap.Target.Id), all)
		v.Groups.AlsoKnownAs(kept.Formerly)
	case identity.HoldsProgress(s.Seen.Books):
		if _, err = all(); err == nil {
			err = s.Contradiction(s.Seen)
		}
	case time.Since(v.elsewhere) > elsewhereAgain: // all other ledgers are read for it
		if err = s.Elsewhere(ctx); err == nil {
			v.elsewhere = time.Now()
		}
	}
	var shards *ledger.ShardsError
	if identity.IsStranger(err) || errors.As(err, &shards) {
		snap.LedgerErr = err
		return nil
	}
	return err
}

// CheckIdentity makes sure that the flow's ledger is about it, before a command works on it.
func (v *Viewer) CheckIdentity(ctx context.Context) error {
	s := identity.NewSigner(&v.Flow, v.SourceCluster, v.TargetCluster, v.Policy, nil)
	_, _, err := s.Compare(ctx, identity.Of(&v.Flow, v.SourceID, v.TargetID))
	return err
}

// findIDs notes what follows for the flow from a cluster without topic ids.
func (v *Viewer) findIDs(ctx context.Context, snap *Snapshot) error {
	seen := snap.Target
	if len(seen.Topics) == 0 { // those that are copied to are not there yet
		var err error
		if seen, err = kafka.Describe(ctx, v.TargetClient, v.TargetCluster, nil); err != nil {
			return err
		}
	}
	without := false
	if len(seen.Topics) == 0 {
		var err error
		if without, err = v.TargetCluster.WithoutIDs(ctx, v.TargetClient); err != nil {
			return err
		}
	}
	if topic := seen.WithoutID(); topic != "" || without {
		snap.Problems = append(snap.Problems, &Lasting{&identity.NoTopicIDsError{Cluster: v.Flow.To, Topic: topic}})
	}
	return nil
}

// CheckCircle answers the faults that show together with the flows of others, as they are now.
func (v *Viewer) CheckCircle(ctx context.Context) []error {
	around, err := v.others.Look(ctx)
	if err != nil {
		return []error{err}
	}
	v.Around = around
	if err := v.Around.Circle(&v.Flow); err != nil {
		return []error{&Lasting{err}}
	}
	return nil
}
