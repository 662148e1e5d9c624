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
func (r *reversal) done(ctx context.Context) (bool, error) {
	for _, side := range []struct {
		cfg    settings.Config
		closed bool
	}{{r.closes, true}, {r.opens, false}} {
		book, err := ledger.ReadWhole(ctx, r.clusters[side.cfg.To], side.cfg.LedgerTopic(), side.cfg.Shards)
		if err != nil {
			return false, err
		}
		for _, shard := range book {
			d, err := handover.DirectionOf(shard)
			if err != nil || d.Cutover != r.record.ID || d.Closed != side.closed {
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
func (r *reversal) run(ctx context.Context) error {
	reversed, err := r.done(ctx)
	if err != nil {
		return err
	}
	if !reversed {
		if err := r.reverse(ctx); err != nil {
			return err
		}
	}
	err = r.takeGroups(ctx)
	r.taken = err == nil
	return err
}

// groupsToTake is what is missing of a reversal that was interrupted before its end.
const groupsToTake = "the groups' positions are to be taken over"

// missing is the Check of a reversal.
func (r *reversal) missing(ctx context.Context) (string, error) {
	reversed, err := r.done(ctx)
	switch {
	case err != nil:
		return "", err
	case !reversed:
		return "the flow is to be turned", nil
	case !r.taken:
		return groupsToTake, nil
	}
	return "", nil
}

// reverse closes the one flow and opens the other.
func (r *reversal) reverse(ctx context.Context) error {
	if err := r.close(ctx); err != nil {
		return err
	}
	books, err := ledger.ReadWhole(ctx, r.clusters[r.closes.To], r.closes.LedgerTopic(), r.closes.Shards)
	if err != nil {
		return err
	}
	return r.seed(ctx, books)
}

// close shuts every shard of the flow that has carried records.
func (r *reversal) close(ctx context.Context) error {
	note := handover.Direction{Cutover: r.record.ID, Closed: true, By: r.opens.Name()}
	for shard := range r.closes.Shards {
		records := []ledger.Record{ledger.NoteRecord(handover.DirectionName, handover.Encode(note))}
		if err := ledger.WriteInShard(ctx, r.clusters[r.closes.To], &r.closes, shard, records); err != nil {
			return err
		}
	}
	return nil
}

// seed gives the opposite flow's ledger what is known, seen from the other side.
func (r *reversal) seed(ctx context.Context, books []*ledger.Shard) error {
	target := r.clusters[r.opens.To]
	if err := r.ensureLedger(ctx); err != nil {
		return err
	}
	own, err := ledger.ReadWhole(ctx, target, r.opens.LedgerTopic(), r.opens.Shards)
	if err != nil {
		return err
	}
	changes, err := r.mirrored(ctx, books, own)
	if err != nil {
		return err
	}
	note := handover.Encode(handover.Direction{Cutover: r.record.ID, By: r.closes.Name()})
	for shard, book := range own {
		d, err := handover.DirectionOf(book)
		if err != nil {
			return err
		}
		if d.Cutover == r.record.ID && !d.Closed {
			continue // by a command that was killed
		}
		p, err := book.Prepare(changes[shard])
		if err != nil {
			return err
		}
		book.PrepareMade(p, r.opens.Shards)
		book.PrepareNote(p, handover.DirectionName, note)
		if err := ledger.WriteInShard(ctx, target, &r.opens, shard, p.Records); err != nil {
			return err
		}
	}
	return nil
}

func (r *reversal) ensureLedger(ctx context.Context) error {
	source, target := r.clusters[r.opens.From], r.clusters[r.opens.To]
	chosen, err := policy.New(r.opens.Config)
	if err != nil {
		return err
	}
	admin, err := topics.Open(clients.TopicsConfig(&r.opens, source, target, nil, r.log))
	if err != nil {
		return err
	}
	defer admin.Close()
	from, to, err := admin.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	s := identity.NewSigner(&r.opens, source, target, chosen, r.log)
	s.AssumeAlone()
	now := identity.Of(&r.opens, from, to)
	kept, changes, err := s.Compare(ctx, now)
	if err != nil {
		return err
	}
	_, shards, err := admin.EnsureLedger(ctx, r.opens.LedgerTopic(), r.opens.Shards)
	if err == nil && shards != r.opens.Shards {
		err = &ledger.ShardsError{Ledger: r.opens.LedgerTopic(), Have: shards, Want: r.opens.Shards}
	}
	if err == nil {
		_, err = s.Sign(ctx, now, kept, changes)
	}
	return err
}

// mirrored is each partition's state from the other side, by shard of the opposite flow.
func (r *reversal) mirrored(ctx context.Context, books, own []*ledger.Shard) (map[int][]ledger.Change, error) {
	reader, err := ledger.OpenReader(r.clusters[r.closes.To], r.closes.LedgerTopic())
	if err != nil {
		return nil, err
	}
	defer reader.Close() // only read
	names, err := r.targets(ctx)
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
			change := mirroredState(key, state, name, runs)
			at := change.Key.Partition.Shard(r.opens.Shards)
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

// mirroredState is one partition's state from the other side: what was read is written now,
// from where our last record ends, or what a cut of the source has left. What lies behind it somebody else wrote.
func mirroredState(key ledger.Key, state *ledger.State, pair pairOfTopics, runs []offsets.Run) ledger.Change {
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
func (r *reversal) targets(ctx context.Context) (map[string]pairOfTopics, error) {
	viewer, err := snapshot.Open(ctx, r.clusters, r.closes, r.log)
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
		pairs[name] = pairOfTopics{target, snap.Source.Topics[name].ID, snap.Target.Topics[target].ID}
	}
	return pairs, nil
}

// takeGroups makes the positions that were handed over the opposite flow's to move.
func (r *reversal) takeGroups(ctx context.Context) error {
	opposite, err := clients.Open(&r.opens, r.clusters[r.opens.From], r.clusters[r.opens.To], r.log)
	if err != nil {
		return err
	}
	defer opposite.Close()
	r.movedSince = nil
	for _, g := range r.held {
		var handed []groups.Handed
		for _, p := range g.Positions {
			// What the target had deleted unread is still to be read on the way back: that position stays as it is.
			if p.Source >= 0 && p.Target >= 0 && p.Unread == 0 {
				handed = append(handed, groups.Handed{
					Partition: chunk.Partition{Topic: p.Topic, Number: p.Partition}, Source: p.Target, Target: p.Source})
			}
		}
		moved, err := opposite.Groups.TakeOver(ctx, g.Group, handed)
		if err != nil {
			return err
		}
		if len(moved) > 0 {
			r.movedSince = append(r.movedSince, g.Group)
		}
	}
	return nil
}
