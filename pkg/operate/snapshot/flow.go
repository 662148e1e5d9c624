package snapshot

import (
	"context"
	"errors"
	"time"

	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// elsewhereAgain spaces the looks of one command for another ledger of the same copy.
const elsewhereAgain = time.Minute

// sameFlow compares what the ledger says of its flow with this one, and notes in the
// picture why nothing that it holds is about it.
func (i *Viewer) sameFlow(ctx context.Context, p *Snapshot) error {
	s := identity.NewSigner(&i.Flow, i.SourceCluster, i.TargetCluster, i.Policy, nil)
	s.Seen = &identity.Evidence{Source: p.Source}
	for _, b := range p.Books {
		s.Seen.Books = append(s.Seen.Books, b.Shard)
	}
	var kept *ledger.Identity
	var err error
	if len(p.Books) > 0 {
		if kept, err = p.Books[0].Identity(); err != nil {
			return err
		}
	}
	all := func() (*identity.Evidence, error) {
		var err error
		if s.Seen.Target == nil {
			s.Seen.Target, err = kafka.Describe(ctx, i.TargetClient, i.TargetCluster, nil)
		}
		return s.Seen, err
	}
	switch {
	case kept != nil:
		_, err = identity.Compare(i.Flow.LedgerTopic(), *kept, identity.Of(&i.Flow, p.Source.Id, p.Target.Id), all)
		i.Groups.AlsoKnownAs(kept.Formerly)
	case identity.HoldsProgress(s.Seen.Books):
		if _, err = all(); err == nil {
			err = s.Contradiction(s.Seen)
		}
	case time.Since(i.elsewhere) > elsewhereAgain: // all other ledgers are read for it
		if err = s.Elsewhere(ctx); err == nil {
			i.elsewhere = time.Now()
		}
	}
	var shards *ledger.ShardsError
	if identity.IsStranger(err) || errors.As(err, &shards) {
		p.LedgerErr = err
		return nil
	}
	return err
}

// ofFlow makes sure that the flow's ledger is about it, before a command works on it.
func (i *Viewer) CheckIdentity(ctx context.Context) error {
	s := identity.NewSigner(&i.Flow, i.SourceCluster, i.TargetCluster, i.Policy, nil)
	_, _, err := s.Compare(ctx, identity.Of(&i.Flow, i.SourceID, i.TargetID))
	return err
}

// lookForIDs notes what follows for the flow from a cluster without topic ids.
func (i *Viewer) findIDs(ctx context.Context, p *Snapshot) error {
	seen := p.Target
	if len(seen.Topics) == 0 { // those that are copied to are not there yet
		var err error
		if seen, err = kafka.Describe(ctx, i.TargetClient, i.TargetCluster, nil); err != nil {
			return err
		}
	}
	without := false
	if len(seen.Topics) == 0 {
		var err error
		if without, err = i.TargetCluster.WithoutIDs(ctx, i.TargetClient); err != nil {
			return err
		}
	}
	if topic := seen.WithoutID(); topic != "" || without {
		p.Problems = append(p.Problems, &Lasting{&identity.NoTopicIDsError{Cluster: i.Flow.To, Topic: topic}})
	}
	return nil
}

// problemsAround are the faults that show together with the flows of others, as they are now.
func (i *Viewer) CheckCircle(ctx context.Context) []error {
	around, err := i.others.Look(ctx)
	if err != nil {
		return []error{err}
	}
	i.Around = around
	if err := i.Around.Circle(&i.Flow); err != nil {
		return []error{&Lasting{err}}
	}
	return nil
}
