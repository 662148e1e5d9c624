package identity

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// identity is what the flow's ledger is to say of it, with the ids of its clusters.
func Of(c *settings.Config, sourceID, targetID string) ledger.Identity {
	i := ledger.Identity{
		Revision: 1, From: c.From, To: c.To, SourceCluster: sourceID, TargetCluster: targetID, Naming: string(c.Naming),
		SourcePrefix: c.SourcePrefix, TargetPrefix: c.TargetPrefix, Shards: c.Shards, Program: programVersion(),
		Since: time.Now().UTC().Truncate(time.Millisecond),
	}
	if c.Naming == policy.Prefix {
		i.Separator = c.Separator
	}
	return i
}

// programVersion is the module's version, as the build noted it.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// IdentityError reports a ledger that belongs to another flow than the configuration
// describes: going on would mix two flows, or copy everything once more.
type IdentityError struct {
	Ledger string
	Kept   ledger.Identity
	What   string // what differs, as in "source cluster"
	Was    string // what the ledger says
	Is     string // what the configuration says, or the clusters
	Fix    string
}

func (e *IdentityError) Error() string {
	begun := ""
	if !e.Kept.Since.IsZero() {
		begun = fmt.Sprintf(" (it was begun as %s on %s)", e.Kept.Flow(), e.Kept.Since.Format(time.DateOnly))
	}
	return fmt.Sprintf("ledger topic %q belongs to another flow: its %s is %s, here it is %s%s",
		e.Ledger, e.What, e.Was, e.Is, begun)
}

// Remedy tells what to do.
func (e *IdentityError) Remedy() string { return e.Fix }

// evidence is what tells whether a cluster with another id, or a ledger that does not
// name its flow, is that of this flow all the same.
type Evidence struct {
	Books          []*ledger.Shard
	Source, Target *kafka.Description // with all topics
}

// proof counts the topics that the ledger knows and a cluster has: with the same id, and
// under the same name with another.
type proof struct {
	same, other int
	example     string // of other
}

// sources compares the ledger's source topics with the source's.
func (e *Evidence) sources() (p proof) {
	seen := map[ledger.Key]bool{}
	for _, book := range e.Books {
		for _, k := range book.Keys() {
			topic := ledger.Key{Topic: k.Topic, Partition: chunk.Partition{Topic: k.Partition.Topic}}
			found, there := e.Source.Topics[k.Partition.Topic]
			if seen[topic] || !there || found.Err != nil {
				continue
			}
			seen[topic] = true
			p.count(k.Topic, found.Id, k.Partition.Topic)
		}
	}
	return p
}

// targets compares the topics that the ledger has written to with those of the target,
// whatever their names.
func (e *Evidence) targets() (p proof) {
	there := map[chunk.TopicID]bool{}
	for _, topic := range e.Target.Topics {
		there[topic.Id] = topic.Err == nil
	}
	for _, book := range e.Books {
		for _, k := range book.Keys() {
			if id := book.State(k).TargetTopic; id != (chunk.TopicID{}) && there[id] {
				p.same++
			} else if id != (chunk.TopicID{}) {
				p.other, p.example = p.other+1, k.Partition.Topic
			}
		}
	}
	return p
}

func (p *proof) count(kept, found chunk.TopicID, name string) {
	switch {
	case kept == (chunk.TopicID{}) || found == (chunk.TopicID{}): // a cluster without ids proves nothing
	case kept == found:
		p.same++
	default:
		p.other, p.example = p.other+1, name
	}
}

