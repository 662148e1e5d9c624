package offsets

import "sort"

// Count says how many records the map holds in [from,to) of the target. load is called for the sealed segments in
// that range; its error is returned.
func (m *Map) Count(from, to Target, load Load) (records int64, err error) {
	return count(m, targetSide, int64(from), int64(to), load)
}

// count is Count on either side of a map.
func count(m *Map, on side, from, to int64, load Load) (records int64, err error) {
	if _, end := on(m.last); from >= end || from >= to {
		return 0, nil
	}
	i := sort.Search(len(m.heads), func(i int) bool { begin, _ := on(m.heads[i].First); return begin > from })
	w := &Walk{m: m, next: max(i-1, 0)}
	for {
		runs, err := w.Next(load)
		if err != nil || len(runs) == 0 {
			return records, err
		}
		for _, r := range runs {
			begin, end := on(r)
			if begin >= to {
				return records, nil
			}
			records += max(min(end, to)-max(begin, from), 0)
		}
	}
}
