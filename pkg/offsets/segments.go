package offsets

import (
	"fmt"
	"slices"
	"sort"
)

// segments are a map's runs: those that are sealed, of which the ledger has all but the
// first of each, and those that are not yet.
type segments struct {
	heads  []Head // sealed segments, ascending
	tail   []Run  // runs of the segment that is not sealed yet
	number int64  // what the tail will be called
	last   Run    // last mapped run, also when it is sealed; Count 0: nothing mapped
}

// first is the first run that is still held; false when nothing is mapped.
func (s *segments) first() (Run, bool) { return s.next(-1) }

// next is the first run of the segment after heads[i]; false after the last one.
func (s *segments) next(i int) (Run, bool) {
	switch {
	case i+1 < len(s.heads):
		return s.heads[i+1].First, true
	case len(s.tail) > 0:
		return s.tail[0], true
	}
	return Run{}, false
}

// side is how a search looks at a run: the begin and the end of one of its ranges.
type side func(Run) (begin, end int64)

func sourceSide(r Run) (int64, int64) { return int64(r.Source), int64(r.SourceEnd()) }
func targetSide(r Run) (int64, int64) { return int64(r.Target), int64(r.TargetEnd()) }

// find looks for offset at on one side: InRun with the run around it, InGap or
// BeforeFirst with the next run, AtEnd with the last one.
func (s *segments) find(on side, at int64, load Load) (Rule, Run, error) {
	first, ok := s.first()
	if !ok {
		return AtEnd, Run{}, nil
	}
	if begin, _ := on(first); at < begin {
		return BeforeFirst, first, nil
	}
	if _, end := on(s.last); at >= end {
		return AtEnd, s.last, nil
	}
	if begin, _ := on(s.last); at >= begin {
		return InRun, s.last, nil
	}
	if len(s.tail) > 0 {
		if begin, _ := on(s.tail[0]); at >= begin {
			rule, run := search(on, s.tail, at)
			return rule, run, nil
		}
	}
	// The segment is the last one that begins at or before at; it exists, as first does.
	i := sort.Search(len(s.heads), func(i int) bool { begin, _ := on(s.heads[i].First); return begin > at }) - 1
	if _, end := on(s.heads[i].First); at < end {
		return InRun, s.heads[i].First, nil
	}
	runs, err := s.loadSegment(i, load)
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
func (s *segments) loadSegment(i int, load Load) ([]Run, error) {
	h := s.heads[i]
	runs, err := load(h)
	if err != nil {
		return nil, fmt.Errorf("read segment %d from ledger offset %d: %w", h.Number, h.Ledger, err)
	}
	if len(runs) == 0 || runs[0] != h.First {
		return nil, &SegmentError{h.Number, fmt.Sprintf("ledger offset %d does not hold the runs that begin with %s",
			h.Ledger, h.First)}
	}
	if next, ok := s.next(i); ok {
		runs = append(slices.Clip(runs), next) // Clip: the caller's slice stays as it is
	} else if got := runs[len(runs)-1]; got != s.last {
		return nil, &SegmentError{h.Number, fmt.Sprintf("it ends with %s, but the map with %s", got, s.last)}
	}
	if err := validRuns(runs, Run{}); err != nil {
		return nil, fmt.Errorf("segment %d at ledger offset %d: %w", h.Number, h.Ledger, err)
	}
	return runs, nil
}

// sealed reads the segment of heads[i] back, without the run that follows it.
func (s *segments) sealed(i int, load Load) ([]Run, error) {
	runs, err := s.loadSegment(i, load)
	if _, followed := s.next(i); followed && err == nil {
		runs = runs[:len(runs)-1] // which was there to be checked against
	}
	return runs, err
}
