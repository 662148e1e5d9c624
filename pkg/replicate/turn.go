package replicate

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/watermarks"
)

// turn makes records go the other way: the flow that carried them is closed, and its
// opposite goes on where it ended, with the same map seen from the other side. Both
// logs have one order at that point, so that translation stays exact over it, for
// what was copied before as well as for what will be.
//
// The order of effects: close every shard of the one ledger, which shuts out whoever
// copies; read it, as nothing moves it any more; give each shard of the other ledger
// its maps and open it, in one transaction for each; take the groups' positions over.
type turn struct {
	clusters   map[string]kafka.Config
	closes     Config // the flow that has carried records
	opens      Config // its opposite
	record     handover.Record
	log        *slog.Logger
	held       []handover.Group // where groups stood when the record was written
	movedSince []string         // groups that have moved since on the cluster that is written to now
	taken      bool             // the groups' positions were taken over
}

// done says whether the opposite flow is open for this cutover, and this one closed.
func (t *turn) done(ctx context.Context) (bool, error) {
	for _, side := range []struct {
		cfg    Config
		closed bool
	}{{t.closes, true}, {t.opens, false}} {
		book, err := readBooks(ctx, t.clusters[side.cfg.To], side.cfg.LedgerTopic(), side.cfg.Shards)
		if err != nil {
			return false, err
		}
		for _, shard := range book {
			d, err := directionOf(shard)
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
func (t *turn) run(ctx context.Context) error {
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
func (t *turn) turn(ctx context.Context) error {
	if err := t.close(ctx); err != nil {
		return err
	}
	books, err := readBooks(ctx, t.clusters[t.closes.To], t.closes.LedgerTopic(), t.closes.Shards)
	if err != nil {
		return err
	}
	return t.seed(ctx, books)
}

// close shuts every shard of the flow that has carried records.
func (t *turn) close(ctx context.Context) error {
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
func (t *turn) seed(ctx context.Context, books []*ledger.Shard) error {
	target := t.clusters[t.opens.To]
	if err := t.ensureLedger(ctx); err != nil {
		return err
	}
	own, err := readBooks(ctx, target, t.opens.LedgerTopic(), t.opens.Shards)
	if err != nil {
		return err
	}
	changes, err := t.mirrored(ctx, books, own)
	if err != nil {
		return err
	}
	note := handover.Encode(handover.Direction{Cutover: t.record.ID, By: t.closes.Name()})
	for shard, book := range own {
		d, err := directionOf(book)
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

func (t *turn) ensureLedger(ctx context.Context) error {
	source, target := t.clusters[t.opens.From], t.clusters[t.opens.To]
	chosen, err := policy.New(t.opens.Policy())
	if err != nil {
		return err
	}
	admin, err := topics.Open(t.opens.topicsConfig(source, target, nil, t.log))
	if err != nil {
		return err
	}
	defer admin.Close()
	from, to, err := admin.ClusterIDs(ctx)
	if err != nil {
		return err
	}
	s := newSigner(&t.opens, source, target, chosen, t.log)
	s.sure = true
	now := t.opens.identity(from, to)
	kept, changes, err := s.compare(ctx, now)
	if err != nil {
		return err
	}
	_, shards, err := admin.EnsureLedger(ctx, t.opens.LedgerTopic(), t.opens.Shards)
	if err == nil && shards != t.opens.Shards {
		err = &ShardsError{Ledger: t.opens.LedgerTopic(), Have: shards, Want: t.opens.Shards}
	}
	if err == nil {
		_, err = s.sign(ctx, now, kept, changes)
	}
	return err
}

// mirrored turns each partition's state around, by shard of the opposite flow.
func (t *turn) mirrored(ctx context.Context, books, own []*ledger.Shard) (map[int][]ledger.Change, error) {
	reader, err := ledger.OpenReader(t.clusters[t.closes.To], t.closes.LedgerTopic())
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // only read
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
func (t *turn) targets(ctx context.Context) (map[string]pairOfTopics, error) {
	look, err := Inspect(ctx, t.clusters, t.closes, t.log)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	p := &picture{}
	if p.source, err = describe(ctx, look.source, look.sourceCluster, nil); err != nil {
		return nil, err
	}
	if _, err = look.lookAtTarget(ctx, p, func(string) bool { return true }); err != nil {
		return nil, err
	}
	pairs := map[string]pairOfTopics{}
	for _, name := range p.topics {
		target, _ := look.policy.Topic(name)
		pairs[name] = pairOfTopics{target, p.source.topics[name].id, p.target.topics[target].id}
	}
	return pairs, nil
}

// takeGroups makes the positions that were handed over the opposite flow's to move.
func (t *turn) takeGroups(ctx context.Context) error {
	r, err := openRooms(&t.opens, t.clusters[t.opens.From], t.clusters[t.opens.To], t.log)
	if err != nil {
		return err
	}
	defer r.close()
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
		moved, err := r.groups.TakeOver(ctx, g.Group, handed)
		if err != nil {
			return err
		}
		if len(moved) > 0 {
			t.movedSince = append(t.movedSince, g.Group)
		}
	}
	return nil
}

// directionOf is which way a shard runs; the zero Direction where it was never turned.
func directionOf(book *ledger.Shard) (d handover.Direction, err error) {
	return d, handover.Decode(book.Note(handover.DirectionName), &d)
}

// ledgerPartitions is how many partitions a ledger topic has, which must be readable; 0
// where it is not there.
func ledgerPartitions(ctx context.Context, target kafka.Config, name string) (int, error) {
	client, err := kafka.NewFranz(target)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	seen, err := describe(ctx, client, target, []string{name})
	if err != nil {
		return 0, err
	}
	topic, there := seen.topics[name]
	switch {
	case !there:
		return 0, nil
	case topic.err != nil:
		return 0, topic.err
	case !topic.may(kmsg.ACLOperationRead):
		return 0, target.Denied("Read", "topic "+name, nil)
	}
	return topic.partitions, nil
}

// readBooks reads all partitions of a ledger topic, which has one for each shard; none where there is no ledger.
func readBooks(ctx context.Context, target kafka.Config, name string, shards int) ([]*ledger.Shard, error) {
	return readFirstBooks(ctx, target, name, shards, shards)
}

// readFirstBooks reads the first n partitions of it.
func readFirstBooks(ctx context.Context, target kafka.Config, name string, shards, n int) ([]*ledger.Shard, error) {
	partitions, err := ledgerPartitions(ctx, target, name)
	switch {
	case err != nil || partitions == 0:
		return nil, err
	case partitions != shards:
		return nil, &ShardsError{Ledger: name, Have: partitions, Want: shards}
	}
	marks, err := endsOf(ctx, target, name)
	if err != nil {
		return nil, err
	}
	reader, err := ledger.OpenReader(target, name)
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // only read
	least := make([]int64, n)
	for shard := range least {
		if least[shard], err = offsetOf(marks, chunk.Partition{Topic: name, Number: int32(shard)}); err != nil {
			return nil, target.Explain(err)
		}
	}
	books, err := reader.Shards(ctx, least)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", name, target.Explain(err))
	}
	return books, nil
}

// readAllBooks reads all partitions of a ledger topic, however many it has; none where it
// is not there. It waits for no open transaction.
func readAllBooks(ctx context.Context, target kafka.Config, name string) ([]*ledger.Shard, error) {
	partitions, err := ledgerPartitions(ctx, target, name)
	if err != nil || partitions == 0 {
		return nil, err
	}
	reader, err := ledger.OpenReader(target, name)
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // only read
	books, err := reader.Shards(ctx, make([]int64, partitions))
	if err != nil {
		return nil, target.Explain(err)
	}
	return books, nil
}

// endsOf are the ends of a topic's partitions, open transactions included: a reader
// that has come so far has seen all that was committed before.
func endsOf(ctx context.Context, cluster kafka.Config, topic string) (watermarks.Marks, error) {
	marks, err := watermarks.Open(cluster)
	if err != nil {
		return nil, err
	}
	defer marks.Close()
	return marks.Ends(ctx, []string{topic})
}
