package ledger

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"replicator/pkg/offsets"
)

// Undecided is the Resumed of a cut about which no operator has decided yet.
const Undecided offsets.Source = -1

// cutsKept bounds the cuts that are kept of one partition; their sums go on.
const cutsKept = 64

// Cut is a loss, at the end of a log, of what had been copied: the source's or the
// target's was put back to an earlier state, or a leader took over that lacked it. It
// stays until an operator decides, however the log grows afterwards. One of no length is none: it notes what was given
// up there without one.
type Cut struct {
	Target bool           // it was the target's log
	At     offsets.Source // from here on the log does not hold any more what was copied
	Copied offsets.Source // progress then: what stood in [At,Copied) is on the other side alone
	Epoch  int32          // leader epoch of that progress, or chunk.UnknownEpoch
	Seen   time.Time      // to the millisecond
	// Resumed is where copying went on, and Decided when: by an operator's word, or because
	// the target topic was made anew and is filled from the source's beginning.
	Resumed offsets.Source
	Decided time.Time
	Left    offsets.Stretch // of the target, between the map's runs: what the source has lost; empty: nothing
	// Orphans counts the records that were given up, of a failback, which has read them; 0: nobody has counted.
	Orphans int64
}

// none says that nothing was cut: so a failback notes what it gives up of the source.
func (c *Cut) none() bool { return c.At == c.Copied && !c.Target }

// Cuts are those of one partition. They are never changed, but replaced.
type Cuts struct {
	Count int64 // how many are in the list or have been, those of no length among them
	Lost  int64 // source offsets in all [At,Copied), of either side
	List  []Cut // the latest, ascending in time
}

// Open is the cut that nobody has decided about; nil: there is none.
func (c *Cuts) Open() *Cut {
	if c == nil || len(c.List) == 0 || c.List[len(c.List)-1].Resumed != Undecided {
		return nil
	}
	last := c.List[len(c.List)-1]
	return &last
}

// Real are those by which a side has lost something: how many there have been, and the latest of them.
func (c *Cuts) Real() (count int64, list []Cut) {
	if c == nil {
		return 0, nil
	}
	for _, one := range c.List {
		if !one.none() {
			list = append(list, one)
		}
	}
	return c.Count - int64(len(c.List)-len(list)), list
}

// Add is the cuts with one more.
func (c *Cuts) Add(one Cut) *Cuts {
	next := &Cuts{}
	if c != nil {
		next.Count, next.Lost, next.List = c.Count, c.Lost, slices.Clone(c.List)
	}
	next.Count++
	next.Lost += int64(one.Copied - one.At)
	next.List = append(next.List, one)
	for ; len(next.List) > cutsKept; next.List = next.List[1:] {
		if next.List[0].none() {
			next.Count-- // what is not in the list any more counts as real
		}
	}
	return next
}

// Replace is the cuts with another last one.
func (c *Cuts) Replace(last Cut) *Cuts {
	next := &Cuts{Count: c.Count, List: slices.Clone(c.List)}
	was := &next.List[len(next.List)-1]
	next.Lost = c.Lost + int64(last.Copied-last.At) - int64(was.Copied-was.At)
	*was = last
	return next
}

// Left are the stretches of the target that hold what the source has lost, ascending.
func (c *Cuts) Left() []offsets.Stretch {
	var list []offsets.Stretch
	if c != nil {
		for _, one := range c.List {
			if one.Left.From < one.Left.To {
				list = append(list, one.Left)
			}
		}
	}
	return list
}

// GivenUp is a stretch of the source, [From,To), that is not copied, since an operator has ordered
// to go on behind it.
type GivenUp struct {
	From, To offsets.Source
	Ordered  time.Time
	Records  int64 // in it, where a failback has counted them; 0: at most as many as it has offsets
}

// GivenUp are those of the partition, ascending in time.
func (st *State) GivenUp() []GivenUp {
	var list []GivenUp
	if st.Cuts != nil {
		for _, one := range st.Cuts.List {
			if from := max(one.At, st.Start); from < one.Resumed {
				list = append(list, GivenUp{from, one.Resumed, one.Decided, one.Orphans})
			}
		}
	}
	return list
}

// WithoutLeft is the cuts where the target topic that held what was lost is gone, and
// the next one is filled with what orders gave up as well; an open one is decided by that.
func (c *Cuts) WithoutLeft(resumed offsets.Source, now time.Time) *Cuts {
	if c == nil {
		return nil
	}
	next := &Cuts{c.Count, c.Lost, slices.Clone(c.List)}
	for i := range next.List {
		one := &next.List[i]
		one.Left = offsets.Stretch{}
		if one.Resumed == Undecided {
			one.Decided = now
		}
		one.Resumed = resumed
	}
	return next
}

