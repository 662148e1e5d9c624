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
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/translate"
)

// Begun says whether the partition's map is about a topic of the target, even if it is empty yet. One that was refused
// before may have a start, and what the target holds is nothing that the flow knows.
func (s *PartitionView) Begun() bool { return s.Started() && s.State.TargetTopic != (chunk.TopicID{}) }

// Snapshot is what both clusters said, in the order of the fields. The order
// matters:
//
//   - group positions come before the ends, so that no lag is negative;
//   - the target's last stable offsets come before the ledger, which is then read
//     beyond what it held at that time: its maps explain every record of ours below
//     those ends. The other way round, markers that arrive in between would show
//     records that no map knows, and a position at the end would skip them;
//   - the source's ends come after it, so that progress is never ahead of them, and so do the ends by which the target
//     is seen to have lost records that the ledger knows.
type Snapshot struct {
	Held     []groups.Held
	Listed   int // groups on the source
	Source   *kafka.Description
	Target   *kafka.Description
	Topics   []string            // selected ones of the source
	earliest listoffsets.Offsets // of the target
	stable   listoffsets.Offsets // of the target
	Books    []Book              // by shard; none while there is no ledger

	sourceEarliest, sourceStable, SourceHigh, starts, epochs listoffsets.Offsets
	targetEnds                                               listoffsets.Offsets
	// targetCuts is how far the target holds what was copied, by source partition, where its log ends before that.
	targetCuts map[chunk.Partition]offsets.Source

	Taken     time.Time
	Problems  []error // what could not be seen
	Work      work
	Hidden    map[string]error // topics that the ledger knows and the source does not let us see
	LedgerErr error            // why the ledger could not be read: then nothing is known of the flow
}

// Book is one ledger partition as read.
type Book struct {
	*ledger.Shard
	// Unsettled: a transaction on it stayed open. Records of it may be on the target already, unexplained.
	Unsettled bool
}

// Lasting is a problem that stays however long one waits, whatever runs.
type Lasting struct{ error }

// Unwrap is the problem itself.
func (l *Lasting) Unwrap() error { return l.error }

// errUnsettled is why nothing is translated then.
var errUnsettled = errors.New("a transaction is open on its ledger partition, as after a replica was killed while " +
	"it committed; the target ends it within a minute")

// Take takes a snapshot; only the topics for which wanted is true, and the groups
// where withGroups is.
func (v *Viewer) Take(ctx context.Context, wanted func(topic string) bool, withGroups bool) (*Snapshot, error) {
	snap := &Snapshot{}
	var err error
	if withGroups {
		if snap.Held, snap.Listed, err = v.ReadGroups(ctx); err != nil {
			snap.Problems = append(snap.Problems, err)
		}
	}
	if snap.Source, err = kafka.Describe(ctx, v.SourceClient, v.SourceCluster, nil); err != nil {
		return nil, err
	}
	targets, err := v.AskTarget(ctx, snap, wanted)
	if err != nil {
		return nil, err
	}
	if err := v.findIDs(ctx, snap); err != nil {
		return nil, err
	}
	if snap.earliest, err = v.TargetOffsets.Earliest(ctx, targets); err != nil {
		return nil, err
	}
	if snap.stable, err = v.TargetOffsets.Stable(ctx, targets); err != nil {
		return nil, err
	}
	if err := v.readLedger(ctx, snap); err != nil {
		return nil, err
	}
	if err := v.AskSource(ctx, snap); err != nil {
		return nil, err
	}
	return snap, v.findTargetCuts(ctx, snap, targets)
}

// AskTarget describes the topics that the selected ones of the source are copied
// to, and the ledger; it answers which of them can be asked for more. They are asked
// for by name: what we may not see is missing from a list of all without an error.
func (v *Viewer) AskTarget(ctx context.Context, snap *Snapshot, wanted func(topic string) bool) ([]string, error) {
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
	var err error
	if snap.Target, err = kafka.Describe(ctx, v.TargetClient, v.TargetCluster, names); err != nil {
		return nil, err
	}
	var targets []string
	for _, name := range names[1:] {
		if topic, there := snap.Target.Topics[name]; there && topic.Err == nil {
			targets = append(targets, name)
		}
	}
	return targets, nil
}

