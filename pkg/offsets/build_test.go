package offsets

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// runsOf reads "0-4>100 7-8>107": the records 0 to 4 are at 100 onwards.
func runsOf(t *testing.T, text string) []Run {
	t.Helper()
	var runs []Run
	for _, word := range strings.Fields(text) {
		var first, last, target int64
		if _, err := fmt.Sscanf(word, "%d-%d>%d", &first, &last, &target); err != nil {
			t.Fatalf("run %q: %v", word, err)
		}
		runs = append(runs, Run{Source(first), Target(target), last - first + 1})
	}
	return runs
}

// shelf keeps sealed segments by ledger offset, as the ledger would: in bytes.
type shelf struct {
	segments map[int64][]byte
	loads    int
}

// seal moves the map's tail to the shelf.
func (s *shelf) seal(m *Map) {
	if s.segments == nil {
		s.segments = map[int64][]byte{}
	}
	at := int64(1000 + 7*len(s.segments))
	s.segments[at] = EncodeRuns(m.Tail())
	m.Seal(at)
}

func (s *shelf) load(h Head) ([]Run, error) {
	s.loads++
	return DecodeRuns(s.segments[h.Ledger])
}

// mapOf reads runs with "|" where the tail is sealed: "0-4>100 | 7-8>107".
func mapOf(t *testing.T, text string) (*Map, *shelf) {
	t.Helper()
	m, s := &Map{}, &shelf{}
	for i, part := range strings.Split(text, "|") {
		if i > 0 {
			s.seal(m)
		}
		for _, r := range runsOf(t, part) {
			if err := m.Append(r); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
	return m, s
}

// saved is what a ledger would give back of m.
func saved(m *Map) Saved {
	s := Saved{Heads: m.Heads(), Tail: m.Tail(), TailNumber: m.TailNumber(), Foreign: m.Foreign()}
	if len(s.Tail) == 0 {
		s.Last, _ = m.Last()
	}
	return s
}

// pair is one copied record; history is a map that is too simple to be wrong.
type pair struct {
	source Source
	target Target
}

type history struct {
	pairs    []pair
	progress Source
	target   Target // the target's next offset
}

func (h *history) translate(s Source) (Target, Rule) {
	for i, p := range h.pairs {
		switch {
		case p.source == s:
			return p.target, InRun
		case p.source > s && i == 0:
			return p.target, BeforeFirst
		case p.source > s:
			return p.target, InGap
		}
	}
	switch {
	case s > h.progress:
		return 0, NotYet
	case len(h.pairs) == 0:
		return 0, AtEnd
	}
	return h.pairs[len(h.pairs)-1].target + 1, AtEnd
}

func (h *history) invert(t Target) (Source, Rule) {
	for i, p := range h.pairs {
		switch {
		case p.target == t:
			return p.source, InRun
		case p.target > t && i == 0:
			return p.source, BeforeFirst
		case p.target > t:
			return p.source, InGap
		}
	}
	return h.progress, AtEnd
}

// randomHistory makes the same history twice: as a list, and as a map that was
// sealed at random places and put together again from what was saved.
func randomHistory(t *testing.T, rnd *rand.Rand) (*history, *Map, *shelf) {
	t.Helper()
	h := &history{progress: Source(rnd.IntN(20)), target: Target(rnd.IntN(20))}
	m, s := &Map{}, &shelf{}
	for range rnd.IntN(60) {
		switch rnd.IntN(8) {
		case 0, 1, 2: // records, copied in one chunk
			r := Run{h.progress, h.target, int64(1 + rnd.IntN(5))}
			for range r.Count {
				h.pairs = append(h.pairs, pair{h.progress, h.target})
				h.progress++
				h.target++
			}
			if err := m.Append(r); err != nil {
				t.Fatal(err)
			}
		case 3: // markers, aborted or compacted records of the source
			h.progress += Source(1 + rnd.IntN(4))
		case 4, 5: // our own markers and aborted attempts
			h.target += Target(1 + rnd.IntN(3))
		case 6:
			if m.TailLen() > 0 {
				s.seal(m)
			}
		case 7:
			again, err := Restore(saved(m))
			if err != nil {
				t.Fatalf("restore %+v: %v", saved(m), err)
			}
			m = again
		}
	}
	return h, m, s
}

// sameMap compares all that two maps answer about themselves.
func sameMap(a, b *Map) bool {
	lastA, okA := a.Last()
	lastB, okB := b.Last()
	return slices.Equal(a.Heads(), b.Heads()) && slices.Equal(a.Tail(), b.Tail()) && lastA == lastB && okA == okB &&
		a.TailNumber() == b.TailNumber() && slices.Equal(a.Foreign(), b.Foreign())
}
