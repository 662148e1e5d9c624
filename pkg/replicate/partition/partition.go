// Package partition says what becomes of one partition of a flow, given what is known of it: where it begins or goes
// on, what it has lost, whether it waits, and for what.
//
// The central function is [Decide]. The engine acts by it, and reports from outside show by it what the engine
// will do: one rule, so that nothing is promised that does not happen. It guarantees:
//
//  1. while the source is silent, nothing is decided;
//  2. nothing goes on behind a cut, or behind the sign of one, unless the logs were compared or the target topic is
//     another one, which is filled anew;
//  3. what begins in a target topic, or begins there anew, says so: before its first record the topic must be
//     seen to hold nothing of anybody else.
//
// It asks nobody and keeps nothing. Where only records can tell whether a log was cut, the verdict says which
// side is to be compared; Decide is asked again with the answer.
package partition

import (
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// Facts are what is known of one partition at one moment.
type Facts struct {
	Ledger Ledger
	Source Source
	Target Target

	TopicStopped bool // its topic is, so that neither log is asked about
	Quarantined  bool // it is stopped for a reason of its own, which may pass; a cut is found all the same
	Doubted      bool // a reader's position was not in the log, however long the log is now
	// SourceCompared and TargetCompared: that log was seen to hold what was copied last.
	SourceCompared, TargetCompared bool
}

// Ledger is what the ledger says of the partition; zero: nothing.
type Ledger struct {
	Made     bool           // the flow has decided about its partitions once
	Started  bool           // it has a position; what follows means something only then
	Progress offsets.Source // the next source offset to copy
	Epoch    int32          // leader epoch of that, or chunk.UnknownEpoch
	Topic    chunk.TopicID  // of the target, that the map is about; zero: none, nothing was copied yet
	End      offsets.Target // behind the last record that was copied; 0: there is none
	Cut      bool           // a cut is open: it waits for an order, or for somebody to carry that out
	CutAt    offsets.Source
}

// UnknownOffset is an offset that a cluster does not answer with.
const UnknownOffset = -1

// Source is what the source says of the partition's log.
type Source struct {
	Silent   bool           // it did not tell some of this
	First    offsets.Source // where the log begins
	End      offsets.Source // its high watermark, asked for after the progress was known
	EpochEnd offsets.Source // where the epoch of the progress ends, or UnknownOffset
	Begin    offsets.Source // where the setting `start` has partitions begin
}

// Target is what the target says of the partition's log.
type Target struct {
	Hidden bool           // it does not describe the topic
	Topic  chunk.TopicID  // that has the name now; zero: there is none
	There  bool           // the topic has the partition
	Silent bool           // it does not tell where the partition's log begins and ends
	End    offsets.Target // of the log, or UnknownOffset; no more than where records were seen to be written
	Own    bool           // the ledger knows the topic as this partition's, if only from a former topic of the source
}

// Action is what happens next with a partition.
type Action int

// The actions.
const (
	Unknown       Action = iota // nothing: the source is silent
	Stop                        // nothing, as long as it is stopped
	Cut                         // nothing, before an operator's order about its cut
	Wait                        // nothing, before its partition is on the target
	CompareTarget               // the target may have been cut: find out whether it holds what was copied last
	CompareSource               // the source may have been cut: find out whether it holds what was copied last
	Begin                       // it is copied to that target topic for the first time
	Refill                      // the target topic is another one by now: the map begins a new generation
	Continue                    // copying goes on
)

// Verdict is what becomes of a partition.
type Verdict struct {
	Action Action
	// From is where copying begins or goes on as soon as nothing is in its way, unless a comparison finds a cut.
	From offsets.Source
	Hole chunk.Hole // that From leaves behind
	// Foreign: nothing is known of what the target topic holds. A record in it is somebody else's, and then nothing is
	// copied there.
	Foreign bool
}

// Decide says what becomes of a partition.
func Decide(f Facts) Verdict {
	v := Verdict{Action: f.action(), From: f.from()}
	if l := f.Ledger; l.Started && !f.Gone() && l.Progress < f.Source.First {
		v.Hole = chunk.Hole{From: l.Progress, To: f.Source.First}
	}
	v.Foreign = f.Target.There && !f.same() && !f.Target.Own
	return v
}

// action goes from what forbids any decision to what lets copying go on. Another target topic comes before signs of a
// cut: all that the source holds is copied to it, whatever the logs have lost before. An end of the target before the
// map's comes before one of the source, as a record of the source is compared with what the target has.
func (f *Facts) action() Action {
	l := f.Ledger
	switch {
	case f.Source.Silent:
		return Unknown
	case f.TopicStopped:
		return Stop
	case f.OpenCut():
		return Cut
	case f.same() && !f.TargetCompared && (f.TargetShort() || f.Doubted):
		return CompareTarget
	case f.same() && !f.SourceCompared && (f.sourceShort() || f.Doubted) && l.Progress >= f.Source.First:
		return CompareSource // else what could be compared was deleted: it is a hole
	case f.Quarantined:
		return Stop
	case !f.Target.There:
		return Wait
	case f.same():
		return Continue
	case f.Gone():
		return Refill
	}
	return Begin
}

// from is where copying goes on. What appears after the flow was made begins at its beginning, whatever `start` says:
// nobody may miss the records between its creation and the first decision on it.
func (f *Facts) from() offsets.Source {
	l, s := f.Ledger, f.Source
	switch {
	case !l.Started && l.Made, f.Gone():
		return s.First
	case !l.Started:
		return max(s.Begin, s.First)
	case l.Cut:
		return l.CutAt
	}
	return max(l.Progress, s.First)
}

// same says that the target topic which is there is the one that the map is about.
func (f *Facts) same() bool {
	return f.Ledger.Started && f.Target.There && f.Ledger.Topic == f.Target.Topic
}

// Gone says that the topic to which the partition was copied was deleted, whether or not another one has its name by
// now: all that the source holds is copied anew.
func (f *Facts) Gone() bool {
	l := f.Ledger
	return l.Started && l.Topic != (chunk.TopicID{}) && !f.Target.Hidden && l.Topic != f.Target.Topic
}

// OpenCut says that the ledger's cut counts: it does not where another target topic is there to be filled.
func (f *Facts) OpenCut() bool { return f.Ledger.Cut && (f.same() || !f.Target.There) }

// TargetShort says that the target's log ends before the last record that was copied to it.
func (f *Facts) TargetShort() bool {
	return f.Target.End != UnknownOffset && f.Target.End < f.Ledger.End
}

// sourceShort says that the source's log, or the epoch of the progress, ends before the progress.
func (f *Facts) sourceShort() bool { return f.Source.Holds(f.Ledger) < f.Ledger.Progress }

// Holds is how far the source still holds what was copied, as far as ends tell: the progress, where nothing was cut.
func (s Source) Holds(l Ledger) offsets.Source {
	at := min(l.Progress, s.End)
	if l.Epoch >= 0 && s.EpochEnd >= 0 {
		at = min(at, s.EpochEnd)
	}
	return max(at, 0)
}
