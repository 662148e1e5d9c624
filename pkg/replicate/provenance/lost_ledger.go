package provenance

import (
	"context"
	"fmt"
	"slices"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// LostLedgerError reports that a ledger of a pair is not the one that it was, while topics are there that the pair had
// copied: what its flow had brought to them cannot be told from what began there, and would be copied back.
type LostLedgerError struct {
	Flow, Lost      string // the flow that found it, and the one whose ledger it was
	Ledger, Cluster string
	Topics          []string // that were there before it; none: the flow Lost says so of itself
}

func (e *LostLedgerError) Error() string {
	if len(e.Topics) == 0 {
		return fmt.Sprintf("flow %s had another ledger topic %s on cluster %s than the one of now, as flow %s has noted: "+
			"what it brought there by the former one is not known", e.Lost, e.Ledger, e.Cluster, e.Flow)
	}
	return fmt.Sprintf("ledger topic %s of flow %s on cluster %s is gone, or another one by now, while topics are there "+
		"that it had filled (%s): which of their records it brought is not known, and they would be copied back", e.Ledger,
		e.Lost, e.Cluster, kafka.Few(e.Topics))
}

// Remedy tells what to do.
func (e *LostLedgerError) Remedy() string {
	if len(e.Topics) == 0 {
		return fmt.Sprintf("start flow %s: it goes on by itself where those topics are gone too, and are filled anew; else "+
			"it says what to do", e.Flow)
	}
	return fmt.Sprintf("nothing is copied until that is decided. Leave these topics out (exclude_topics), or copy them "+
		"under another name (naming: prefix). 'replicator ledger --accept-opposite' of flow %s has it go on with the ledger "+
		"that is there now: do that where it was put back from a backup, or where records that are there twice do no harm",
		e.Flow)
}

// LostLedger is why a pair must not go on, one of whose ledgers was lost; nil: none was. It costs a question only where
// one was.
func (n *Neighbours) LostLedger(ctx context.Context, v *Neighbourhood) error {
	for i := range v.Source.Ledgers {
		l := &v.Source.Ledgers[i]
		if l.Rules == nil || !isOpposite(l, v.Source.Cluster, v.target.Cluster) {
			continue
		}
		for _, up := range l.Rules.Upstream {
			if up.Ledger == n.cfg.LedgerTopic() && up.Identity.TargetCluster == v.target.Cluster && up.LedgerID != "" &&
				up.LedgerID != v.Own.ID.String() {
				return &LostLedgerError{Flow: l.Identity.Flow(), Lost: n.cfg.Name(), Ledger: up.Ledger, Cluster: n.cfg.To}
			}
		}
	}
	if v.Own.Rules == nil {
		return nil
	}
	for _, up := range v.Own.Rules.Upstream {
		there := func(l ledger.Other) bool { return l.Topic == up.Ledger && l.ID.String() == up.LedgerID }
		if up.LedgerID == "" || up.Identity.TargetCluster != v.Source.Cluster ||
			up.Identity.SourceCluster != v.target.Cluster || slices.ContainsFunc(v.Source.Ledgers, there) {
			continue
		}
		topics, err := n.outlived(ctx, v, &up)
		if err != nil {
			return err
		}
		if len(topics) > 0 {
			return &LostLedgerError{Flow: n.cfg.Name(), Lost: up.Identity.Flow(), Ledger: up.Ledger, Cluster: n.cfg.From,
				Topics: topics}
		}
	}
	return nil
}

// outlived are the topics of the source that both flows of a pair had copied, and that are still there.
func (n *Neighbours) outlived(ctx context.Context, v *Neighbourhood, opposite *ledger.Upstream) ([]string, error) {
	hop, _ := n.hop(opposite, v)
	back, err := hop.Policy(n.cfg.Flows)
	if err != nil {
		return nil, err
	}
	own, err := policy.New(n.cfg.Config)
	if err != nil {
		return nil, err
	}
	seen, err := kafka.DescribeAll(ctx, n.sourceConfig)
	if err != nil {
		return nil, err
	}
	if l, there := seen.Topics[opposite.Ledger]; there && (l.Err != nil || l.ID.String() == opposite.LedgerID) {
		return nil, nil // it was not listed a moment ago
	}
	books, err := ledger.ReadAsItIs(ctx, n.targetConfig, n.cfg.LedgerTopic())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, book := range books {
		for _, k := range book.Keys() {
			topic := k.Partition.Topic
			target, _ := own.Topic(topic)
			if _, filled := back.Topic(target); !filled.Selected {
				continue
			}
			if id := k.Topic; id != (chunk.TopicID{}) && seen.Topics[topic].ID == id && !slices.Contains(names, topic) {
				names = append(names, topic)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}
