package offsets

import "fmt"

// Rule says which rule gave an answer.
type Rule int

// The rules of translation, in the words of Translate; Invert mirrors them.
const (
	InRun       Rule = iota + 1 // the record was copied: exactly that record
	InGap                       // no visible record there: the next record copied
	BeforeFirst                 // before all that the map holds: the first record copied
	AtEnd                       // everything before it was copied, nothing after it exists yet: the end
	NotYet                      // beyond what has been copied: no answer
	FirstUnread                 // of a pair: the first record there that was read on neither side
)

// String is a phrase for the operator.
func (r Rule) String() string {
	switch r {
	case InRun:
		return "that very record"
	case InGap:
		return "no visible record there: the next record"
	case BeforeFirst:
		return "before the first record copied: the first record"
	case AtEnd:
		return "everything copied: the end"
	case NotYet:
		return "not copied yet"
	case FirstUnread:
		return "the first record there that was read on neither side"
	}
	return fmt.Sprintf("unknown rule %d", int(r))
}

// Load reads the runs of a sealed segment back from the ledger. Translate and
// Invert check what it answers.
type Load func(Head) ([]Run, error)

// TargetAnswer is what Translate says.
type TargetAnswer struct {
	Target Target // without meaning when Rule is NotYet
	Rule   Rule
	Run    Run // the run that gave the answer; Count 0 when none did
}

// SourceAnswer is what Invert says.
type SourceAnswer struct {
	Source Source
	Rule   Rule
	Run    Run // the run that gave the answer; Count 0 when none did
}

// Translate answers where a reader that would read source offset s next has to
// read next on the target, when everything before progress has been copied.
//
//   - s is a copied record: that record (InRun);
//   - s lies between copied records: the next one (InGap);
//   - s lies before them all: the first one (BeforeFirst);
//   - nothing at or after s was copied, and s <= progress: the end of our last
//     record, 0 without any (AtEnd); the caller raises it to the target's end;
//   - s > progress: NotYet, without an error.
//
// load is called once at most, and only if the answer may lie in a sealed
// segment; its error is returned.
func (m *Map) Translate(s, progress Source, load Load) (TargetAnswer, error) {
	rule, run, err := m.find(sourceSide, int64(s), load)
	if err != nil {
		return TargetAnswer{}, fmt.Errorf("translate source offset %d: %w", s, err)
	}
	switch {
	case rule == InRun:
		return TargetAnswer{run.Target + Target(s-run.Source), rule, run}, nil
	case rule == InGap, rule == BeforeFirst:
		return TargetAnswer{run.Target, rule, run}, nil
	case s > progress:
		return TargetAnswer{Rule: NotYet, Run: run}, nil
	}
	return TargetAnswer{run.TargetEnd(), AtEnd, run}, nil
}

// Invert answers where a reader that would read target offset t next has to read
// next on the source, by the mirrored rules. At or beyond the end of the last
// record copied it is progress: all before that has been copied. There is no
// NotYet here.
func (m *Map) Invert(t Target, progress Source, load Load) (SourceAnswer, error) {
	rule, run, err := m.find(targetSide, int64(t), load)
	if err != nil {
		return SourceAnswer{}, fmt.Errorf("invert target offset %d: %w", t, err)
	}
	switch rule {
	case InRun:
		return SourceAnswer{run.Source + Source(t-run.Target), rule, run}, nil
	case InGap, BeforeFirst:
		return SourceAnswer{run.Source, rule, run}, nil
	}
	return SourceAnswer{max(progress, run.SourceEnd()), AtEnd, run}, nil
}

// SegmentError reports a sealed segment that is not what the map remembers.
type SegmentError struct {
	Number int64
	Why    string
}

func (e *SegmentError) Error() string {
	return fmt.Sprintf("segment %d of the map: %s", e.Number, e.Why)
}

// Remedy tells the operator what to do.
func (e *SegmentError) Remedy() string { return damagedRemedy }
