// Package offsets says, exactly and both ways, which target offset holds the
// record that has a given source offset.
//
// A [Map] covers one partition as runs: {Source, Target, Count} means that Count
// records with consecutive offsets on both sides moved by one constant shift. A
// new run begins where either side jumps: a transaction marker, an aborted
// record, a compacted record. Old runs are sealed into segments that live in the
// ledger; the map keeps the first run of each and reads the rest back on demand.
//
// A Map guarantees, and [Map.Append] and [Restore] refuse to break:
//
//  1. every run holds at least one record, at offsets that exist;
//  2. runs ascend and never overlap, on the source and on the target.
//
// Hence Translate never goes backwards as its argument grows, and Invert undoes
// it for every mapped record. Nothing here reads a clock, starts a goroutine or
// talks to Kafka, and a Map is not safe for concurrent use.
package offsets

import (
	"fmt"
	"math"
)

// Source is an offset in a partition of the source cluster.
type Source int64

// Target is an offset in a partition of the target cluster.
type Target int64

// Run says that the records [Source, Source+Count) of the source are the records
// [Target, Target+Count) of the target, one by one and in order.
type Run struct {
	Source Source
	Target Target
	Count  int64 // records, at least 1
}

// SourceEnd is the source offset after the run's last record.
func (r Run) SourceEnd() Source { return r.Source + Source(r.Count) }

// TargetEnd is the target offset after the run's last record.
func (r Run) TargetEnd() Target { return r.Target + Target(r.Count) }

// String prints both half-open ranges, as [0,5)>[100,105).
func (r Run) String() string {
	return fmt.Sprintf("[%d,%d)>[%d,%d)", r.Source, r.SourceEnd(), r.Target, r.TargetEnd())
}

// valid answers what is wrong with the run by itself, or "".
func (r Run) valid() string {
	switch {
	case r.Count < 1:
		return fmt.Sprintf("it holds %d records, fewer than 1", r.Count)
	case r.Source < 0:
		return fmt.Sprintf("its source offset %d is negative", r.Source)
	case r.Target < 0:
		return fmt.Sprintf("its target offset %d is negative", r.Target)
	case int64(r.Source) > math.MaxInt64-r.Count:
		return "its source end is beyond the largest offset"
	case int64(r.Target) > math.MaxInt64-r.Count:
		return "its target end is beyond the largest offset"
	}
	return ""
}

// follows answers why the run may not come after prev, or "". The zero Run as
// prev stands for "nothing before".
func (r Run) follows(prev Run) string {
	if why := r.valid(); why != "" {
		return why
	}
	switch {
	case r.Source < prev.SourceEnd():
		return fmt.Sprintf("its source offset %d lies before %d", r.Source, prev.SourceEnd())
	case r.Target < prev.TargetEnd():
		return fmt.Sprintf("its target offset %d lies before %d", r.Target, prev.TargetEnd())
	}
	return ""
}

// touches says whether r goes on exactly where prev ended, on both sides.
func (r Run) touches(prev Run) bool {
	return prev.Count > 0 && r.Source == prev.SourceEnd() && r.Target == prev.TargetEnd()
}

// validRuns checks runs that come after prev (zero: nothing before).
func validRuns(runs []Run, prev Run) error {
	for _, r := range runs {
		if why := r.follows(prev); why != "" {
			return &RunError{Run: r, After: prev, Why: why}
		}
		prev = r
	}
	return nil
}

// Stretch is a range of target offsets, [From, To), that holds records someone
// else wrote: neither our records nor our markers and aborted attempts.
type Stretch struct{ From, To Target }

// String prints the half-open range.
func (s Stretch) String() string { return fmt.Sprintf("[%d,%d)", s.From, s.To) }

// validStretches checks that stretches are not empty, ascend and do not overlap.
func validStretches(list []Stretch) error {
	end := Target(0)
	for _, s := range list {
		if s.From < end || s.To <= s.From {
			return &StretchError{Stretch: s, After: end}
		}
		end = s.To
	}
	return nil
}

// RunError reports a run that would break the map: two target offsets for one
// record, or an order that differs between the two sides.
type RunError struct {
	Run   Run
	After Run // the run before it; the zero Run when there is none
	Why   string
}

func (e *RunError) Error() string {
	if e.After.Count == 0 {
		return fmt.Sprintf("run source %d target %d count %d is refused: %s",
			e.Run.Source, e.Run.Target, e.Run.Count, e.Why)
	}
	return fmt.Sprintf("run source %d target %d count %d cannot follow %s: %s",
		e.Run.Source, e.Run.Target, e.Run.Count, e.After, e.Why)
}

// Remedy tells the operator what to do.
func (e *RunError) Remedy() string { return damagedRemedy }

// StretchError reports foreign stretches that are empty, overlap or are out of order.
type StretchError struct {
	Stretch Stretch
	After   Target // where the stretch before it ends
}

func (e *StretchError) Error() string {
	return fmt.Sprintf("foreign stretch from %d to %d is refused: it is empty or does not follow target offset %d",
		e.Stretch.From, e.Stretch.To, e.After)
}

// Remedy tells the operator what to do.
func (e *StretchError) Remedy() string { return damagedRemedy }

const damagedRemedy = "the offset map of this partition contradicts itself; nothing was changed. Look for anything " +
	"else that writes to the ledger topic, leave that topic as it is and report the error with this message"
