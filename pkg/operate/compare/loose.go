package compare

const (
	// maxLoose is how many records without their like are kept in view: so far apart
	// a record may be from its place and still be told from a missing one.
	maxLoose = 2048
	// maxLatest is how many records back a repeated one is known again.
	maxLatest = 16384
)

// looseEnd is a record of either side, or one of each at the same place, that does
// not have its like there.
type looseEnd struct {
	source, target       int64 // -1: nowhere
	hasSource, hasTarget bool  // there is a record
	sourceSum, targetSum uint64
	fields               []string
	kind                 string // of the target's record alone
	producer             int64
	why                  string
	foundAt              int64 // target offset of the source's record, with found
	found                bool
	belongs              bool // the target's record is a source record of another place
}

// looseEnds pairs records with their like in other places, over a bounded view.
type looseEnds struct {
	note     func(Difference)
	queue    []*looseEnd
	bySource map[uint64]*looseEnd // whose source record was not found yet
	byTarget map[uint64]*looseEnd // whose target record belongs nowhere yet
}

func newLooseEnds(note func(Difference)) *looseEnds {
	return &looseEnds{note: note, bySource: map[uint64]*looseEnd{}, byTarget: map[uint64]*looseEnd{}}
}

func (l *looseEnds) add(e *looseEnd) {
	if e.hasSource {
		if like := l.byTarget[e.sourceSum]; like != nil {
			e.found, e.foundAt, like.belongs = true, like.target, true
			delete(l.byTarget, e.sourceSum)
		} else {
			l.bySource[e.sourceSum] = e
		}
	}
	if e.hasTarget {
		if like := l.bySource[e.targetSum]; like != nil {
			like.found, like.foundAt, e.belongs = true, e.target, true
			delete(l.bySource, e.targetSum)
		} else {
			l.byTarget[e.targetSum] = e
		}
	}
	if l.queue = append(l.queue, e); len(l.queue) > maxLoose {
		l.settle(l.queue[0])
		l.queue = l.queue[1:]
	}
}

func (l *looseEnds) settleAll() {
	for _, e := range l.queue {
		l.settle(e)
	}
	l.queue = nil
}

// settle says what a record was that has left the view.
func (l *looseEnds) settle(e *looseEnd) {
	if l.bySource[e.sourceSum] == e {
		delete(l.bySource, e.sourceSum)
	}
	if l.byTarget[e.targetSum] == e {
		delete(l.byTarget, e.targetSum)
	}
	changed := e.hasSource && e.hasTarget && !e.found && !e.belongs
	switch {
	case changed:
		l.note(Difference{Kind: Changed, Source: &e.source, Target: &e.target, Fields: e.fields, Records: 1,
			Why: "what stands at its place differs"})
		return
	case e.found:
		l.note(Difference{Kind: OutOfOrder, Source: offset(e.source), Target: offset(e.target), Found: &e.foundAt,
			Records: 1, Why: "it stands at another place than the map says"})
	case e.hasSource:
		why := e.why
		if why == "" {
			why = "a record that belongs elsewhere stands at its place"
		}
		l.note(Difference{Kind: Missing, Source: offset(e.source), Target: offset(e.target), Records: 1, Why: why})
	}
	if !e.hasTarget || e.belongs {
		return
	}
	kind, why, source := e.kind, e.why, e.source
	if kind == "" {
		kind, why, source = Extra, "it stands at the place of another record", -1
	}
	l.note(Difference{Kind: kind, Source: offset(source), Target: &e.target, Records: 1, Producer: &e.producer, Why: why})
}

// offset is how a difference names an offset.
func offset(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

// latest knows the last records that were found at their places.
type latest struct {
	order []uint64
	next  int
	at    map[uint64]int64 // source offsets
}

func newLatest() *latest { return &latest{at: map[uint64]int64{}} }

func (l *latest) add(sum uint64, source int64) {
	if len(l.order) < maxLatest {
		l.order = append(l.order, sum)
	} else {
		delete(l.at, l.order[l.next])
		l.order[l.next] = sum
		l.next = (l.next + 1) % maxLatest
	}
	l.at[sum] = source
}

func (l *latest) find(sum uint64) (source int64, ok bool) {
	source, ok = l.at[sum]
	return source, ok
}
