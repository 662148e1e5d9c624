package offsets

import "sort"

// Count says how many records the map holds in [from,to) of the target. load is called for the sealed segments in
// that range; its error is returned.
func (m *Map) Count(from, to Target, load Load) (records int64, err error) {
	if from >= m.last.TargetEnd() || from >= to {
		return 0, nil
	}
	i := sort.Search(len(m.heads), func(i int) bool { return m.heads[i].First.Target > from })
	w := &Walk{m: m, next: max(i-1, 0)}
	for {
		runs, err := w.Next(load)
		if err != nil || len(runs) == 0 {
			return records, err
		}
		for _, r := range runs {
			if r.Target >= to {
				return records, nil
			}
			records += max(int64(min(r.TargetEnd(), to)-max(r.Target, from)), 0)
		}
	}
}
