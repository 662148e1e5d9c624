package snapshot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

// taker takes one snapshot: it asks both clusters, in the order that makes the answers fit each other.
type taker struct {
	*Snapshot
	viewer *Viewer
}

// Take takes a snapshot; only the topics for which wanted is true, and the groups
// where withGroups is.
func (v *Viewer) Take(ctx context.Context, wanted func(topic string) bool, withGroups bool) (*Snapshot, error) {
	if Tolerant(v) {
		v.asks.Silence.Forget()
		v.asksTarget.Silence.Forget()
		if err := v.askSource(ctx); err != nil {
			return nil, err
		}
	}
	if v.Away != nil {
		return takeAlone(ctx, v, wanted)
	}
	var held []groups.Held
	var listed int
	var hidden error
	if withGroups {
		held, listed, hidden = v.ReadGroups(ctx)
	}
	snap, err := v.Describe(ctx, wanted)
	switch {
	case err != nil && Tolerant(v) && ctx.Err() == nil: // it has gone; the target says so itself, if it was that
		noteAway(v, err)
		return takeAlone(ctx, v, wanted)
	case err != nil:
		return nil, err
	}
	if snap.Held, snap.Listed, snap.HeldErr = held, listed, hidden; hidden != nil {
		snap.Problems, snap.Alone = append(snap.Problems, hidden), Tolerant(v)
	}
	t := &taker{snap, v}
	if err := t.findIDs(ctx); err != nil {
		return nil, err
	}
	if err := t.readOpposites(ctx); err != nil {
		return nil, err
	}
	if snap.earliest, err = v.TargetOffsets.Earliest(ctx, snap.Targets); err != nil {
		return nil, err
	}
	if snap.stable, err = v.TargetOffsets.Stable(ctx, snap.Targets); err != nil {
		return nil, err
	}
	if err := t.readLedger(ctx); err != nil {
		return nil, err
	}
	switch err := v.ReadSource(ctx, snap); {
	case err != nil && Tolerant(v) && ctx.Err() == nil: // it has gone, or is too slow
		noteAway(v, err)
		snap.Taken, snap.Away, snap.Alone = time.Now(), v.Away, true
		snap.Problems = append(snap.Problems, snap.Away)
	case err != nil:
		return nil, err
	}
	return snap, t.findTargetCuts(ctx)
}

// readOpposites reads what the flows in the opposite direction say. That it cannot be read is a problem of the groups
// alone.
func (t *taker) readOpposites(ctx context.Context) error {
	t.opposites = t.viewer.opposites
	asking, cancel := Bounded(ctx, t.viewer)
	defer cancel()
	if t.oppositesErr = t.opposites.ReadOn(asking, t.Targets); t.oppositesErr != nil {
		t.Problems = append(t.Problems, t.oppositesErr)
	}
	return ctx.Err()
}

// Describe takes the part of a snapshot that tells which topics there are on both sides, without the ledger and
// without the ends of any log. Topics of the target are asked for by name: what we may not see is missing from a list
// of all without an error.
func (v *Viewer) Describe(ctx context.Context, wanted func(topic string) bool) (*Snapshot, error) {
	snap := &Snapshot{policy: v.Policy, shards: v.Flow.Shards}
	var err error
	describing, cancel := Bounded(ctx, v)
	defer cancel()
	if snap.Source, err = kafka.Describe(describing, v.SourceClient, v.SourceCluster, nil); err != nil {
		return nil, err
	}
	names := []string{v.Flow.LedgerTopic()}
	for name := range snap.Source.Topics {
		target, verdict := v.Policy.Topic(name)
		if !wanted(name) || !verdict.Selected && !verdict.Blocked {
			continue
		}
		snap.Topics = append(snap.Topics, name)
		if verdict.Selected {
			names = append(names, target)
		}
	}
	if snap.Target, err = kafka.Describe(ctx, v.TargetClient, v.TargetCluster, names); err != nil {
		return nil, err
	}
	for _, name := range names[1:] {
		if topic, there := snap.Target.Topics[name]; there && topic.Err == nil {
			snap.Targets = append(snap.Targets, name)
		}
	}
	return snap, nil
}

