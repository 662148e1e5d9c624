package provenance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// Refills says whether a flow that begins with a partition would bring back to the target what that had before: the
// opposite flow has copied it from a topic there which is gone, to the one of the source.
func (w *SourceWriters) Refills(ctx context.Context, p chunk.Partition, topics Topics) (bool, error) {
	if err := w.look(ctx, time.Now()); err != nil {
		return false, err
	}
	flows, _, _ := w.known(chunk.Written{Producer: -1})
	for _, f := range flows {
		if f.author.Kind != Opposite || f.id.Naming != string(policy.Identity) {
			continue
		}
		of := f.bookOf(p)
		book, err := ledger.ReadOne(ctx, w.source, of.ledger, f.id.Shards, of.shard)
		if err != nil {
			return false, w.source.Explain(err)
		}
		if book != nil && copiedFromFormer(book, p, topics) {
			return true, nil
		}
	}
	return false, nil
}

// copiedFromFormer says whether a ledger has copied to the source's partition from a topic that is not the target's of
// now.
func copiedFromFormer(book *ledger.Shard, p chunk.Partition, topics Topics) bool {
	return slices.ContainsFunc(book.Keys(), func(k ledger.Key) bool {
		state := book.State(k)
		if k.Partition != p || k.Topic == topics.Target || state.SourceTopic == topics.Target ||
			state.TargetTopic != topics.Source {
			return false
		}
		_, copied := state.Map.First()
		return copied
	})
}

// SeveralFill is why a topic of the target is not filled anew with what it had before, where another flow would bring
// that as well; nil: no other fills it, as far as is known.
func (w *Writers) SeveralFill(p chunk.Partition, target string) (*chunk.Stop, error) {
	v := w.others.seen.Load()
	if v == nil {
		return nil, nil
	}
	for _, h := range w.others.toTarget(v) {
		chosen, err := h.Policy(nil)
		if err != nil {
			return nil, err
		}
		name, named := chosen.SourceTopic(target)
		if _, verdict := chosen.Topic(name); !named || !verdict.Selected {
			continue
		}
		return &chunk.Stop{Partition: p, Kind: chunk.StopTaken,
			Reason: fmt.Sprintf("topic %s on cluster %s was made anew, and flow %s fills it as well: each would bring back "+
				"what it had held, so that records were there twice, and carried on from there", target, w.cfg.To, h.String()),
			Fix: fmt.Sprintf("the sources of both have what was brought to them before. Either let applications go on with a "+
				"topic of another name, or choose one site that fills it: leave the topic out (exclude_topics), for good, of "+
				"all other flows to and from %s", w.cfg.To)}, nil
	}
	return nil, nil
}

// toTarget are other flows to the target: of the same configuration, of ledgers there, and those that flows to the
// source know of.
func (n *Neighbours) toTarget(v *Neighbourhood) []policy.Hop {
	list := slices.DeleteFunc(slices.Clone(n.cfg.Beside), func(h policy.Hop) bool { return h.To != n.cfg.To })
	add := func(up *ledger.Upstream) {
		if up.Ledger == n.cfg.LedgerTopic() || up.Identity.TargetCluster != v.target.Cluster {
			return
		}
		if h, ok := n.named(up, v); ok {
			list = append(list, h)
		}
	}
	for i := range v.upstream {
		add(&v.upstream[i])
	}
	for i := range v.target.Ledgers {
		l := &v.target.Ledgers[i]
		if l.Rules == nil || !atWork(l, v.target.Cluster) {
			continue
		}
		add(&ledger.Upstream{Ledger: l.Topic, Identity: *l.Identity, Topics: l.Rules.Topics,
			ExcludeTopics: l.Rules.ExcludeTopics, Habits: l.Rules.Habits})
	}
	return list
}
