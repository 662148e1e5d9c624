package identity

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Of is what the flow's ledger is to say of it, with the ids of its clusters.
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
type evidence struct {
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
func (e *evidence) sources() (p proof) {
	seen := map[ledger.Key]bool{}
	for _, book := range e.Books {
		for _, k := range book.Keys() {
			topic := ledger.Key{Topic: k.Topic, Partition: chunk.Partition{Topic: k.Partition.Topic}}
			found, there := e.Source.Topics[k.Partition.Topic]
			if seen[topic] || !there || found.Err != nil {
				continue
			}
			seen[topic] = true
			p.count(k.Topic, found.ID, k.Partition.Topic)
		}
	}
	return p
}

// targets compares the topics that the ledger has written to with those of the target,
// whatever their names.
func (e *evidence) targets() (p proof) {
	there := map[chunk.TopicID]bool{}
	for _, topic := range e.Target.Topics {
		there[topic.ID] = topic.Err == nil
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

// compare compares a ledger's identity with that of this flow. It answers what has changed
// and may, or why the flow must not go on.
func compare(name string, kept, now ledger.Identity, see func() (*evidence, error)) ([]ledger.Changed, error) {
	refuse := func(what, was, is, fix string) ([]ledger.Changed, error) {
		return nil, &IdentityError{Ledger: name, Kept: kept, What: what, Was: was, Is: is, Fix: fix}
	}
	changes, err := compareClusters(name, kept, now, see)
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
func compareClusters(name string, kept, now ledger.Identity, see func() (*evidence, error)) ([]ledger.Changed, error) {
	var changes []ledger.Changed
	for _, d := range []struct {
		what, side, was, is string
		proof               func(*evidence) proof
	}{
		{"source cluster", now.From, kept.SourceCluster, now.SourceCluster, (*evidence).sources},
		{"target cluster", now.To, kept.TargetCluster, now.TargetCluster, (*evidence).targets},
	} {
		if d.was == d.is || d.was == "" || d.is == "" {
			continue
		}
		found, err := see()
		if err != nil {
			return nil, err
		}
		left := slices.ContainsFunc(kept.Changes, func(c ledger.Changed) bool {
			return c.What == d.what+accepted && c.Was == d.is // whose topics the ledger still knows
		})
		if left || !holdsProgress(found.Books) || d.proof(found).same == 0 {
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
const accepted = " id, accepted"

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// holdsProgress says whether anything was copied by a ledger.
func holdsProgress(books []*ledger.Shard) bool {
	for _, book := range books {
		if len(book.Keys()) > 0 {
			return true
		}
	}
	return false
}
