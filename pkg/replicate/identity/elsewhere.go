package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// RenamedError reports a flow without progress whose topics another ledger on the target
// has copied already, from the same source to where this flow would: the clusters were
// renamed, or a line with the ledger's name was lost.
type RenamedError struct {
	Ledger, Other string           // topics
	Flow          string           // this one's name, as old->new
	Kept          *ledger.Identity // what Other says of its flow; nil: nothing
	Topics        []string         // that both copy, by their names on the source
	Prefixed      bool             // naming: prefix
	TargetPrefix  string           // what the name of a ledger begins with beyond what the configuration gives
}

func (e *RenamedError) Error() string {
	under := ""
	if e.Kept != nil {
		under = ", as flow " + e.Kept.Flow()
	}
	return fmt.Sprintf("flow %s has no progress, but ledger topic %q on its target holds the same copy%s: %s from the "+
		"same source to the same target", e.Flow, e.Other, under, some(e.Topics))
}

// Remedy tells what to do.
func (e *RenamedError) Remedy() string {
	named := "as before"
	if e.Kept != nil {
		named = fmt.Sprintf("%s and %s again", e.Kept.From, e.Kept.To)
	}
	goOn := fmt.Sprintf("name the clusters %s; or put 'ledger: %s' into the flow, which goes on under the new names",
		named, strings.TrimPrefix(e.Other, e.TargetPrefix))
	if e.Prefixed {
		goOn = fmt.Sprintf("name the clusters %s: with naming: prefix the source's name is part of the topics' names", named)
	}
	return goOn + "; or leave those topics to the other flow with exclude_topics. Nothing was changed, and nothing has " +
		"to be deleted"
}

// some names the first few topics of a list.
func some(topics []string) string {
	switch n := len(topics); {
	case n == 1:
		return "1 topic, " + topics[0] + ","
	case n <= 3:
		return fmt.Sprintf("%d topics, %s,", n, strings.Join(topics, ", "))
	default:
		return fmt.Sprintf("%d topics, %s and others,", n, strings.Join(topics[:3], ", "))
	}
}

// elsewhere looks for another ledger on the target that has copied this flow's topics
// from where it would to where it would. Ledgers of the configuration's own flows are not
// meant. One that cannot be read is passed over with a warning: whatever its flow has
// copied stops as foreign_records.
func (s *Signer) elsewhere(ctx context.Context) error {
	source, err := kafka.DescribeAll(ctx, s.source)
	if err != nil {
		return err
	}
	target, err := kafka.DescribeAll(ctx, s.target)
	if err != nil {
		return err
	}
	known := map[string]bool{s.cfg.LedgerTopic(): true}
	for _, f := range s.cfg.Flows {
		if f.To == s.cfg.To {
			known[f.LedgerTopic()] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(target.Topics)) {
		if known[name] || !strings.HasPrefix(name, s.cfg.TargetPrefix+policy.LedgerPrefix) {
			continue
		}
		topics, kept, err := s.copiedBy(ctx, name, source, target)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			s.log.Warn("another ledger cannot be read: whether it belongs to this flow is not known", "ledger", name,
				"error", err, "remedy", chunk.Remedy(err))
		case len(topics) > 0:
			return &RenamedError{Ledger: s.cfg.LedgerTopic(), Other: name, Flow: s.cfg.Name(), Kept: kept, Topics: topics,
				Prefixed: s.cfg.Naming == policy.Prefix, TargetPrefix: s.cfg.TargetPrefix}
		}
	}
	return nil
}

// copiedBy lists the topics of this flow that another ledger has copied to where this
// flow would copy them, by topic ids on both sides.
func (s *Signer) copiedBy(ctx context.Context, name string, source, target *kafka.Description) (
	[]string, *ledger.Identity, error) {
	books, err := ledger.ReadAsItIs(ctx, s.target, name)
	if err != nil || len(books) == 0 {
		return nil, nil, err
	}
	kept, err := books[0].Identity()
	if err != nil {
		return nil, nil, err
	}
	found := map[string]bool{}
	for _, book := range books {
		for _, k := range book.Keys() {
			topic := k.Partition.Topic
			to, verdict := s.policy.Topic(topic)
			id := book.State(k).TargetTopic
			found[topic] = found[topic] || verdict.Selected && k.Topic != chunk.TopicID{} && id != chunk.TopicID{} &&
				source.Topics[topic].ID == k.Topic && target.Topics[to].ID == id
		}
	}
	maps.DeleteFunc(found, func(_ string, same bool) bool { return !same })
	return slices.Sorted(maps.Keys(found)), kept, nil
}

// NamesInUseError reports a flow that replicas work on under other names of its clusters.
type NamesInUseError struct {
	Flow, Kept string // as old->new
	Group      string // of the others
	Members    int
}

func (e *NamesInUseError) Error() string {
	return fmt.Sprintf("flow %s is still run as %s, by %d replicas (group %s)", e.Flow, e.Kept, e.Members, e.Group)
}

// Remedy tells what to do.
func (e *NamesInUseError) Remedy() string {
	if e.Flow == e.Kept {
		return "stop the replicas first"
	}
	return "stop the replicas with the former names; this one goes on by itself when they are gone"
}

// unused makes sure that nobody works on the flow under the names that it had.
func (s *Signer) unused(ctx context.Context, kept *ledger.Identity) error {
	if kept.Flow() == s.cfg.Name() {
		return nil
	}
	return s.nobodyWorks(ctx, kept, kept.Flow())
}

// nobodyWorks makes sure that the group of a flow of the ledger, by its name or the one of
// now, has no members.
func (s *Signer) nobodyWorks(ctx context.Context, kept *ledger.Identity, name string) error {
	before := *s.cfg
	if name == kept.Flow() {
		before.From, before.To = kept.From, kept.To
	}
	client, err := kafka.NewFranz(s.target)
	if err != nil {
		return err
	}
	defer client.Close()
	members, err := groups.Members(ctx, client, s.target, before.GroupID())
	if err != nil || len(members) == 0 { // nobody works under those names
		return err
	}
	return &NamesInUseError{s.cfg.Name(), name, before.GroupID(), len(members)}
}

// fence ends what was left under the transactional ids of former names, so that nothing
// of it can still be committed.
func (s *Signer) fence(ctx context.Context, kept *ledger.Identity) error {
	before := *s.cfg
	before.From, before.To = kept.From, kept.To
	var ids []string
	for shard := range s.cfg.Shards {
		ids = append(ids, before.TransactionalID(int32(shard)))
	}
	if err := ledger.Fence(ctx, s.target, ids); err != nil {
		return s.target.ExplainTransactions(before.GroupID()+".", err)
	}
	return nil
}

// IsOtherFlow says whether an error is that the ledger, or the copy, is another flow's.
func IsOtherFlow(err error) bool {
	var other *IdentityError
	var renamed *RenamedError
	return errors.As(err, &other) || errors.As(err, &renamed)
}
