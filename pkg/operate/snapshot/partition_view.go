package snapshot

import (
	"cmp"
	"context"
	"errors"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/translate"
)

// PartitionView is one partition in a snapshot.
type PartitionView struct {
	Source   chunk.Partition   // by its source topic
	Target   chunk.Partition   // on the target
	Shard    int               // of the ledger, that the partition belongs to
	Book     *Book             // nil: there is no ledger yet
	State    *ledger.State     // nil: not started
	Facts    partition.Facts   // what is known of both sides and the ledger
	Verdict  partition.Verdict // what the engine does by them
	Cut      *ledger.Cut       // that is not decided or whose order nobody has carried out; nil: none
	Order    *ledger.CutOrder  // about that cut, as the ledger has it; nil: none
	OrderErr error             // why that cannot be read

	Earliest, Stable offsets.Source // of the source: its first record; where committed readers end
	High             offsets.Source // of the source: where the log ends, open transactions included
	Unknown          error          // why the source does not tell them
	Last             seen.End       // where the log was last seen to end, by the ledger

	Blocked                      string         // why no topic of the target can have its records; "": one can
	TargetErr                    error          // why the target topic cannot be described
	TargetThere                  bool           // the partition is on the target
	TargetSame                   bool           // it belongs to the topic that the map is about
	TargetID                     chunk.TopicID  // of the target topic that is there now
	TargetEarliest, TargetStable offsets.Target // as Earliest and Stable

	Opposite     *translate.Opposite // what the opposite flow says of it; nil: nothing
	oppositesErr error               // why that is not known
}

// View is a partition of a source topic that is in the snapshot.
func (snap *Snapshot) View(at chunk.Partition) *PartitionView {
	target, verdict := snap.policy.Topic(at.Topic)
	view := &PartitionView{Source: at, Target: chunk.Partition{Topic: target, Number: at.Number},
		Shard: at.Shard(snap.shards)}
	if verdict.Blocked {
		view.Blocked = verdict.Why
	}
	if n := len(snap.Books); n > 0 {
		view.Shard = at.Shard(n)
		view.Book = &snap.Books[view.Shard]
		key := snap.keyOf(view.Book, at)
		if view.State = view.Book.State(key); view.State != nil && snap.opposites != nil {
			view.Opposite = snap.opposites.Of(view.Target, key, view.State)
		}
		view.Last = view.Book.Seen.End(at, view.progress())
	}
	view.oppositesErr = snap.oppositesErr
	if view.State != nil && view.State.Start == ledger.NotStarted {
		view.State = &ledger.State{Header: view.State.Header, Map: &offsets.Map{}} // it may hold a Stop
	}
	for _, m := range []struct {
		into    *offsets.Source
		offsets listoffsets.Offsets
	}{{&view.Earliest, snap.sourceEarliest}, {&view.Stable, snap.sourceStable}, {&view.High, snap.sourceHigh}} {
		listed, ok := m.offsets[at]
		if !ok {
			listed.Err = cmp.Or(snap.Away, errors.New("the source does not answer for this partition"))
		}
		if listed.Err != nil {
			view.Unknown = listed.Err
		}
		*m.into = offsets.Source(listed.Offset)
	}
	view.TargetErr, view.TargetID = snap.Target.Topics[target].Err, snap.Target.Topics[target].ID
	var known, knownEnd bool
	view.TargetEarliest, known = listoffsets.TargetOf(snap.earliest, view.Target)
	view.TargetStable, knownEnd = listoffsets.TargetOf(snap.stable, view.Target)
	view.TargetThere = known && knownEnd
	view.TargetSame = view.TargetThere && view.State != nil && view.State.TargetTopic == view.TargetID
	view.decide(snap)
	view.seeCut(snap)
	return view
}

// keyOf is what the ledger calls a partition of the source's topic of now.
func (snap *Snapshot) keyOf(book *Book, at chunk.Partition) ledger.Key {
	if key, known := snap.keys[at]; known {
		return key
	}
	return book.KeyOf(snap.Source.Topics[at.Topic].ID, at)
}

// progress is the next source offset to copy; 0 where nothing was.
func (view *PartitionView) progress() offsets.Source {
	if view.State == nil {
		return 0
	}
	return max(view.State.Progress, 0)
}