// compareIdentities compares a ledger's identity with that of this flow. It answers what has changed
// and may, or why the flow must not go on.
func Compare(name string, kept, now ledger.Identity,
	look func() (*Evidence, error)) ([]ledger.Changed, error) {
	refuse := func(what, was, is, fix string) ([]ledger.Changed, error) {
		return nil, &IdentityError{Ledger: name, Kept: kept, What: what, Was: was, Is: is, Fix: fix}
	}
	changes, err := compareClusters(name, kept, now, look)
	if err != nil {
		return nil, err
	}
	anew := "; nothing was changed. To copy that way beside what is there, give the flow a ledger of its own, " +
		"ledger: NAME, and it begins anew"
	for _, d := range []struct{ key, was, is string }{
		{"naming", kept.Naming, now.Naming}, {"separator", kept.Separator, now.Separator},
		{"source prefix", kept.SourcePrefix, now.SourcePrefix}, {"target prefix", kept.TargetPrefix, now.TargetPrefix},
	} {
		if d.was != d.is {
			return refuse(d.key, orNone(d.was), orNone(d.is), fmt.Sprintf("set %s back to %s: with another one the same "+
				"topics would be copied once more, from their beginning%s", d.key, orNone(d.was), anew))
		}
	}
	if kept.Shards != now.Shards {
		return nil, &ledger.ShardsError{Ledger: name, Have: kept.Shards, Want: now.Shards}
	}
	if kept.From != now.From && now.Naming == string(policy.Prefix) {
		return refuse("source cluster's name", kept.From, now.From, fmt.Sprintf("name the cluster %s again: with naming: "+
			"prefix its name is part of the topics' names on the target%s", kept.From, anew))
	}
	for _, d := range []struct{ what, was, is string }{
		{"flow", kept.Flow(), now.Flow()}, {"program", kept.Program, now.Program},
	} {
		if d.was != d.is {
			changes = append(changes, ledger.Changed{At: now.Since, What: d.what, Was: d.was, Is: d.is})
		}
	}
	return changes, nil
}

// compareClusters compares cluster ids. One that changed is accepted where topics with the
// ids that the ledger knows are there: a cluster that was restored under a new id.
func compareClusters(name string, kept, now ledger.Identity, look func() (*Evidence, error)) ([]ledger.Changed, error) {
	var changes []ledger.Changed
	for _, d := range []struct {
		what, side, was, is string
		proof               func(*Evidence) proof
	}{
		{"source cluster", now.From, kept.SourceCluster, now.SourceCluster, (*Evidence).sources},
		{"target cluster", now.To, kept.TargetCluster, now.TargetCluster, (*Evidence).targets},
	} {
		if d.was == d.is || d.was == "" || d.is == "" {
			continue
		}
		found, err := look()
		if err != nil {
			return nil, err
		}
		left := slices.ContainsFunc(kept.Changes, func(c ledger.Changed) bool {
			return c.What == d.what+Accepted && c.Was == d.is // whose topics the ledger still knows
		})
		if left || !HoldsProgress(found.Books) || d.proof(found).same == 0 {
			return nil, &IdentityError{Ledger: name, Kept: kept, What: d.what, Was: "the one with id " + d.was,
				Is: "the one with id " + d.is, Fix: fmt.Sprintf("if this is another flow, which only calls its clusters the "+
					"same: name one of its clusters otherwise; if bootstrap.servers of %s leads to the "+
					"wrong cluster, correct it; if the cluster was built anew in place of the former one, say so once with "+
					"'replicator ledger --accept-clusters'. Nothing was changed, and nothing was copied", d.side)}
		}
		changes = append(changes, ledger.Changed{At: now.Since, What: d.what + " id", Was: d.was, Is: d.is})
	}
	return changes, nil
}

// accepted ends what a change is called that an operator asked for.
const Accepted = " id, accepted"

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// signer compares a flow with what its ledger says, and signs a new ledger.
type Signer struct {
	cfg            *settings.Config
	source, Target kafka.Config
	policy         *policy.Policy
	log            *slog.Logger

	Sure bool // that no other ledger holds the same copy

	Seen *Evidence
}

func NewSigner(cfg *settings.Config, source, target kafka.Config, chosen *policy.Policy, log *slog.Logger) Signer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return Signer{cfg: cfg, source: source, Target: target, policy: chosen, log: log}
}

