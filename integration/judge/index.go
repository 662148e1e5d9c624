package judge

import (
	"context"
	"sort"
)

// index lists all visible records of one partition: where each is, and its sum.
type index struct {
	cursor  *cursor
	offsets []int64
	sums    []uint64
}

// grow reads what was added since the last time.
func (x *index) grow(ctx context.Context) error {
	for {
		records, err := x.cursor.read(ctx)
		if err != nil || len(records) == 0 {
			return err
		}
		for _, r := range records {
			e := newEntry(r)
			x.offsets = append(x.offsets, e.offset)
			x.sums = append(x.sums, e.sum)
		}
	}
}

// rank is the number of visible records before an offset: the place, in the
// visible sequence, of the record that a reader at that offset reads next.
func (x *index) rank(offset int64) int {
	return sort.Search(len(x.offsets), func(i int) bool { return x.offsets[i] >= offset })
}

func (x *index) len() int { return len(x.offsets) }

// pairing says which place on the target stands for a place on the source.
type pairing struct {
	source, target *index // target is nil while the partition is not there
	common         int    // the first so many records are equal on both sides
	last           []int  // duplicates: see places
}

// refresh brings both indexes up to their bounds.
func (p *pairing) refresh(ctx context.Context, duplicates bool) error {
	if err := p.source.grow(ctx); err != nil || p.target == nil {
		return err
	}
	if err := p.target.grow(ctx); err != nil {
		return err
	}
	n := min(p.source.len(), p.target.len())
	for p.common < n && p.source.sums[p.common] == p.target.sums[p.common] {
		p.common++
	}
	if duplicates {
		p.last = places(p.source.sums, p.target.sums)
	}
	return nil
}

// places answers, for a target that may hold records again, from which place at
// the latest one must read to find the source's records from i on, all and in
// order; -1 where even the whole target does not hold them.
func places(source, target []uint64) []int {
	last := make([]int, len(source)+1)
	j := len(target)
	last[len(source)] = j
	for i := len(source) - 1; i >= 0; i-- {
		for j--; j >= 0 && target[j] != source[i]; j-- {
		}
		if last[i] = j; j < 0 {
			j = 0 // and none of those before i is there either
			for ; i >= 0; i-- {
				last[i] = -1
			}
		}
	}
	return last
}

// place returns the target's place for the source's place i; false if the target
// is not equal up to there, so that there is none.
func (p *pairing) place(i int, duplicates bool) (int, bool) {
	if duplicates {
		return p.last[i], p.last[i] >= 0
	}
	return i, i <= p.common
}