// decide says what a run of the flow would do with the partition.
func (view *PartitionView) decide(snap *Snapshot) {
	topic, described := snap.Target.Topics[view.Target.Topic]
	source := factsof.SourceOffsets{Earliest: snap.sourceEarliest, End: snap.sourceHigh, Start: snap.starts,
		Epochs: snap.epochs}
	view.Facts = partition.Facts{
		Ledger: factsof.Ledger(view.Book != nil && view.Book.Made, view.State), Source: source.Facts(view.Source),
		Target: partition.Target{Hidden: view.TargetErr != nil, Topic: view.TargetID,
			End:   factsof.End(snap.targetEnds, view.Target),
			There: described && view.TargetErr == nil && int(view.Target.Number) < topic.Partitions, Silent: !view.TargetThere},
		TopicStopped: view.Blocked != "",
	}
	view.Facts.Quarantined = view.Stop() != nil
	view.Facts.Source.Silent = view.Unknown != nil
	view.Facts.Target.Own = view.Book != nil && (view.TargetSame || view.Book.Fills(view.Source, view.TargetID))
	view.Verdict = partition.Decide(view.Facts)
}

// Started says whether the partition has a position.
func (view *PartitionView) Started() bool {
	return view.State != nil && view.State.Start != ledger.NotStarted
}

// Begun says whether the partition's map is about a topic of the target, even if it is empty yet. One that was refused
// before may have a start, and what the target holds is nothing that the flow knows.
func (view *PartitionView) Begun() bool {
	return view.Started() && view.State.TargetTopic != (chunk.TopicID{})
}

// Stop is why the ledger says that the partition is not copied; nil: nothing. That of a cut is void with the cut.
func (view *PartitionView) Stop() *ledger.Stop {
	if view.Book != nil && !view.Facts.OpenCut() {
		if paused := ledger.PauseOf(view.Book.Shard, view.Source); paused != nil {
			return paused
		}
	}
	if view.State == nil || view.State.Stop == nil ||
		ledger.StopOf(view.Source, view.State.Stop).Waits() && !view.Facts.OpenCut() {
		return nil
	}
	return view.State.Stop
}

// Next is the source offset that is copied next, as far as ends tell.
func (view *PartitionView) Next() offsets.Source {
	if view.Cut != nil && !view.Facts.Gone() {
		return max(view.Cut.At, view.Earliest)
	}
	return view.Verdict.From
}

// Standing is what translations of the partition go by, or why there can be none.
func (view *PartitionView) Standing() (translate.Standing, error) {
	switch {
	case !view.Started():
		return translate.Standing{}, errors.New("the partition has not been copied yet")
	case view.Book.Unsettled:
		return translate.Standing{}, errUnsettled
	case view.TargetErr != nil:
		return translate.Standing{}, view.TargetErr
	case !view.TargetThere:
		return translate.Standing{}, errors.New("the target topic is not there")
	case !view.TargetSame:
		return translate.Standing{}, errors.New("the target topic is another one than was copied to")
	case view.oppositesErr != nil:
		return translate.Standing{}, view.oppositesErr
	}
	return translate.Standing{
		Source: view.Source, Target: view.Target, Shard: int32(view.Shard), State: view.State, Cut: view.Cut,
		CutFix:   view.cutFix(),
		Opposite: view.Opposite,
		Earliest: view.TargetEarliest, Stable: view.TargetStable, Ahead: true,
		SourceLog: func(context.Context) (translate.Log, error) {
			return translate.Log{Start: view.Earliest, End: view.High}, view.Unknown
		},
	}, nil
}

// Views are all partitions that are in the snapshot.
func (snap *Snapshot) Views() map[chunk.Partition]*PartitionView {
	views := map[chunk.Partition]*PartitionView{}
	for _, topic := range snap.Topics {
		for n := range snap.Source.Topics[topic].Partitions {
			view := snap.View(chunk.Partition{Topic: topic, Number: int32(n)})
			views[view.Source] = view
		}
	}
	return views
}

// errUnsettled is why nothing is translated then.
var errUnsettled = errors.New("a transaction is open on its ledger partition, as after a replica was killed while " +
	"it committed; the target ends it within a minute")
