package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Signer compares a flow with what its ledger says, and signs a new ledger. It belongs to one goroutine.
type Signer struct {
	cfg            *settings.Config
	source, target kafka.Config
	policy         *policy.Policy
	log            *slog.Logger

	alone bool      // no other ledger holds the same copy
	seen  *evidence // once it was asked for
}

// NewSigner makes a signer of a flow, whose topics the policy chooses. Nothing is connected. log may be nil.
func NewSigner(cfg *settings.Config, source, target kafka.Config, chosen *policy.Policy, log *slog.Logger) *Signer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Signer{cfg: cfg, source: source, target: target, policy: chosen, log: log}
}

// AssumeAlone has the signer not look for another ledger with the same copy: who calls it knows that there is none.
func (s *Signer) AssumeAlone() { s.alone = true }

// Compare answers what the ledger says of its flow, nil where it says nothing, and what
// has changed since and may. It changes nothing.
func (s *Signer) Compare(ctx context.Context, now ledger.Identity) (*ledger.Identity, []ledger.Changed, error) {
	name := s.cfg.LedgerTopic()
	kept, err := ledger.ReadIdentity(ctx, s.target, name)
	if err != nil {
		return nil, nil, err
	}
	if kept == nil {
		found, err := s.evidence(ctx)
		switch {
		case err != nil:
		case holdsProgress(found.Books):
			if err = s.contradiction(found); err == nil {
				err = s.otherTopics(found)
			}
		case !s.alone:
			err = s.elsewhere(ctx)
		}
		return nil, nil, err
	}
	changes, err := compare(name, *kept, now, func() (*evidence, error) { return s.evidence(ctx) })
	if err == nil {
		err = s.unused(ctx, kept)
	}
	return kept, changes, err
}

// Seen is what somebody has read of a ledger and its clusters.
type Seen struct {
	Kept   *ledger.Identity // what the ledger says of its flow; nil: nothing
	Books  []*ledger.Shard  // all of its shards; none: it is not there
	Source *kafka.Description
	Target func() (*kafka.Description, error) // with all topics; called if it is needed
}

// CompareSeen says, by what was read already, why the ledger is not the flow's. Where it neither names its flow nor
// holds anything, the target's other ledgers are searched for the same copy, unless that is assumed not to be there:
// searched says so.
func (s *Signer) CompareSeen(ctx context.Context, now ledger.Identity, seen Seen) (searched bool, err error) {
	all := sync.OnceValues(func() (*evidence, error) {
		target, err := seen.Target()
		return &evidence{Books: seen.Books, Source: seen.Source, Target: target}, err
	})
	switch {
	case seen.Kept != nil:
		_, err = compare(s.cfg.LedgerTopic(), *seen.Kept, now, all)
	case holdsProgress(seen.Books):
		var found *evidence
		if found, err = all(); err == nil {
			err = s.contradiction(found)
		}
	case !s.alone:
		return true, s.elsewhere(ctx)
	}
	return false, err
}

// ErrRenamed ends a flow that is run under other names by now.
var ErrRenamed = errors.New("the ledger says that the flow has other names by now")

// Confirm reads once more whose the ledger is: an error is that it is not the flow's any more, not by its names either.
func (s *Signer) Confirm(ctx context.Context, now ledger.Identity) error {
	kept, err := ledger.ReadIdentity(ctx, s.target, s.cfg.LedgerTopic())
	if err != nil || kept == nil {
		return err
	}
	_, err = compare(s.cfg.LedgerTopic(), *kept, now, func() (*evidence, error) { return s.evidence(ctx) })
	if err == nil && kept.Flow() != s.cfg.Name() {
		err = ErrRenamed
	}
	return err
}

// contradiction looks for what contradicts in a ledger that does not name its flow.
func (s *Signer) contradiction(found *evidence) error {
	names := map[chunk.TopicID]string{}
	for topic, at := range found.Target.Topics {
		names[at.ID] = topic
	}
	for _, book := range found.Books {
		for _, k := range book.Keys() {
			want, verdict := s.policy.Topic(k.Partition.Topic)
			is, there := names[book.State(k).TargetTopic]
			if id := book.State(k).TargetTopic; id == (chunk.TopicID{}) || !there || !verdict.Selected || is == want {
				continue
			}
			return &IdentityError{Ledger: s.cfg.LedgerTopic(), Kept: ledger.Identity{From: s.cfg.From, To: s.cfg.To},
				What: "copy of topic " + k.Partition.Topic, Was: is, Is: want, Fix: "set naming, separator and the clusters' " +
					"names as they were; nothing was changed. To copy that way beside what is there, give the flow ledger: NAME, " +
					"and it begins anew"}
		}
	}
	return nil
}

