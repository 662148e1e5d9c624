package failover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/survey"
)

// Report is what is known of a failover: what may be lost, and where groups stand.
type Report struct {
	Record handover.Failover
	Closed bool                  // the flow is, or begins to be: no cutover of it is possible any more
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
	targets := k.targets()
	list, err := k.partitions(ctx, targets)
	if err != nil {
		return nil, err
	}
	stable, err := k.look.TargetOffsets.Stable(ctx, targets)
	if err != nil {
		return nil, err
	}
	k.lost(r, list, stable)
	if err := k.stood(ctx, r, stable); err != nil {
		return nil, err
	}
	r.Record.Source, r.Record.Why, r.Record.Opposite = k.source.answer, k.source.whyText(), k.source.opposite
	r.sort()
	return r, nil
}

// partition is what is known of a partition of the source.
type partition struct {
	state *ledger.State // whose records are on the target's topic of now; nil: it has none there
	end   seen.End      // as it was seen last
}

// targets lists the topics that the flow copies to.
func (k *known) targets() (names []string) {
	for _, book := range k.books {
		for _, key := range book.Keys() {
			if target, v := k.look.Policy.Topic(key.Partition.Topic); v.Selected {
				names = append(names, target)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// partitions are all that the ledger knows, or the source has just told of.
func (k *known) partitions(ctx context.Context, targets []string) (map[chunk.Partition]*partition, error) {
	there := &kafka.Description{}
	if len(targets) > 0 {
		var err error
		if there, err = kafka.Describe(ctx, k.client, k.o.Clusters[k.o.Flow.To], targets); err != nil {
			return nil, err
		}
	}
	list := map[chunk.Partition]*partition{}
	for _, book := range k.books {
		if err := k.ofBook(book, there, list); err != nil {
			return nil, err
		}
	}
	if err := k.empty(list); err != nil {
		return nil, err
	}
	for p := range k.source.ends {
		if list[p] == nil {
			list[p] = &partition{}
		}
		k.source.lastSeen(p, list[p])
	}
	return list, nil
}

// ofBook adds what one partition of the ledger knows. Of several states that fill the same partition of the target, as
// when a topic of the source was made again, it is the last.
func (k *known) ofBook(book *ledger.Shard, there *kafka.Description, list map[chunk.Partition]*partition) error {
	note, err := seen.Of(book)
	if err != nil {
		return err
	}
	for _, key := range book.Keys() {
		target, v := k.look.Policy.Topic(key.Partition.Topic)
		state := book.State(key)
		if !v.Selected || state.TargetTopic == (chunk.TopicID{}) || there.Topics[target].ID != state.TargetTopic {
			continue
		}
		if before := list[key.Partition]; before == nil || before.state.Expected() < state.Expected() {
			list[key.Partition] = &partition{state: state, end: note.End(key.Partition, state.Progress)}
		}
	}
	for _, topic := range note.Topics {
		for _, one := range topic.Partitions {
			p := chunk.Partition{Topic: topic.Topic, Number: one.Partition}
			if _, v := k.look.Policy.Topic(p.Topic); v.Selected && list[p] == nil {
				list[p] = &partition{end: note.End(p, 0)}
			}
		}
	}
	return nil
}

// empty adds the partitions of the topics listed that no book has a record of: they held nothing when their shard was
// noted last, which may be longer ago than for the others.
func (k *known) empty(list map[chunk.Partition]*partition) error {
	counts, begun := map[string]int32{}, map[chunk.Partition]bool{}
	for p := range list {
		counts[p.Topic] = max(counts[p.Topic], p.Number+1)
	}
	notes := make([]seen.Note, len(k.books))
	for n, book := range k.books {
		var err error
		if notes[n], err = seen.Of(book); err != nil {
			return err
		}
		for _, key := range book.Keys() {
			begun[key.Partition] = true
		}
	}
	for topic, count := range counts {
		for number := range count {
			p := chunk.Partition{Topic: topic, Number: number}
			if list[p] == nil && !begun[p] {
				list[p] = &partition{end: notes[p.Shard(len(notes))].End(p, 0)}
			}
		}
	}
	return nil
}

// lost adds what is known of each topic.
func (k *known) lost(r *Report, list map[chunk.Partition]*partition, stable listoffsets.Offsets) {
	topics := map[string]*handover.LostTopic{}
	for p, known := range list {
		t := topics[p.Topic]
		if t == nil {
			target, _ := k.look.Policy.Topic(p.Topic)
			t = &handover.LostTopic{ID: r.Record.ID, Topic: p.Topic, Target: target}
			topics[p.Topic] = t
		}
		for len(t.Progress) <= int(p.Number) { // one that nobody has ever seen has none
			t.Progress, t.TargetEnds = append(t.Progress, -1), append(t.TargetEnds, -1)
			t.SeenEnds, t.SeenOpen = append(t.SeenEnds, -1), append(t.SeenOpen, -1)
		}
		if known.state != nil {
			t.Progress[p.Number] = int64(known.state.Progress)
		}
		if end, known := listoffsets.TargetOf(stable, chunk.Partition{Topic: t.Target, Number: p.Number}); known {
			t.TargetEnds[p.Number] = int64(end)
		}
		if known.end.Known() {
			t.SeenEnds[p.Number], t.SeenOpen[p.Number] = int64(known.end.High), known.end.Held()
			t.SeenAt = earlier(t.SeenAt, known.end.Seen)
			if int64(known.end.High) > max(t.Progress[p.Number], 0) {
				t.NotCopiedSince = earlier(t.NotCopiedSince, known.end.Since)
			}
		}
	}
	for _, t := range topics {
		records, unknown := t.NotCopied()
		r.Record.Partitions += len(t.Progress)
		r.Record.NotCopied, r.Record.EndsUnknown = r.Record.NotCopied+records, r.Record.EndsUnknown+unknown
		r.Record.NotCopiedSince = earlier(r.Record.NotCopiedSince, t.NotCopiedSince)
		r.Record.SeenAt = earlier(r.Record.SeenAt, t.SeenAt)
		r.Topics = append(r.Topics, *t)
	}
}

// earlier is the earlier one of two times, of which a zero one is not known.
func earlier(a, b time.Time) time.Time {
	b = b.UTC().Truncate(time.Millisecond)
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
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
		one.Nowhere = nowhere(&one, r.Topics)
		r.Groups = append(r.Groups, one)
	}
	r.Record.Groups = len(r.Groups)
	return nil
}

// nowhere lists the partitions of a group's topics in which it has no position.
func nowhere(g *handover.StoodGroup, topics []handover.LostTopic) (list []string) {
	reads, has := map[string]bool{}, map[chunk.Partition]bool{}
	for _, at := range g.Positions {
		reads[at.Topic], has[chunk.Partition{Topic: at.Topic, Number: at.Partition}] = true, true
	}
	for _, t := range topics {
		for number := range t.Progress {
			if p := (chunk.Partition{Topic: t.Topic, Number: int32(number)}); reads[t.Topic] && !has[p] {
				list = append(list, p.String())
			}
		}
	}
	slices.Sort(list)
	return list
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
	names := k.targets()
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
