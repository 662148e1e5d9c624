package cutover

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// reversal makes records go the other way: the flow that carried them is closed, and its
// opposite goes on where it ended, with the same map seen from the other side. Both
// logs have one order at that point, so that translation stays exact over it, for
// what was copied before as well as for what will be.
//
// The order of effects: close every shard of the one ledger, which shuts out whoever
// copies; read it, as nothing moves it any more; give each shard of the other ledger
// its maps and open it, in one transaction for each; take the groups' positions over.
type reversal struct {
	clusters   map[string]kafka.Config
	closes     settings.Config // the flow that has carried records
	opens      settings.Config // its opposite
	record     handover.Record
	log        *slog.Logger
	held       []handover.Group // where groups stood when the record was written
	movedSince []string         // groups that have moved since on the cluster that is written to now
	taken      bool             // the groups' positions were taken over
}

// done says whether the opposite flow is open for this cutover, and this one closed.
func (t *reversal) done(ctx context.Context) (bool, error) {
	for _, side := range []struct {
		cfg    settings.Config
		closed bool
	}{{t.closes, true}, {t.opens, false}} {
		book, err := ledger.ReadWhole(ctx, t.clusters[side.cfg.To], side.cfg.LedgerTopic(), side.cfg.Shards)
		if err != nil {
			return false, err
		}
		for _, shard := range book {
			d, err := handover.DirectionOf(shard)
			if err != nil || d.Cutover != t.record.ID || d.Closed != side.closed {
				return false, err
			}
		}
		if len(book) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// run does what is left to do. The groups' positions are taken over in any case: that
// changes nothing where it was done before.
func (t *reversal) run(ctx context.Context) error {
	turned, err := t.done(ctx)
	if err != nil {
		return err
	}
	if !turned {
		if err := t.turn(ctx); err != nil {
			return err
		}
	}
	err = t.takeGroups(ctx)
	t.taken = err == nil
	return err
}

// turn closes the one flow and opens the other.
func (t *reversal) turn(ctx context.Context) error {
	if err := t.close(ctx); err != nil {
		return err
	}
	books, err := ledger.ReadWhole(ctx, t.clusters[t.closes.To], t.closes.LedgerTopic(), t.closes.Shards)
	if err != nil {
		return err
	}
	return t.seed(ctx, books)
}

// close shuts every shard of the flow that has carried records.
func (t *reversal) close(ctx context.Context) error {
	note := handover.Direction{Cutover: t.record.ID, Closed: true, By: t.opens.Name()}
	for shard := range t.closes.Shards {
		records := []ledger.Record{ledger.NoteRecord(handover.DirectionName, handover.Encode(note))}
		err := ledger.Take(ctx, t.clusters[t.closes.To], t.closes.LedgerTopic(), t.closes.TransactionalID(int32(shard)),
			int32(shard), records)
		if err != nil {
			return t.clusters[t.closes.To].ExplainTransactions(t.closes.GroupID()+".", err)
		}
	}
	return nil
}

// seed gives the opposite flow's ledger what is known, seen from the other side.
func (t *reversal) seed(ctx context.Context, books []*ledger.Shard) error {
	target := t.clusters[t.opens.To]
	if err := t.ensureLedger(ctx); err != nil {
		return err
	}
	own, err := ledger.ReadWhole(ctx, target, t.opens.LedgerTopic(), t.opens.Shards)
	if err != nil {
		return err
	}
	changes, err := t.mirrored(ctx, books, own)
	if err != nil {
		return err
	}
	note := handover.Encode(handover.Direction{Cutover: t.record.ID, By: t.closes.Name()})
	for shard, book := range own {
		d, err := handover.DirectionOf(book)
		if err != nil {
			return err
		}
		if d.Cutover == t.record.ID && !d.Closed {
			continue // by a command that was killed
		}
		p, err := book.Prepare(changes[shard])
		if err != nil {
			return err
		}
		book.PrepareMade(p, t.opens.Shards)
		book.PrepareNote(p, handover.DirectionName, note)
		err = ledger.Take(ctx, target, t.opens.LedgerTopic(), t.opens.TransactionalID(int32(shard)), int32(shard), p.Records)
		if err != nil {
			return target.ExplainTransactions(t.opens.GroupID()+".", err)
		}
	}
	return nil
}

func (t *reversal) ensureLedger(ctx context.Context) error {
	source, target := t.clusters[t.opens.From], t.clusters[t.opens.To]
	chosen, err := policy.New(t.opens.Policy())
	if err != nil {
		return err
	}
	admin, err := topics.Open(clients.TopicsConfig(&t.opens, source, target, nil, t.log))
	if err != nil {
		return err
	}
	defer admin.Close()
	from, to, err := admin.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	s := identity.NewSigner(&t.opens, source, target, chosen, t.log)
	s.Sure = true
	now := identity.Of(&t.opens, from, to)
	kept, changes, err := s.Compare(ctx, now)
	if err != nil {
		return err
	}
	_, shards, err := admin.EnsureLedger(ctx, t.opens.LedgerTopic(), t.opens.Shards)
	if err == nil && shards != t.opens.Shards {
		err = &ledger.ShardsError{Ledger: t.opens.LedgerTopic(), Have: shards, Want: t.opens.Shards}
	}
	if err == nil {
		_, err = s.Sign(ctx, now, kept, changes)
	}
	return err
}

// mirrored turns each partition's state around, by shard of the opposite flow.
func (t *reversal) mirrored(ctx context.Context, books, own []*ledger.Shard) (map[int][]ledger.Change, error) {
	reader, err := ledger.OpenReader(t.clusters[t.closes.To], t.closes.LedgerTopic())
	if err != nil {
		return nil, err
	}
	defer reader.Close() // only read
	names, err := t.targets(ctx)
	if err != nil {
		return nil, err
	}
	changes := map[int][]ledger.Change{}
	for shard, book := range books {
		for _, key := range book.Keys() {
			state := book.State(key)
			name, wanted := names[key.Partition.Topic]
			same := wanted && book.KeyOf(name.source, key.Partition) == key && name.target == state.TargetTopic
			if !same || state.Start == ledger.NotStarted {
				continue // of a topic that was deleted since
			}
			runs, err := allRuns(ctx, reader, int32(shard), state.Map)
			if err != nil {
				return nil, err
			}
			change := turned(key, state, name, runs)
			at := change.Key.Partition.Shard(t.opens.Shards)
			if before := own[at].State(change.Key); before != nil {
				change.Header.Generation = before.Generation + 1
				change.Header.Holes, change.Header.Lost = before.Holes, before.Lost
				change.Header.LastHole = before.LastHole
				change.Header.Cuts = before.Cuts.Join(change.Header.Cuts)
				change.Foreign = before.Map.Foreign() // what was not brought back is still there, and still not ours
			}
			changes[at] = append(changes[at], change)
		}
	}
	return changes, nil
}

// turned is one partition's state from the other side: what was read is written now,
// from where our last record ends, or what a cut of the source has left. What lies behind it somebody else wrote.
func turned(key ledger.Key, state *ledger.State, pair pairOfTopics, runs []offsets.Run) ledger.Change {
	c := ledger.Change{
		Key: ledger.Key{Topic: state.TargetTopic, Partition: chunk.Partition{Topic: pair.name, Number: key.Partition.Number}},
		Header: ledger.Header{TargetTopic: pair.source, Start: offsets.Source(state.Floor),
			Floor: offsets.Target(max(state.Start, 0)), Epoch: chunk.UnknownEpoch, Cuts: state.Cuts.Turned()},
	}
	for _, r := range runs {
		back := offsets.Run{Source: offsets.Source(r.Target), Target: offsets.Target(r.Source), Count: r.Count}
		c.Runs = append(c.Runs, back)
	}
	if len(runs) == 0 {
		c.Header.Floor = offsets.Target(max(state.Progress, 0))
	}
	c.Header.Progress = offsets.Source(state.Expected())
	return c
}

// allRuns reads a whole map, sealed segments and tail.
func allRuns(ctx context.Context, reader *ledger.Reader, shard int32, m *offsets.Map) ([]offsets.Run, error) {
	var runs []offsets.Run
	for _, head := range m.Heads() {
		segment, err := reader.Segment(ctx, shard, head)
		if err != nil {
			return nil, err
		}
		runs = append(runs, segment...)
	}
	return append(runs, m.Tail()...), nil
}

// pairOfTopics is one topic on both sides as they are now.
type pairOfTopics struct {
	name           string // on the target
	source, target chunk.TopicID
}

// targets finds the topics of the flow that is closed, by their names on its source.
func (t *reversal) targets(ctx context.Context) (map[string]pairOfTopics, error) {
	viewer, err := snapshot.Open(ctx, t.clusters, t.closes, t.log)
	if err != nil {
		return nil, err
	}
	defer viewer.Close()
	snap, err := viewer.Describe(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	pairs := map[string]pairOfTopics{}
	for _, name := range snap.Topics {
		target, _ := viewer.Policy.Topic(name)
		pairs[name] = pairOfTopics{target, snap.Source.Topics[name].Id, snap.Target.Topics[target].Id}
	}
	return pairs, nil
}

// takeGroups makes the positions that were handed over the opposite flow's to move.
func (t *reversal) takeGroups(ctx context.Context) error {
	r, err := clients.Open(&t.opens, t.clusters[t.opens.From], t.clusters[t.opens.To], t.log)
	if err != nil {
		return err
	}
	defer r.Close()
	t.movedSince = nil
	for _, g := range t.held {
		var handed []groups.Handed
		for _, p := range g.Positions {
			// What the target had deleted unread is still to be read on the way back: that position stays as it is.
			if p.Source >= 0 && p.Target >= 0 && p.Unread == 0 {
				handed = append(handed, groups.Handed{
					Partition: chunk.Partition{Topic: p.Topic, Number: p.Partition}, Source: p.Target, Target: p.Source})
			}
		}
		moved, err := r.Groups.TakeOver(ctx, g.Group, handed)
		if err != nil {
			return err
		}
		if len(moved) > 0 {
			t.movedSince = append(t.movedSince, g.Group)
		}
	}
	return nil
}
