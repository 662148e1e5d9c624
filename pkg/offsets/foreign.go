package offsets

import (
	"fmt"
	"slices"
)

// AddForeign notes that [From, To) of the target holds records someone else
// wrote. Stretches that touch become one. At most 64 are kept: beyond that the
// two closest become one, which may stop a group too early but never too late.
// An empty stretch is nothing; one that ends before it begins, or begins below
// offset 0, panics.
func (m *Map) AddForeign(s Stretch) {
	if s.From < 0 || s.To < s.From {
		panic(fmt.Sprintf("offsets: [%d,%d) is not a stretch of a log", s.From, s.To))
	}
	if s.From == s.To {
		return
	}
	// lo..hi are the stretches that s touches.
	lo, _ := slices.BinarySearchFunc(m.foreign, s.From, func(f Stretch, at Target) int {
		if f.To < at {
			return -1
		}
		return 1
	})
	hi := lo
	for hi < len(m.foreign) && m.foreign[hi].From <= s.To {
		s.From, s.To = min(s.From, m.foreign[hi].From), max(s.To, m.foreign[hi].To)
		hi++
	}
	m.foreign = slices.Replace(m.foreign, lo, hi, s)
	if len(m.foreign) > maxForeign {
		m.joinClosest()
	}
}

// joinClosest makes one stretch of the two with the fewest offsets between them.
func (m *Map) joinClosest() {
	best := 1
	for i := 2; i < len(m.foreign); i++ {
		if m.foreign[i].From-m.foreign[i-1].To < m.foreign[best].From-m.foreign[best-1].To {
			best = i
		}
	}
	m.foreign[best-1].To = m.foreign[best].To
	m.foreign = slices.Delete(m.foreign, best, best+1)
}

// Foreign returns a copy of the stretches that someone else wrote, ascending.
func (m *Map) Foreign() []Stretch { return slices.Clone(m.foreign) }

// Clamp says how far a group may be moved that stands at position (0 if it has
// none) and ought to stand at to. It may not pass a foreign record that it has not
// read: true means that the answer is short of to, and names the first stretch in
// the way. Moving back passes nothing and is never clamped.
func (m *Map) Clamp(position, to Target) (Target, Stretch, bool) {
	for _, s := range m.foreign {
		if s.From >= to {
			break
		}
		if s.To > position && to > position {
			return max(position, s.From), s, true
		}
	}
	return to, Stretch{}, false
}