// Turned is what the decided cuts mean where records go the other way: what is left on
// the target is not copied back, and what was given up stands there between the runs.
func (c *Cuts) Turned() *Cuts {
	next := &Cuts{}
	for _, one := range c.decided() {
		if one.Left.From == one.Left.To && one.At == one.Resumed {
			continue // what the target had lost was copied again: nothing is left of it
		}
		at := offsets.Source(one.Left.From)
		next.List = append(next.List, Cut{
			At: at, Copied: at, Epoch: -1, Seen: one.Seen, Resumed: offsets.Source(one.Left.To), Decided: one.Decided,
			Left: offsets.Stretch{From: offsets.Target(one.At), To: offsets.Target(one.Resumed)}, Orphans: one.Orphans,
		})
	}
	next.Count = int64(len(next.List))
	return next.orNil()
}

// Join is the decided cuts with those of others that are not among them.
func (c *Cuts) Join(others *Cuts) *Cuts {
	next := &Cuts{List: c.decided()}
	if c != nil {
		next.Count, next.Lost = c.Count, c.Lost
	}
	for _, one := range others.decided() {
		known := slices.ContainsFunc(next.List, func(o Cut) bool {
			return o.At == one.At && o.Resumed == one.Resumed && o.Left == one.Left
		})
		if !known {
			next = next.Add(one)
		}
	}
	return next.orNil()
}

// decided are the cuts about which an operator has decided.
func (c *Cuts) decided() []Cut {
	if c == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.List), func(one Cut) bool { return one.Resumed == Undecided })
}

// orNil is nil for no cut.
func (c *Cuts) orNil() *Cuts {
	if len(c.List) == 0 {
		return nil
	}
	return c
}

func (c *Cuts) equal(o *Cuts) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.Count == o.Count && c.Lost == o.Lost && slices.EqualFunc(c.List, o.List, Cut.Equal)
}

// Equal tells whether two cuts say the same.
func (c Cut) Equal(o Cut) bool {
	same := c.Seen.Equal(o.Seen) && c.Decided.Equal(o.Decided)
	c.Seen, c.Decided, o.Seen, o.Decided = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && c == o
}

func encodeCuts(c *Cuts) []byte {
	b := binary.AppendUvarint(nil, uint64(c.Count))
	b = binary.AppendUvarint(b, uint64(c.Lost))
	b = binary.AppendUvarint(b, uint64(len(c.List)))
	for _, one := range c.List {
		b = binary.AppendUvarint(b, uint64(one.At))
		b = binary.AppendUvarint(b, uint64(one.Copied))
		b = binary.AppendVarint(b, int64(one.Epoch))
		b = binary.AppendVarint(b, one.Seen.UnixMilli())
		b = binary.AppendVarint(b, int64(one.Resumed))
		decided := int64(0)
		if one.Resumed != Undecided {
			decided = one.Decided.UnixMilli()
		}
		b = binary.AppendVarint(b, decided)
		b = binary.AppendUvarint(b, uint64(one.Left.From))
		b = binary.AppendUvarint(b, uint64(one.Left.To))
		whose := uint64(0)
		if one.Target {
			whose = 1
		}
		b = binary.AppendUvarint(b, whose)
	}
	return b
}

// encodeOrphans is what was counted of each cut in the list; nil: nothing was.
func encodeOrphans(c *Cuts) (b []byte) {
	some := false
	for _, one := range c.List {
		some = some || one.Orphans > 0
		b = binary.AppendUvarint(b, uint64(one.Orphans))
	}
	if !some {
		return nil
	}
	return b
}

// takeOrphans fills in what was counted.
func takeOrphans(c *Cuts, b []byte) error {
	if c == nil {
		return errors.New("orphans are counted, and nothing was given up")
	}
	r := reader{rest: b}
	for i := range c.List {
		c.List[i].Orphans = int64(r.uvarint())
	}
	return r.end()
}

func decodeCuts(b []byte) (*Cuts, error) {
	r := reader{rest: b}
	c := &Cuts{Count: int64(r.uvarint()), Lost: int64(r.uvarint())}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		one := Cut{
			At: offsets.Source(r.uvarint()), Copied: offsets.Source(r.uvarint()), Epoch: int32(r.varint()),
			Seen: time.UnixMilli(r.varint()), Resumed: offsets.Source(r.varint()),
		}
		if decided := r.varint(); one.Resumed != Undecided {
			one.Decided = time.UnixMilli(decided)
		}
		one.Left = offsets.Stretch{From: offsets.Target(r.uvarint()), To: offsets.Target(r.uvarint())}
		whose := r.uvarint()
		one.Target = whose == 1
		if r.err == nil && (one.At < 0 || one.Copied < one.At || one.Resumed < Undecided || one.Left.From < 0 || whose > 1 ||
			one.Left.To < one.Left.From || one.Resumed == Undecided && n > 1) {
			return nil, errors.New("a cut contradicts itself")
		}
		c.List = append(c.List, one)
	}
	if r.err == nil && (len(c.List) == 0 || c.Count < int64(len(c.List))) {
		return nil, errors.New("there are more cuts than are counted")
	}
	return c, r.end()
}
