package cutover

import (
	"replicator/pkg/replicate/handover"
)

// Since is what has happened since a cutover was done, as far as the next one has to
// know it. Counts are upper bounds, in offsets.
type Since struct {
	Rest    []string // groups that are asked for now and not moved: others than then, or at work on the source again
	Both    []string // moved groups that were at work on both sides since
	Moved   []string // moved groups, of those that are asked for, that were at work on the target since
	Written int64    // to the source
	Behind  int64    // of what is on the source, not on the target
	Used    int64    // written to the target by somebody else
}

// Verdict says what a further cutover is to do.
type Verdict string

// The verdicts.
const (
	First   Verdict = "first"   // there is none that counts
	GoOn    Verdict = "go_on"   // the one that was begun
	Nothing Verdict = "nothing" // all that is asked for is done
	Stage   Verdict = "stage"   // move the groups that are left, as a part of the one that was done
	Anew    Verdict = "anew"    // the one that was done was never made use of, and does not hold any more
	Refused Verdict = "refused" // both sides were written to, or a group was at work on both
)

// verdictOn says what a further cutover is to do. What was moved and is at work on the
// target is never moved again; a copy that would come behind what applications have
// written there since is refused, as a rollback would not bring back what is before it.
func verdictOn(r handover.Record, s Since) Verdict {
	switch {
	case r.State == handover.Begun:
		return GoOn
	case r.State != handover.Done:
		return First
	case s.Used > 0 && s.Written+s.Behind > 0, len(s.Both) > 0:
		return Refused
	case len(s.Rest) > 0:
		return Stage
	case s.Written+s.Behind == 0:
		return Nothing
	case len(s.Moved) == 0:
		return Anew
	case s.Behind == 0: // producers stay on the source meanwhile, and the flow runs
		return Nothing
	}
	return Refused
}