// ReadSource adds to a snapshot where the source's logs end, and where partitions start that have not started yet.
func (v *Viewer) ReadSource(ctx context.Context, snap *Snapshot) (err error) {
	ask := func(question func(context.Context, []string) (listoffsets.Offsets, error)) (listoffsets.Offsets, error) {
		ctx, cancel := Bounded(ctx, v)
		defer cancel()
		return question(ctx, snap.Topics)
	}
	if snap.sourceEarliest, err = ask(v.SourceOffsets.Earliest); err != nil {
		return err
	}
	snap.starts = snap.sourceEarliest
	if at, isTime := v.Flow.Start.Time(); isTime {
		snap.starts, err = ask(func(ctx context.Context, topics []string) (listoffsets.Offsets, error) {
			return v.SourceOffsets.At(ctx, topics, at)
		})
	} else if v.Flow.Start == settings.Latest {
		snap.starts, err = ask(v.SourceOffsets.Stable)
	}
	if err != nil {
		return err
	}
	// The high watermarks come first: a stable offset that has not reached one by now is held back by a transaction,
	// not by records that came in between.
	if snap.sourceHigh, err = ask(v.SourceOffsets.Ends); err != nil {
		return err
	}
	if snap.sourceStable, err = ask(v.SourceOffsets.Stable); err != nil {
		return err
	}
	snap.Taken = time.Now()
	return (&taker{viewer: v, Snapshot: snap}).askEpochs(ctx)
}