// compare answers what the ledger says of its flow, nil where it says nothing, and what
// has changed since and may. It changes nothing.
func (s *Signer) Compare(ctx context.Context, now ledger.Identity) (*ledger.Identity, []ledger.Changed, error) {
	name := s.cfg.LedgerTopic()
	kept, err := ledger.ReadIdentity(ctx, s.Target, name)
	if err != nil {
		return nil, nil, err
	}
	if kept == nil {
		found, err := s.Evidence(ctx)
		switch {
		case err != nil:
		case HoldsProgress(found.Books):
			if err = s.Contradiction(found); err == nil {
				err = s.otherTopics(found)
			}
		case !s.Sure:
			err = s.Elsewhere(ctx)
		}
		return nil, nil, err
	}
	changes, err := Compare(name, *kept, now, func() (*Evidence, error) { return s.Evidence(ctx) })
	if err == nil {
		err = s.unused(ctx, kept)
	}
	return kept, changes, err
}

// contradiction looks for what contradicts in a ledger that does not name its flow.
func (s *Signer) Contradiction(found *Evidence) error {
	names := map[chunk.TopicID]string{}
	for topic, at := range found.Target.Topics {
		names[at.Id] = topic
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
func (s *Signer) otherTopics(found *Evidence) error {
	name := s.cfg.LedgerTopic()
	if p := found.sources(); p.same == 0 && p.other > 0 {
		return &IdentityError{Ledger: name, Kept: ledger.Identity{From: s.cfg.From, To: s.cfg.To}, What: "source topic " +
			p.example, Was: "one with another id, as are all its topics", Is: "not one of them", Fix: "if this is another " +
			"flow, which only calls its clusters the same: name one of its clusters otherwise; " +
			"nothing was changed, and nothing was copied"}
	}
	return nil
}

// look reads the ledger, and both clusters' topics where it holds something, once.
func (s *Signer) Evidence(ctx context.Context) (*Evidence, error) {
	if s.Seen != nil {
		return s.Seen, nil
	}
	found := &Evidence{}
	var err error
	if found.Books, err = ledger.ReadAsItIs(ctx, s.Target, s.cfg.LedgerTopic()); err != nil {
		return nil, err
	}
	if !HoldsProgress(found.Books) {
		s.Seen = found
		return found, nil
	}
	if found.Source, err = kafka.DescribeAll(ctx, s.source); err != nil {
		return nil, err
	}
	if found.Target, err = kafka.DescribeAll(ctx, s.Target); err != nil {
		return nil, err
	}
	s.Seen = found
	return found, nil
}

// sign writes what compare has found to be right: a new ledger names its flow, and a
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
	case s.Seen != nil && HoldsProgress(s.Seen.Books):
		s.log.Info("ledger of an earlier release is taken over", "ledger", name, "source_cluster", now.SourceCluster,
			"naming", now.Naming)
	}
	renamed := kept != nil && kept.Flow() != now.Flow()
	if renamed {
		if err := s.shutOut(ctx, kept); err != nil {
			return nil, err
		}
	}
	holds, err := s.Write(ctx, note)
	if err != nil {
		return nil, err
	}
	if _, err := Compare(name, *holds, now, func() (*Evidence, error) { return s.Evidence(ctx) }); err != nil {
		// Compaction keeps the last of a key: let it be the one that holds.
		if _, again := s.Write(ctx, *holds); again != nil {
			return nil, again
		}
		return nil, err
	}
	if renamed { // whoever joined before the note was there is seen now, and whoever joins later reads it
		return holds, s.unused(ctx, kept)
	}
	return holds, nil
}

// write writes the note, and answers what the ledger says then.
func (s *Signer) Write(ctx context.Context, note ledger.Identity) (*ledger.Identity, error) {
	name := s.cfg.LedgerTopic()
	records := []ledger.Record{ledger.NoteRecord(ledger.IdentityName, ledger.EncodeIdentity(note))}
	if err := ledger.WriteNotes(ctx, s.Target, name, 0, records); err != nil {
		return nil, s.Target.Explain(err)
	}
	holds, err := ledger.ReadIdentity(ctx, s.Target, name)
	if err == nil && holds == nil {
		err = fmt.Errorf("ledger topic %q does not hold what was written to it a moment ago", name)
	}
	return holds, err
}

// holdsProgress says whether anything was copied by a ledger.
func HoldsProgress(books []*ledger.Shard) bool {
	for _, book := range books {
		if len(book.Keys()) > 0 {
			return true
		}
	}
	return false
}
