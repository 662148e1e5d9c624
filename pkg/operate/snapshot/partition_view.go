package snapshot

import (
	"context"
	"errors"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/translate"
)

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
func (snap *Snapshot) View(at chunk.Partition) *PartitionView {
	target, verdict := snap.policy.Topic(at.Topic)
	s := &PartitionView{Source: at, Target: chunk.Partition{Topic: target, Number: at.Number},
		Shard: at.Shard(snap.shards)}
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
	}{{&s.Earliest, snap.sourceEarliest}, {&s.Stable, snap.sourceStable}, {&s.High, snap.sourceHigh}} {
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
	marks := factsof.SourceOffsets{Earliest: snap.sourceEarliest, End: snap.sourceHigh, Start: snap.starts,
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

// Begun says whether the partition's map is about a topic of the target, even if it is empty yet. One that was refused
// before may have a start, and what the target holds is nothing that the flow knows.
func (s *PartitionView) Begun() bool { return s.Started() && s.State.TargetTopic != (chunk.TopicID{}) }

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

// Views are all partitions that are in the snapshot.
func (snap *Snapshot) Views() map[chunk.Partition]*PartitionView {
	views := map[chunk.Partition]*PartitionView{}
	for _, topic := range snap.Topics {
		for n := range snap.Source.Topics[topic].Partitions {
			s := snap.View(chunk.Partition{Topic: topic, Number: int32(n)})
			views[s.Source] = s
		}
	}
	return views
}

// errUnsettled is why nothing is translated then.
var errUnsettled = errors.New("a transaction is open on its ledger partition, as after a replica was killed while " +
	"it committed; the target ends it within a minute")