// FindHidden asks by name for the topics that the ledger knows and the source
// does not list: those that we may not see look like deleted ones. It notes each of
// them, and why it cannot be seen.
func (v *Viewer) FindHidden(ctx context.Context, snap *Snapshot) error {
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
func (v *Viewer) readLedger(ctx context.Context, snap *Snapshot) error {
	name := v.Flow.LedgerTopic()
	topic, there := snap.Target.Topics[name]
	if !there {
		snap.LedgerErr = v.MissingLedger(ctx)
	}
	switch {
	case snap.LedgerErr != nil:
		return nil
	case !there:
		return v.sameFlow(ctx, snap)
	case topic.Err != nil:
		snap.LedgerErr = topic.Err
		return nil
	case !topic.May(kmsg.ACLOperationRead):
		snap.LedgerErr = v.TargetCluster.Denied("Read", "topic "+name, nil)
		return nil
	}
	if topic.Partitions != v.Flow.Shards {
		snap.Problems = append(snap.Problems, &Lasting{&ledger.ShardsError{Ledger: name, Have: topic.Partitions,
			Want: v.Flow.Shards}})
	}
	ends, err := v.TargetOffsets.Ends(ctx, []string{name})
	if err != nil {
		return err
	}
	stable, err := v.settled(ctx, name, ends)
	if err != nil {
		return err
	}
	snap.Books = make([]Book, topic.Partitions)
	least := make([]int64, topic.Partitions)
	for shard := range least {
		at := chunk.Partition{Topic: name, Number: int32(shard)}
		end, err := listoffsets.OffsetOf(ends, at)
		if err != nil {
			return v.TargetCluster.Explain(err)
		}
		reached, err := listoffsets.OffsetOf(stable, at)
		if err != nil {
			return v.TargetCluster.Explain(err)
		}
		least[shard] = min(end, reached)
		snap.Books[shard].Unsettled = reached < end
	}
	read, err := v.Ledger.Shards(ctx, least)
	if err != nil {
		return v.TargetCluster.Explain(err)
	}
	for shard := range read {
		snap.Books[shard].Shard = read[shard]
	}
	return v.sameFlow(ctx, snap)
}

// settled waits until the ledger's last stable offsets have reached the ends, for
// settleWait at most, and answers how far they are.
func (v *Viewer) settled(ctx context.Context, ledger string, ends listoffsets.Offsets) (listoffsets.Offsets, error) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for limit := time.Now().Add(v.SettleWait); ; {
		stable, err := v.TargetOffsets.Stable(ctx, []string{ledger})
		if err != nil {
			return nil, err
		}
		behind := false
		for p, end := range ends {
			behind = behind || stable[p].Offset < end.Offset
		}
		if !behind || time.Now().After(limit) {
			return stable, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// AskSource asks for the ends of the source's logs, and where partitions start
// that have not started yet.
func (v *Viewer) AskSource(ctx context.Context, snap *Snapshot) (err error) {
	if snap.sourceEarliest, err = v.SourceOffsets.Earliest(ctx, snap.Topics); err != nil {
		return err
	}
	snap.starts = snap.sourceEarliest
	if at, isTime := v.Flow.Start.Time(); isTime {
		snap.starts, err = v.SourceOffsets.At(ctx, snap.Topics, at)
	} else if v.Flow.Start == settings.Latest {
		snap.starts, err = v.SourceOffsets.Stable(ctx, snap.Topics)
	}
	if err != nil {
		return err
	}
	// The high watermarks come first: a stable offset that has not reached one by now is held back by a transaction,
	// not by records that came in between.
	if snap.SourceHigh, err = v.SourceOffsets.Ends(ctx, snap.Topics); err != nil {
		return err
	}
	if snap.sourceStable, err = v.SourceOffsets.Stable(ctx, snap.Topics); err != nil {
		return err
	}
	snap.Taken = time.Now()
	return v.askEpochs(ctx, snap)
}

// PartitionView is one partition in a snapshot.
type PartitionView struct {
	Source   chunk.Partition // by its source topic
	Target   chunk.Partition // on the target
	Shard    int
	Book     *Book         // nil: there is no ledger yet
	State    *ledger.State // nil: not started
	Facts    partition.Facts
	Verdict  partition.Verdict
	Cut      *ledger.Cut      // that is not decided or whose order nobody has carried out; nil: none
	Order    *ledger.CutOrder // about that cut, as the ledger has it; nil: none
	OrderErr error            // why that cannot be read

	Earliest, Stable offsets.Source // of the source
	High             offsets.Source
	Unknown          error // why the source does not tell them

	Blocked                      string // why no topic of the target can have its records; "": one can
	TargetErr                    error  // why the target topic cannot be described
	TargetThere                  bool   // the partition is on the target
	TargetSame                   bool   // it belongs to the topic that the map is about
	TargetID                     chunk.TopicID
	TargetEarliest, TargetStable offsets.Target
}

// View is a partition of a source topic that is in the snapshot.
func (v *Viewer) View(snap *Snapshot, at chunk.Partition) *PartitionView {
	target, verdict := v.Policy.Topic(at.Topic)
	s := &PartitionView{Source: at, Target: chunk.Partition{Topic: target, Number: at.Number},
		Shard: at.Shard(v.Flow.Shards)}
	if verdict.Blocked {
		s.Blocked = verdict.Why
	}
	if n := len(snap.Books); n > 0 {
		s.Shard = at.Shard(n)
		s.Book = &snap.Books[s.Shard]
		s.State = s.Book.State(s.Book.KeyOf(snap.Source.Topics[at.Topic].Id, at))
	}
	if s.State != nil && s.State.Start == ledger.NotStarted {
		s.State = &ledger.State{Header: s.State.Header, Map: &offsets.Map{}} // it may hold a Stop
	}
	for _, m := range []struct {
		into  *offsets.Source
		marks listoffsets.Offsets
	}{{&s.Earliest, snap.sourceEarliest}, {&s.Stable, snap.sourceStable}, {&s.High, snap.SourceHigh}} {
		mark, ok := m.marks[at]
		if !ok {
			mark.Err = errors.New("the source does not answer for this partition")
		}
		if mark.Err != nil {
			s.Unknown = mark.Err
		}
		*m.into = offsets.Source(mark.Offset)
	}
	s.TargetErr, s.TargetID = snap.Target.Topics[target].Err, snap.Target.Topics[target].Id
	var known, knownEnd bool
	s.TargetEarliest, known = listoffsets.TargetOf(snap.earliest, s.Target)
	s.TargetStable, knownEnd = listoffsets.TargetOf(snap.stable, s.Target)
	s.TargetThere = known && knownEnd
	s.TargetSame = s.TargetThere && s.State != nil && s.State.TargetTopic == s.TargetID
	s.decide(snap)
	s.seeCut(snap)
	return s
}

// decide says what a run of the flow would do with the partition.
func (s *PartitionView) decide(snap *Snapshot) {
	topic, described := snap.Target.Topics[s.Target.Topic]
	marks := factsof.SourceMarks{Earliest: snap.sourceEarliest, End: snap.SourceHigh, Start: snap.starts,
		Epochs: snap.epochs}
	s.Facts = partition.Facts{
		Ledger: factsof.Ledger(s.Book != nil && s.Book.Made, s.State), Source: marks.Facts(s.Source),
		Target: partition.Target{Hidden: s.TargetErr != nil, Topic: s.TargetID, End: factsof.End(snap.targetEnds, s.Target),
			There: described && s.TargetErr == nil && int(s.Target.Number) < topic.Partitions, Silent: !s.TargetThere},
		TopicStopped: s.Blocked != "",
	}
	s.Facts.Quarantined = s.Stop() != nil
	s.Facts.Source.Silent = s.Unknown != nil
	s.Facts.Target.Own = s.Book != nil && (s.TargetSame || s.Book.Fills(s.Source, s.TargetID))
	s.Verdict = partition.Decide(s.Facts)
}

// Started says whether the partition has a position.
func (s *PartitionView) Started() bool { return s.State != nil && s.State.Start != ledger.NotStarted }

// Stop is why the ledger says that the partition is not copied; nil: nothing. That of a cut is void with the cut.
func (s *PartitionView) Stop() *ledger.Stop {
	if s.State == nil || s.State.Stop == nil || ledger.StopOf(s.Source, s.State.Stop).Waits() && !s.Facts.OpenCut() {
		return nil
	}
	return s.State.Stop
}

// Next is the source offset that is copied next, as far as ends tell.
func (s *PartitionView) Next() offsets.Source {
	if s.Cut != nil && !s.Facts.Gone() {
		return max(s.Cut.At, s.Earliest)
	}
	return s.Verdict.From
}

// Standing is what translations of the partition go by, or why there can be none.
func (s *PartitionView) Standing() (translate.Standing, error) {
	switch {
	case !s.Started():
		return translate.Standing{}, errors.New("the partition has not been copied yet")
	case s.Book.Unsettled:
		return translate.Standing{}, errUnsettled
	case s.TargetErr != nil:
		return translate.Standing{}, s.TargetErr
	case !s.TargetThere:
		return translate.Standing{}, errors.New("the target topic is not there")
	case !s.TargetSame:
		return translate.Standing{}, errors.New("the target topic is another one than was copied to")
	}
	return translate.Standing{
		Source: s.Source, Target: s.Target, Shard: int32(s.Shard), State: s.State, Cut: s.Cut, CutFix: s.cutFix(),
		Earliest: s.TargetEarliest, Stable: s.TargetStable, Ahead: true,
		SourceLog: func(context.Context) (translate.Log, error) {
			return translate.Log{Start: s.Earliest, End: s.High}, s.Unknown
		},
	}, nil
}

// ReadGroups reads where the groups stand on the source, and how many the source lists. It asks again while groups have
// no coordinator yet.
func (v *Viewer) ReadGroups(ctx context.Context) ([]groups.Held, int, error) {
	tick := time.NewTicker(groups.CoordinatorEvery)
	defer tick.Stop()
	for giveUp := time.Now().Add(kafka.AskLimit); ; {
		held, listed, err := v.Groups.Look(ctx)
		waiting := func(h groups.Held) bool { return h.Err != nil && groups.NoCoordinatorYet(h.Err) }
		if err != nil || !slices.ContainsFunc(held, waiting) || time.Now().After(giveUp) {
			return held, listed, err
		}
		select {
		case <-ctx.Done():
			return held, listed, ctx.Err()
		case <-tick.C:
		}
	}
}

// Views are all partitions that are in the snapshot.
func (v *Viewer) Views(snap *Snapshot) map[chunk.Partition]*PartitionView {
	views := map[chunk.Partition]*PartitionView{}
	for _, topic := range snap.Topics {
		for n := range snap.Source.Topics[topic].Partitions {
			s := v.View(snap, chunk.Partition{Topic: topic, Number: int32(n)})
			views[s.Source] = s
		}
	}
	return views
}

// Segments reads sealed parts of a partition's map.
func (v *Viewer) Segments(ctx context.Context, s *PartitionView) offsets.Load {
	return func(head offsets.Head) ([]offsets.Run, error) { return v.Ledger.Segment(ctx, int32(s.Shard), head) }
}