// FindHidden asks by name for the topics that the ledger knows and the source
// does not list: those that we may not see look like deleted ones. It notes each of
// them, and why it cannot be seen.
func (v *Viewer) FindHidden(ctx context.Context, snap *Snapshot) error {
	if snap.Away != nil {
		return nil // what the ledger knows is all that is known
	}
	missing := map[string]bool{}
	for _, b := range snap.Books {
		for _, k := range b.Keys() {
			_, verdict := v.Policy.Topic(k.Partition.Topic)
			if _, there := snap.Source.Topics[k.Partition.Topic]; !there && verdict.Selected {
				missing[k.Partition.Topic] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(missing))
	seen, err := kafka.Describe(ctx, v.SourceClient, v.SourceCluster, names)
	if err != nil {
		return err
	}
	snap.Hidden = map[string]error{}
	for _, name := range names {
		if topic, there := seen.Topics[name]; there && topic.Err != nil {
			snap.Hidden[name] = topic.Err
			snap.Problems = append(snap.Problems, topic.Err)
		}
	}
	return nil
}

// readLedger reads all ledger partitions, each at least up to the high watermark
// that it has now.
func (t *taker) readLedger(ctx context.Context) error {
	name := t.viewer.Flow.LedgerTopic()
	topic, there := t.Target.Topics[name]
	if !there {
		t.LedgerErr = t.viewer.MissingLedger(ctx)
	}
	switch {
	case t.LedgerErr != nil:
		return nil
	case !there:
		return t.sameFlow(ctx)
	case topic.Err != nil:
		t.LedgerErr = topic.Err
		return nil
	case !topic.May(kmsg.ACLOperationRead):
		t.LedgerErr = t.viewer.TargetCluster.Denied("Read", "topic "+name, nil)
		return nil
	}
	if topic.Partitions != t.viewer.Flow.Shards {
		t.Problems = append(t.Problems, &Lasting{&ledger.ShardsError{Ledger: name, Have: topic.Partitions,
			Want: t.viewer.Flow.Shards}})
	}
	ends, err := t.viewer.TargetOffsets.Ends(ctx, []string{name})
	if err != nil {
		return err
	}
	stable, err := t.settled(ctx, name, ends)
	if err != nil {
		return err
	}
	t.Books = make([]Book, topic.Partitions)
	least := make([]int64, topic.Partitions)
	for shard := range least {
		at := chunk.Partition{Topic: name, Number: int32(shard)}
		end, err := listoffsets.OffsetOf(ends, at)
		if err != nil {
			return t.viewer.TargetCluster.Explain(err)
		}
		reached, err := listoffsets.OffsetOf(stable, at)
		if err != nil {
			return t.viewer.TargetCluster.Explain(err)
		}
		least[shard] = min(end, reached)
		t.Books[shard].Unsettled = reached < end
	}
	read, err := t.viewer.Ledger.Shards(ctx, least)
	if err != nil {
		return t.viewer.TargetCluster.Explain(err)
	}
	for shard := range read {
		t.Books[shard].Shard = read[shard]
		if t.Books[shard].Seen, err = seen.Of(read[shard]); err != nil {
			return err
		}
	}
	return t.sameFlow(ctx)
}

// settled waits until the ledger's last stable offsets have reached the ends, for
// SettleWait at most, and answers how far they are.
func (t *taker) settled(ctx context.Context, ledger string, ends listoffsets.Offsets) (listoffsets.Offsets, error) {
	limit := time.Now().Add(t.viewer.SettleWait)
	var stable listoffsets.Offsets
	err := wait.Until(ctx, settleEvery, func() (settled bool, err error) {
		if stable, err = t.viewer.TargetOffsets.Stable(ctx, []string{ledger}); err != nil {
			return false, err
		}
		for p, end := range ends {
			if stable[p].Offset < end.Offset {
				return time.Now().After(limit), nil
			}
		}
		return true, nil
	})
	return stable, err
}

// askEpochs asks the source where the epochs of the copies' progress end.
func (t *taker) askEpochs(ctx context.Context) error {
	var at []chunk.Position
	for _, topic := range t.Topics {
		for n := range t.Source.Topics[topic].Partitions {
			view := t.View(chunk.Partition{Topic: topic, Number: int32(n)})
			if view.Started() && view.Unknown == nil {
				at = append(at, chunk.Position{Partition: view.Source, Offset: view.State.Progress, Epoch: view.State.Epoch})
			}
		}
	}
	ctx, cancel := Bounded(ctx, t.viewer)
	defer cancel()
	var err error
	t.epochs, err = t.viewer.SourceOffsets.EpochEnds(ctx, at)
	return err
}

// findTargetCuts finds the partitions whose log on the target ends before the last record that the ledger knows.
// The ends are asked for after the ledger was read, so that they are behind all that it knows where nothing was lost.
func (t *taker) findTargetCuts(ctx context.Context) error {
	if len(t.Books) == 0 {
		return nil
	}
	var err error
	if t.targetEnds, err = t.viewer.TargetOffsets.Ends(ctx, t.Targets); err != nil {
		return err
	}
	found := map[chunk.Partition]offsets.Source{}
	for _, topic := range t.Topics {
		for n := range t.Source.Topics[topic].Partitions {
			view := t.View(chunk.Partition{Topic: topic, Number: int32(n)})
			if view.Verdict.Action != partition.CompareTarget {
				continue
			}
			answer, err := view.State.Map.Invert(view.Facts.Target.End, view.State.Progress, t.viewer.Segments(ctx, view))
			if err != nil {
				return err
			}
			found[view.Source] = answer.Source
		}
	}
	t.targetCuts = found
	return nil
}

// sameFlow compares what the ledger says of its flow with this one, and notes in the
// snapshot why nothing that it holds is about it.
func (t *taker) sameFlow(ctx context.Context) error {
	read := identity.Seen{Source: t.Source}
	for _, b := range t.Books {
		read.Books = append(read.Books, b.Shard)
	}
	if len(t.Books) > 0 {
		var err error
		if read.Kept, err = t.Books[0].Identity(); err != nil {
			return err
		}
	}
	if read.Kept != nil {
		t.viewer.Groups.AlsoKnownAs(read.Kept.Formerly)
		if t.Away != nil {
			t.Source.ID = read.Kept.SourceCluster // nobody says otherwise
		}
	}
	read.Target = func() (*kafka.Description, error) {
		return kafka.Describe(ctx, t.viewer.TargetClient, t.viewer.TargetCluster, nil)
	}
	s := identity.NewSigner(&t.viewer.Flow, t.viewer.SourceCluster, t.viewer.TargetCluster, t.viewer.Policy, nil)
	if t.Away != nil || time.Since(t.viewer.elsewhere) <= elsewhereAgain { // all other ledgers are read for it
		s.AssumeAlone()
	}
	searched, err := s.CompareSeen(ctx, identity.Of(&t.viewer.Flow, t.Source.ID, t.Target.ID), read)
	if searched && err == nil {
		t.viewer.elsewhere = time.Now()
	}
	var shards *ledger.ShardsError
	if identity.IsOtherFlow(err) || errors.As(err, &shards) {
		t.LedgerErr = err
		return nil
	}
	return err
}

// findIDs notes what follows for the flow from a cluster without topic ids.
func (t *taker) findIDs(ctx context.Context) error {
	seen := t.Target
	if len(seen.Topics) == 0 { // those that are copied to are not there yet
		var err error
		if seen, err = kafka.Describe(ctx, t.viewer.TargetClient, t.viewer.TargetCluster, nil); err != nil {
			return err
		}
	}
	without := false
	if len(seen.Topics) == 0 {
		var err error
		if without, err = kafka.WithoutIDs(ctx, t.viewer.TargetClient, t.viewer.TargetCluster); err != nil {
			return err
		}
	}
	if topic := seen.WithoutID(); topic != "" || without {
		t.Problems = append(t.Problems, &Lasting{&identity.NoTopicIDsError{Cluster: t.viewer.Flow.To, Topic: topic}})
	}
	return nil
}
