package offsets

import (
	"fmt"
	"slices"
)

// Clone returns a map that changes without this one noticing: what a commit will
// make of a map can be worked out before it is certain. The sealed segments are
// shared until one is added, so that the cost does not grow with the history.
func (m *Map) Clone() *Map {
	c := *m
	c.heads = slices.Clip(m.heads)
	c.tail = slices.Clone(m.tail)
	c.foreign = slices.Clone(m.foreign)
	return &c
}

// Place says where in the ledger a segment lies that was sealed on a clone before
// that was known. A segment that is not there panics.
func (m *Map) Place(number, ledger int64) {
	i, found := slices.BinarySearchFunc(m.heads, number, func(h Head, n int64) int { return int(h.Number - n) })
	if !found {
		panic(fmt.Sprintf("offsets: segment %d is to be placed, but the map does not have it", number))
	}
	m.heads[i].Ledger = ledger
}
