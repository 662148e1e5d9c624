package failover

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/survey"
)

// Report is what is known of a failover: what may be lost, and where groups stand.
type Report struct {
	Record handover.Failover
	Topics []handover.LostTopic  // by name
	Groups []handover.StoodGroup // by name
}

func (r *Report) sort() {
	slices.SortFunc(r.Topics, func(a, b handover.LostTopic) int { return cmp.Compare(a.Topic, b.Topic) })
	slices.SortFunc(r.Groups, func(a, b handover.StoodGroup) int { return cmp.Compare(a.Group, b.Group) })
}

// known finds out what is known of a flow: from its ledger, from the target, and from what the source said.
type known struct {
	o      *Options
	look   *clients.Clients
	client *kgo.Client // of the target
	source *source
	books  []*ledger.Shard // of the ledger, as read last
}

// report says what is known now, for a record.
func (k *known) report(ctx context.Context, record handover.Failover) (*Report, error) {
	r := &Report{Record: record}
	states, names, err := k.states(ctx)
	if err != nil {
		return nil, err
	}
	stable, err := k.look.TargetOffsets.Stable(ctx, names)
	if err != nil {
		return nil, err
	}
	k.lost(r, states, stable)
	if err := k.stood(ctx, r, stable); err != nil {
		return nil, err
	}
	r.Record.Source, r.Record.Why = k.source.answer, k.source.whyText()
	r.sort()
	return r, nil
}

// states are those of the partitions whose records are on the target's topics of now. Of several that fill the same
// one, as when a topic of the source was made again, it is the last.
func (k *known) states(ctx context.Context) (map[chunk.Partition]*ledger.State, []string, error) {
	var names []string
	for _, book := range k.books {
		for _, key := range book.Keys() {
			if target, v := k.look.Policy.Topic(key.Partition.Topic); v.Selected {
				names = append(names, target)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil, nil, nil
	}
	seen, err := kafka.Describe(ctx, k.client, k.o.Clusters[k.o.Flow.To], names)
	if err != nil {
		return nil, nil, err
	}
	states := map[chunk.Partition]*ledger.State{}
	for _, book := range k.books {
		for _, key := range book.Keys() {
			target, v := k.look.Policy.Topic(key.Partition.Topic)
			state := book.State(key)
			if !v.Selected || state.TargetTopic == (chunk.TopicID{}) || seen.Topics[target].ID != state.TargetTopic {
				continue
			}
			if before := states[key.Partition]; before == nil || before.Expected() < state.Expected() {
				states[key.Partition] = state
			}
		}
	}
	return states, names, nil
}

// lost adds what is known of each topic.
func (k *known) lost(r *Report, states map[chunk.Partition]*ledger.State, stable listoffsets.Offsets) {
	topics := map[string]*handover.LostTopic{}
	for p, state := range states {
		t := topics[p.Topic]
		if t == nil {
			target, _ := k.look.Policy.Topic(p.Topic)
			t = &handover.LostTopic{ID: r.Record.ID, Topic: p.Topic, Target: target}
			topics[p.Topic] = t
		}
		for len(t.Progress) <= int(p.Number) { // one that never began has no state
			t.Progress, t.TargetEnds = append(t.Progress, -1), append(t.TargetEnds, -1)
			t.SeenEnds, t.SeenOpen = append(t.SeenEnds, -1), append(t.SeenOpen, -1)
		}
		t.Progress[p.Number] = int64(state.Progress)
		if end, known := listoffsets.TargetOf(stable, chunk.Partition{Topic: t.Target, Number: p.Number}); known {
			t.TargetEnds[p.Number] = int64(end)
		}
		if end, open, known := k.source.end(p); known {
			t.SeenEnds[p.Number], t.SeenOpen[p.Number] = end, open
			t.Saw(k.source.at)
		}
	}
	for _, t := range topics {
		records, unknown := t.NotCopied()
		r.Record.Partitions += len(t.Progress)
		r.Record.NotCopied, r.Record.EndsUnknown = r.Record.NotCopied+records, r.Record.EndsUnknown+unknown
		r.Topics = append(r.Topics, *t)
	}
}

// stood adds where each group stands on the target.
func (k *known) stood(ctx context.Context, r *Report, stable listoffsets.Offsets) error {
	standing, err := k.look.Groups.Standing(ctx)
	if err != nil {
		return err
	}
	for _, g := range standing {
		one := handover.StoodGroup{ID: r.Record.ID, Group: g.Group, Target: g.Target, Members: g.Members,
			Positions: []handover.StoodPosition{}}
		if g.Err != nil {
			one.Error = g.Err.Error()
		}
		for _, at := range g.Positions {
			one.Positions = append(one.Positions, stoodAt(&at, stable))
		}
		r.Groups = append(r.Groups, one)
	}
	r.Record.Groups = len(r.Groups)
	return nil
}

func stoodAt(at *groups.Stand, stable listoffsets.Offsets) handover.StoodPosition {
	p := handover.StoodPosition{Topic: at.Partition.Topic, Partition: at.Partition.Number, Target: at.Committed.Offset,
		Lag: -1, Source: -1}
	if end, known := listoffsets.TargetOf(stable, at.Target); known {
		p.Lag = max(int64(end)-p.Target, 0)
	}
	if at.Mark != nil {
		p.Source = int64(at.Mark.Source)
	}
	return p
}

// open names the transactions of others that are open on the flow's topics of the target, and counts the
// flow's own.
func (k *known) open(ctx context.Context) (others []string, own int, err error) {
	_, names, err := k.states(ctx)
	if err != nil || len(names) == 0 {
		return nil, 0, err
	}
	stable, err := k.look.TargetOffsets.Stable(ctx, names)
	if err != nil {
		return nil, 0, err
	}
	ends, err := k.look.TargetOffsets.Ends(ctx, names)
	if err != nil {
		return nil, 0, err
	}
	var held []chunk.Partition
	for p, end := range ends {
		if at := stable[p]; end.Err == nil && at.Err == nil && at.Offset < end.Offset {
			held = append(held, p)
		}
	}
	if len(held) == 0 {
		return nil, 0, nil
	}
	slices.SortFunc(held, chunk.Partition.Compare)
	cluster := survey.Of(k.o.Clusters[k.o.Flow.To], k.client)
	seen, unknown := cluster.Producers(ctx, held)
	var ids []int64
	for _, p := range seen {
		if p.Open >= 0 {
			ids = append(ids, p.ID)
		}
	}
	known, _ := cluster.Transactions(ctx, ids) // without them they go by the producer's id
	for _, p := range seen {
		switch {
		case p.Open < 0:
		case k.claims(p.ID):
			own++
		default:
			others = append(others, describe(&p, known))
		}
	}
	if unknown != nil {
		others = append(others, fmt.Sprintf("not known by whom: %v", unknown))
	}
	return others, own, ctx.Err()
}

// claims says whether the flow has said that it writes under a producer id.
func (k *known) claims(producer int64) bool {
	return slices.ContainsFunc(k.books, func(b *ledger.Shard) bool { return b.Claims(producer) })
}

// describe says whose a transaction is, and since where it is open.
func describe(p *survey.Producer, known []survey.Transaction) string {
	who := fmt.Sprintf("producer id %d", p.ID)
	for _, t := range known {
		if t.Producer == p.ID {
			who = "transactional id " + t.ID
		}
	}
	return fmt.Sprintf("%s from offset %d: %s", p.Partition, p.Open, who)
}