// otherTopics refuses to begin with a ledger that does not name its flow and knows none
// of the topics that have the names of those it holds.
func (s *Signer) otherTopics(found *evidence) error {
	name := s.cfg.LedgerTopic()
	if p := found.sources(); p.same == 0 && p.other > 0 {
		return &IdentityError{Ledger: name, Kept: ledger.Identity{From: s.cfg.From, To: s.cfg.To}, What: "source topic " +
			p.example, Was: "one with another id, as are all its topics", Is: "not one of them", Fix: "if this is another " +
			"flow, which only calls its clusters the same: name one of its clusters otherwise; " +
			"nothing was changed, and nothing was copied"}
	}
	return nil
}

// evidence reads the ledger, and both clusters' topics where it holds something, once.
func (s *Signer) evidence(ctx context.Context) (*evidence, error) {
	if s.seen != nil {
		return s.seen, nil
	}
	found := &evidence{}
	var err error
	if found.Books, err = ledger.ReadAsItIs(ctx, s.target, s.cfg.LedgerTopic()); err != nil {
		return nil, err
	}
	if !holdsProgress(found.Books) {
		s.seen = found
		return found, nil
	}
	if found.Source, err = kafka.DescribeAll(ctx, s.source); err != nil {
		return nil, err
	}
	if found.Target, err = kafka.DescribeAll(ctx, s.target); err != nil {
		return nil, err
	}
	s.seen = found
	return found, nil
}

// Sign writes what Compare has found to be right: a new ledger names its flow, and a
// change is noted. Whoever wrote first has it: what was written is read again. It answers
// what the ledger says then.
func (s *Signer) Sign(ctx context.Context, now ledger.Identity, kept *ledger.Identity,
	changes []ledger.Changed) (*ledger.Identity, error) {
	name := s.cfg.LedgerTopic()
	note := now
	switch {
	case kept != nil && len(changes) == 0:
		return kept, nil
	case kept != nil:
		note = kept.Successor(now, changes)
		for _, c := range changes {
			s.log.Info("ledger notes a change of its flow", "ledger", name, "what", c.What, "was", c.Was, "now", c.Is)
		}
	case s.seen != nil && holdsProgress(s.seen.Books):
		s.log.Info("ledger of an earlier release is taken over", "ledger", name, "source_cluster", now.SourceCluster,
			"naming", now.Naming)
	}
	renamed := kept != nil && kept.Flow() != now.Flow()
	if renamed {
		if err := s.fence(ctx, kept); err != nil {
			return nil, err
		}
	}
	holds, err := s.write(ctx, note)
	if err != nil {
		return nil, err
	}
	if _, err := compare(name, *holds, now, func() (*evidence, error) { return s.evidence(ctx) }); err != nil {
		// Compaction keeps the last of a key: let it be the one that holds.
		if _, again := s.write(ctx, *holds); again != nil {
			return nil, again
		}
		return nil, err
	}
	if renamed { // whoever joined before the note was there is seen now, and whoever joins later reads it
		return holds, s.unused(ctx, kept)
	}
	return holds, nil
}

// Accept notes in the ledger that the flow's clusters are the ones of now, though their ids are not those that it was
// begun with. It is for an operator who knows that. Nobody may work on the flow, and all else has to be as it was. It
// answers what the ledger says then.
func (s *Signer) Accept(ctx context.Context, now ledger.Identity) (*ledger.Identity, error) {
	name := s.cfg.LedgerTopic()
	kept, err := ledger.ReadIdentity(ctx, s.target, name)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return nil, &kafka.Problem{What: fmt.Sprintf("ledger topic %q does not say whose it is", name),
			Fix: "there is nothing to accept: 'replicator run' signs it"}
	}
	note := *kept
	note.SourceCluster, note.TargetCluster = now.SourceCluster, now.TargetCluster
	if _, err := compare(name, note, now, nil); err != nil {
		return nil, err // naming and the like are nothing that can be accepted
	}
	for _, name := range []string{kept.Flow(), s.cfg.Name()} {
		if err := s.nobodyWorks(ctx, kept, name); err != nil {
			return nil, err
		}
	}
	var changes []ledger.Changed
	at := time.Now().UTC().Truncate(time.Millisecond)
	for _, d := range []struct{ what, was, is string }{
		{"source cluster", kept.SourceCluster, now.SourceCluster},
		{"target cluster", kept.TargetCluster, now.TargetCluster},
	} {
		if d.was != d.is {
			changes = append(changes, ledger.Changed{At: at, What: d.what + accepted, Was: d.was, Is: d.is})
		}
	}
	if len(changes) == 0 {
		return kept, nil
	}
	return s.write(ctx, kept.Successor(note, changes))
}

// write writes the note, and answers what the ledger says then.
func (s *Signer) write(ctx context.Context, note ledger.Identity) (*ledger.Identity, error) {
	name := s.cfg.LedgerTopic()
	records := []ledger.Record{ledger.NoteRecord(ledger.IdentityName, ledger.EncodeIdentity(note))}
	if err := ledger.WriteNotes(ctx, s.target, name, 0, records); err != nil {
		return nil, s.target.Explain(err)
	}
	holds, err := ledger.ReadIdentity(ctx, s.target, name)
	if err == nil && holds == nil {
		err = fmt.Errorf("ledger topic %q does not hold what was written to it a moment ago", name)
	}
	return holds, err
}
