package offsets

import (
	"fmt"
	"sort"
)

// Cut forgets what is mapped at or after source offset at, whose records the source
// has lost: what comes there next is mapped to where it lands. The segment around at,
// if it is a sealed one, becomes the tail again; load reads it back. Cut returns the
// heads of the segments that are not sealed any more, whose ledger records the caller
// then deletes. After an error the map is as it was.
func (m *Map) Cut(at Source, load Load) ([]Head, error) {
	if len(m.tail) > 0 && m.tail[0].Source < at {
		m.tail = before(m.tail, at)
		m.last = m.tail[len(m.tail)-1]
		return nil, nil
	}
	keep := sort.Search(len(m.heads), func(i int) bool { return m.heads[i].First.Source >= at }) - 1
	if keep < 0 {
		dropped := m.heads
		*m = Map{foreign: m.foreign}
		return dropped, nil
	}
	runs, err := m.sealed(keep, load)
	if err != nil {
		return nil, fmt.Errorf("cut the map at source offset %d: %w", at, err)
	}
	dropped := append([]Head(nil), m.heads[keep:]...)
	m.number, m.heads = m.heads[keep].Number, m.heads[:keep:keep]
	m.tail = before(runs, at)
	m.last = m.tail[len(m.tail)-1]
	return dropped, nil
}

// before are the runs' records before a source offset.
func before(runs []Run, at Source) []Run {
	var list []Run
	for _, r := range runs {
		if r.Source >= at {
			break
		}
		if r.SourceEnd() > at {
			r.Count = int64(at - r.Source)
		}
		list = append(list, r)
	}
	return list
}

// Before finds the last record that is mapped before a source offset, with its place
// on the target; false when there is none. load is called once at most.
func (m *Map) Before(at Source, load Load) (Source, Target, bool, error) {
	runs := m.tail
	if len(runs) == 0 || runs[0].Source >= at {
		i := sort.Search(len(m.heads), func(i int) bool { return m.heads[i].First.Source >= at }) - 1
		if i < 0 {
			return 0, 0, false, nil
		}
		var err error
		if runs, err = m.sealed(i, load); err != nil {
			return 0, 0, false, fmt.Errorf("find the record before source offset %d: %w", at, err)
		}
	}
	i := sort.Search(len(runs), func(i int) bool { return runs[i].Source >= at }) - 1
	r := runs[i]
	s := min(at, r.SourceEnd()) - 1
	return s, r.Target + Target(s-r.Source), true, nil
}
