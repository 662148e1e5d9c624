package offsets

import (
	"fmt"
	"slices"
	"sort"
)

// Rule says which rule gave an answer.
type Rule int

// The rules of translation, in the words of Translate; Invert mirrors them.
const (
	InRun       Rule = iota + 1 // the record was copied: exactly that record
	InGap                       // no visible record there: the next record copied
	BeforeFirst                 // before all that the map holds: the first record copied
	AtEnd                       // everything before it was copied, nothing after it exists yet: the end
	NotYet                      // beyond what has been copied: no answer
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

// side is how a search looks at a run: the begin and the end of one of its ranges.
type side func(Run) (begin, end int64)

func sourceSide(r Run) (int64, int64) { return int64(r.Source), int64(r.SourceEnd()) }
func targetSide(r Run) (int64, int64) { return int64(r.Target), int64(r.TargetEnd()) }

// find looks for offset at on one side: InRun with the run around it, InGap or
// BeforeFirst with the next run, AtEnd with the last one.
func (m *Map) find(on side, at int64, load Load) (Rule, Run, error) {
	first, ok := m.First()
	if !ok {
		return AtEnd, Run{}, nil
	}
	if begin, _ := on(first); at < begin {
		return BeforeFirst, first, nil
	}
	if _, end := on(m.last); at >= end {
		return AtEnd, m.last, nil
	}
	if begin, _ := on(m.last); at >= begin {
		return InRun, m.last, nil
	}
	if len(m.tail) > 0 {
		if begin, _ := on(m.tail[0]); at >= begin {
			rule, run := search(on, m.tail, at)
			return rule, run, nil
		}
	}
	// The segment is the last one that begins at or before at; it exists, as first does.
	i := sort.Search(len(m.heads), func(i int) bool { begin, _ := on(m.heads[i].First); return begin > at }) - 1
	if _, end := on(m.heads[i].First); at < end {
		return InRun, m.heads[i].First, nil
	}
	runs, err := m.loadSegment(i, load)
	if err != nil {
		return 0, Run{}, err
	}
	rule, run := search(on, runs, at)
	return rule, run, nil
}

// search looks for at in runs, the last of which must end after it.
func search(on side, runs []Run, at int64) (Rule, Run) {
	i := sort.Search(len(runs), func(i int) bool { _, end := on(runs[i]); return end > at })
	if begin, _ := on(runs[i]); begin <= at {
		return InRun, runs[i]
	}
	return InGap, runs[i]
}

// loadSegment reads the segment of heads[i] back and checks that it is the one
// that was sealed: it begins as noted, and fits in before what follows. The run
// that follows is part of the answer, for offsets between the two.
func (m *Map) loadSegment(i int, load Load) ([]Run, error) {
	h := m.heads[i]
	runs, err := load(h)
	if err != nil {
		return nil, fmt.Errorf("read segment %d from ledger offset %d: %w", h.Number, h.Ledger, err)
	}
	if len(runs) == 0 || runs[0] != h.First {
		return nil, &SegmentError{h.Number, fmt.Sprintf("ledger offset %d does not hold the runs that begin with %s",
			h.Ledger, h.First)}
	}
	if next, ok := m.next(i); ok {
		runs = append(slices.Clip(runs), next) // Clip: the caller's slice stays as it is
	} else if got := runs[len(runs)-1]; got != m.last {
		return nil, &SegmentError{h.Number, fmt.Sprintf("it ends with %s, but the map with %s", got, m.last)}
	}
	if err := validRuns(runs, Run{}); err != nil {
		return nil, fmt.Errorf("segment %d at ledger offset %d: %w", h.Number, h.Ledger, err)
	}
	return runs, nil
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
