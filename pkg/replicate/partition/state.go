package partition

import "replicator/pkg/replicate/chunk"

// State is how a partition is doing, and why: whoever copies it publishes it, and reports from outside find it by
// [StateOf]. [State.Phase] is the word for it.
//
// Each time it is decided anew, by the facts as they are then: whatever was in the way, copying goes on as soon as
// that passes. Truncated stays until an operator's order, or until the target topic is made again, and Paused until an
// operator's word.
type State int

// The states.
const (
	Unseen         State = iota // nobody is at work on it who could tell
	Copying                     // nothing is in its way, and a replica has its shard
	Idle                        // the same, but no replica has its shard
	NotStarted                  // the ledger does not know it yet
	SourceSilent                // the source does not tell where it begins and ends
	TargetHidden                // the target does not describe the topic
	TargetDeleted               // the topic to which it was copied was deleted
	TargetReplaced              // another topic has the name: it is filled anew
	TargetAway                  // its partition on the target is not there, or the leader of that is not
	Quarantined                 // it is left out for a reason of its own, and tried again by itself
	TopicStopped                // its topic is left out
	Paused                      // somebody has paused it, and it waits for a word
	Truncated                   // one side has lost what was copied, or seems to have
)

// StateOf is the state by the facts alone, for reports from outside; working: a replica has the shard.
func StateOf(f Facts, working bool) State {
	action := f.action()
	switch {
	case f.TopicStopped:
		return TopicStopped
	case f.OpenCut(), action == CompareTarget, action == CompareSource:
		return Truncated
	case f.Quarantined:
		return Quarantined
	case f.Source.Silent:
		return SourceSilent
	case !f.Ledger.Started:
		return NotStarted
	case f.Target.Hidden:
		return TargetHidden
	case f.Gone() && f.Target.Topic == chunk.TopicID{}:
		return TargetDeleted
	case f.Gone():
		return TargetReplaced
	case f.Target.Silent:
		return TargetAway
	case !working:
		return Idle
	}
	return Copying
}

// Phase is the word for a state, which is printed, and stable for programs that read it.
type Phase string

// The phases of a partition.
const (
	PhaseCopying    Phase = "copying"     // it has progress, nothing is in its way, and a replica has its shard
	PhaseIdle       Phase = "idle"        // the same, but no replica has its shard: nothing moves
	PhaseStopped    Phase = "stopped"     // it is left out, for a reason
	PhaseWaiting    Phase = "waiting"     // one side does not tell, or its partition on the target is not there
	PhaseNotStarted Phase = "not_started" // the ledger does not know it yet
)

// Phase is the word for the state; "" where nobody can tell.
func (s State) Phase() Phase {
	switch s {
	case Copying:
		return PhaseCopying
	case Idle:
		return PhaseIdle
	case NotStarted:
		return PhaseNotStarted
	case SourceSilent, TargetHidden, TargetDeleted, TargetReplaced, TargetAway:
		return PhaseWaiting
	case Quarantined, TopicStopped, Paused, Truncated:
		return PhaseStopped
	}
	return ""
}

// Free says that nothing is in the way of the partition, whether or not a replica runs.
func (p Phase) Free() bool { return p == PhaseCopying || p == PhaseIdle }
