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
func (m *Map) AddForeign(s Stretch) { m.foreign = m.foreign.with(s) }

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

// foreignStretches are ascending, and do not touch.
type foreignStretches []Stretch

// with adds one; the slice may be changed.
func (list foreignStretches) with(s Stretch) foreignStretches {
	if s.From < 0 || s.To < s.From {
		panic(fmt.Sprintf("offsets: [%d,%d) is not a stretch of a log", s.From, s.To))
	}
	if s.From == s.To {
		return list
	}
	// lo..hi are the stretches that s touches.
	lo, _ := slices.BinarySearchFunc(list, s.From, func(f Stretch, at Target) int {
		if f.To < at {
			return -1
		}
		return 1
	})
	hi := lo
	for hi < len(list) && list[hi].From <= s.To {
		s.From, s.To = min(s.From, list[hi].From), max(s.To, list[hi].To)
		hi++
	}
	list = slices.Replace(list, lo, hi, s)
	if len(list) > maxForeign {
		return list.closestJoined()
	}
	return list
}

// closestJoined makes one stretch of the two with the fewest offsets between them.
func (list foreignStretches) closestJoined() foreignStretches {
	best := 1
	for i := 2; i < len(list); i++ {
		if list[i].From-list[i-1].To < list[best].From-list[best-1].To {
			best = i
		}
	}
	list[best-1].To = list[best].To
	return slices.Delete(list, best, best+1)
}
