package offsets

import (
	"fmt"
	"slices"
)

const (
	// SegmentRuns is how many runs the tail holds when it is to be sealed. At
	// about 4 bytes a run a segment is a ledger record of about 1 KiB.
	SegmentRuns = 256

	// maxForeign bounds the foreign foreignStretches that a map keeps.
	maxForeign = 64
)

// Head stands for one sealed segment: up to SegmentRuns runs that are kept in the
// ledger, of which only the first is held in memory.
type Head struct {
	Number int64 // of the segment, 0 first, without holes from one to the next
	First  Run   // the segment's first run
	Ledger int64 // offset of the segment's record in the ledger partition
}

// Map holds which source offset is which target offset in one partition. The zero
// Map is empty and ready to use.
type Map struct {
	segments
	foreign foreignStretches
}

// Saved is all that a Map holds, as it is put together again from the ledger.
type Saved struct {
	Heads      []Head    // sealed segments that were not trimmed, ascending
	Tail       []Run     // runs after them; may be empty
	TailNumber int64     // the tail's segment number; one more than the last head's
	Last       Run       // last run of the last sealed segment; ignored when Tail has runs
	Foreign    []Stretch // ascending
}

// Restore puts a map together again and checks it. Runs of the tail that touch on
// both sides are merged, as Append does.
func Restore(s Saved) (*Map, error) {
	if err := validHeads(s); err != nil {
		return nil, err
	}
	if err := validStretches(s.Foreign); err != nil {
		return nil, err
	}
	m := &Map{segments: segments{heads: slices.Clone(s.Heads), number: s.TailNumber}}
	if len(m.heads) > 0 {
		// The true last run of the sealed segments is only known without a tail; the
		// first run of the last one bounds the tail well enough otherwise.
		m.last = m.heads[len(m.heads)-1].First
		if len(s.Tail) == 0 {
			m.last = s.Last
		}
	}
	for _, r := range s.Tail {
		if err := m.Append(r); err != nil {
			return nil, err
		}
	}
	for _, f := range s.Foreign {
		m.AddForeign(f)
	}
	return m, nil
}

// validHeads checks the sealed segments, and what Saved says of the run after them.
func validHeads(s Saved) error {
	prev := Run{}
	for i, h := range s.Heads {
		if why := h.First.follows(prev); why != "" {
			return fmt.Errorf("segment %d: %w", h.Number, &RunError{Run: h.First, After: prev, Why: why})
		}
		if want := s.TailNumber - int64(len(s.Heads)-i); h.Number != want || h.Number < 0 {
			return &SegmentError{Number: h.Number, Why: fmt.Sprintf("segment %d was expected in its place", want)}
		}
		prev = h.First
	}
	switch {
	case s.TailNumber < 0:
		return &SegmentError{Number: s.TailNumber, Why: "a segment number is never negative"}
	case len(s.Heads) == 0 && len(s.Tail) == 0 && s.TailNumber > 0:
		return &SegmentError{Number: s.TailNumber - 1, Why: "it was sealed, but is not there any more"}
	case len(s.Heads) == 0 || len(s.Tail) > 0 || s.Last == prev:
		return nil
	}
	if why := s.Last.follows(prev); why != "" {
		return fmt.Errorf("last run of segment %d: %w", s.TailNumber-1, &RunError{Run: s.Last, After: prev, Why: why})
	}
	return nil
}

// Append adds a run at the end. It refuses, with a *RunError and without a change,
// a run that holds nothing or does not lie wholly after the last one on both
// sides. A run that goes on exactly where the tail ended becomes part of its last.
func (m *Map) Append(r Run) error {
	if why := r.follows(m.last); why != "" {
		return &RunError{Run: r, After: m.last, Why: why}
	}
	if n := len(m.tail); n > 0 && r.touches(m.tail[n-1]) {
		m.tail[n-1].Count += r.Count
		m.last = m.tail[n-1]
		return nil
	}
	m.tail = append(m.tail, r)
	m.last = r
	return nil
}

// Tail returns a copy of the runs that are not sealed, ascending.
func (m *Map) Tail() []Run { return slices.Clone(m.tail) }

// TailLen is the number of runs that are not sealed: at SegmentRuns it is time to Seal.
func (m *Map) TailLen() int { return len(m.tail) }

// TailNumber is the number of the segment that the tail will become; the first is 0.
func (m *Map) TailNumber() int64 { return m.number }

// Seal makes the tail a segment, whose record lies at the given offset of the
// ledger partition, and starts an empty one. The caller has written all of Tail
// there. A tail without runs cannot be sealed: that panics.
func (m *Map) Seal(ledger int64) {
	if len(m.tail) == 0 {
		panic(fmt.Sprintf("offsets: segment %d has no runs and cannot be sealed at ledger offset %d", m.number, ledger))
	}
	m.heads = append(m.heads, Head{Number: m.number, First: m.tail[0], Ledger: ledger})
	m.tail = nil // not [:0]: a tail is small again after a burst
	m.number++
}

// Heads returns a copy of the sealed segments' heads, ascending.
func (m *Map) Heads() []Head { return slices.Clone(m.heads) }

// Last is the last mapped run, also right after Seal; false when nothing is mapped.
func (m *Map) Last() (Run, bool) { return m.last, m.last.Count > 0 }

// First is the first run that the map still holds; false when nothing is mapped.
func (m *Map) First() (Run, bool) { return m.first() }

// Trim forgets what can never be asked again: the segments wholly below the start
// of both logs, and foreign foreignStretches below the target's. It returns the heads it
// dropped, whose ledger records the caller then deletes. A segment is wholly below
// when the next one's first run begins at or below both starts.
func (m *Map) Trim(source Source, target Target) []Head {
	n := 0
	for n < len(m.heads) {
		r, ok := m.next(n)
		if !ok || r.Source > source || r.Target > target {
			break
		}
		n++
	}
	dropped := slices.Clone(m.heads[:n])
	m.heads = slices.Clone(m.heads[n:]) // a clone may share them
	m.foreign = slices.DeleteFunc(m.foreign, func(s Stretch) bool { return s.To <= target })
	return dropped
}
