package offsets

import "sort"

// Walk hands out a map's runs in order, a segment at a time, so that no more than
// one is in memory. The map must stay as it is meanwhile.
type Walk struct {
	m    *Map
	next int // index in heads; len(heads) is the tail
}

// Walk begins with the segment that holds, or is followed by, the first run that ends
// after source offset from. Some runs before that one may come too.
func (m *Map) Walk(from Source) *Walk {
	i := sort.Search(len(m.heads), func(i int) bool { return m.heads[i].First.Source > from })
	return &Walk{m: m, next: max(i-1, 0)}
}

// Next gives the next runs, ascending, checked as Translate checks them; none at the
// end. load is called for sealed segments; its error is returned, and Next may be
// called again.
func (w *Walk) Next(load Load) ([]Run, error) {
	if w.next == len(w.m.heads) {
		w.next++
		return w.m.Tail(), nil
	}
	if w.next > len(w.m.heads) {
		return nil, nil
	}
	runs, err := w.m.sealed(w.next, load)
	if err != nil {
		return nil, err
	}
	w.next++
	return runs, nil
}
