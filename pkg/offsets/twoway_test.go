package offsets

import (
	"math/rand/v2"
	"testing"
)

// twoLogs is a partition that two flows copy into each other, as lists that are too simple to be wrong.
type twoLogs struct {
	t    *testing.T
	side [2][]entry // by offset; 0 is our source, 1 our target
	done [2]int     // how far the flow that begins at a side has come there
	from [2]int     // where it began
	maps [2]*Map    // of that flow
	kept [2]*shelf
	made int
}

// entry is an offset of a log: a visible record, or nothing that a reader sees.
type entry struct {
	record int // 0: a marker, or an aborted or compacted record
	native bool
}

func newTwoLogs(t *testing.T) *twoLogs {
	return &twoLogs{t: t, maps: [2]*Map{{}, {}}, kept: [2]*shelf{{}, {}}}
}

func (l *twoLogs) write(side, n int) {
	for range n {
		l.made++
		l.side[side] = append(l.side[side], entry{l.made, true})
	}
}

func (l *twoLogs) nothing(side, n int) {
	l.side[side] = append(l.side[side], make([]entry, n)...)
}

// carry copies what is native to a side among its next n offsets, in one transaction.
func (l *twoLogs) carry(from, n int) {
	to := 1 - from
	wrote := false
	for ; n > 0 && l.done[from] < len(l.side[from]); n-- {
		if e := l.side[from][l.done[from]]; e.record != 0 && e.native {
			r := Run{Source(l.done[from]), Target(len(l.side[to])), 1}
			if err := l.maps[from].Append(r); err != nil {
				l.t.Fatal(err)
			}
			l.side[to] = append(l.side[to], entry{record: e.record})
			wrote = true
		}
		l.done[from]++
	}
	if wrote {
		l.nothing(to, 1)
	}
}

// randomTwoLogs makes a history; late has the flow back begin after some records.
func randomTwoLogs(t *testing.T, rnd *rand.Rand) *twoLogs {
	l := newTwoLogs(t)
	late := rnd.IntN(4) == 0
	for range rnd.IntN(60) {
		side := rnd.IntN(2)
		switch rnd.IntN(7) {
		case 0, 1:
			l.write(side, 1+rnd.IntN(4))
		case 2:
			l.nothing(side, 1+rnd.IntN(3))
		case 3, 4, 5:
			if side == 1 && late {
				late, l.from[1], l.done[1] = false, len(l.side[1]), len(l.side[1])
			}
			l.carry(side, 1+rnd.IntN(8))
		case 6:
			if l.maps[side].TailLen() > 0 {
				l.kept[side].seal(l.maps[side])
			}
		}
	}
	return l
}

func (l *twoLogs) twoWay() *TwoWay {
	return &TwoWay{Out: l.maps[0], Back: l.maps[1], LoadOut: l.kept[0].load, LoadBack: l.kept[1].load,
		BackStart: Target(l.from[1]), BackProgress: Target(l.done[1])}
}

// been are the records that a reader has read.
func (l *twoLogs) been(read Read) map[int]bool {
	been := map[int]bool{}
	for side, to := range []int{int(read.Source), int(read.Target)} {
		for _, e := range l.side[side][:to] {
			been[e.record] = true
		}
	}
	return been
}

// unread is the offset of the first record of the target at or after read.Target that was not read; its end: none.
func (l *twoLogs) unread(read Read) Target {
	been := l.been(read)
	for at := int(read.Target); at < len(l.side[1]); at++ {
		if e := l.side[1][at]; e.record != 0 && !been[e.record] {
			return Target(at)
		}
	}
	return Target(len(l.side[1]))
}

// again counts the records at or after an offset of the target that were read.
func (l *twoLogs) again(read Read, from Target) (n int64) {
	been := l.been(read)
	for _, e := range l.side[1][from:] {
		if e.record != 0 && been[e.record] {
			n++
		}
	}
	return n
}

// answer does what a caller of Unread does: it looks into the log where the maps say nothing.
func (l *twoLogs) answer(w *TwoWay, read Read) Target {
	u, err := w.Unread(read)
	if err != nil {
		l.t.Fatal(err)
	}
	end := Target(len(l.side[1]))
	for _, s := range u.Look {
		for at := s.From; at < min(s.To, end); at++ {
			known, err := w.Known(at)
			if err != nil {
				l.t.Fatal(err)
			}
			if l.side[1][at].record != 0 && !known {
				return at
			}
		}
	}
	if u.Found {
		return u.Target
	}
	return end
}

func checkTwoWay(t *testing.T, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 2))
	l := randomTwoLogs(t, rnd)
	w := l.twoWay()
	for range 20 {
		read := Read{Source(rnd.IntN(len(l.side[0]) + 1)), 0}
		if rnd.IntN(2) == 0 {
			read.Target = Target(rnd.IntN(len(l.side[1]) + 1))
		}
		at, want := l.answer(w, read), l.unread(read)
		if at != want {
			t.Fatalf("seed %d: who has read %+v goes on at %d, want %d", seed, read, at, want)
		}
		got, err := w.Again(read.Source, at)
		if want := l.again(read, at); err != nil || got != want {
			t.Fatalf("seed %d: who has read %+v and goes on at %d reads %d again, %v, want %d", seed, read, at, got, err, want)
		}
		gone, to := Source(rnd.IntN(len(l.side[0])+1)), read.Target+Target(rnd.IntN(len(l.side[1])-int(read.Target)+1))
		only, both, err := w.Missed(read.Source, gone, read.Target, to)
		if wantOnly, wantBoth := l.missed(read.Source, gone, read.Target, to); err != nil || only != wantOnly ||
			both != wantBoth {
			t.Fatalf("seed %d: %+v misses %d and %d up to %d, gone %d, %v, want %d and %d", seed, read, only, both, to, gone,
				err, wantOnly, wantBoth)
		}
		passed, err := w.Between(read.Target, at)
		if want := l.records(int(read.Target), int(at)); err != nil || passed != want {
			t.Fatalf("seed %d: %d records between %d and %d, %v, want %d", seed, passed, read.Target, at, err, want)
		}
	}
}

// missed counts natives of the target, by where their copies stand on the source.
func (l *twoLogs) missed(read, gone Source, from, to Target) (only, both int64) {
	for _, e := range l.side[1][from:to] {
		for at, copied := range l.side[0] {
			switch {
			case e.record == 0 || !e.native || copied.record != e.record || Source(at) < read:
			case Source(at) < gone:
				both++
			default:
				only++
			}
		}
	}
	return only, both
}

// records counts the target's records in [from,to).
func (l *twoLogs) records(from, to int) (n int64) {
	for _, e := range l.side[1][from:to] {
		if e.record != 0 {
			n++
		}
	}
	return n
}

func TestTwoWay(t *testing.T) {
	for seed := range uint64(3000) {
		checkTwoWay(t, seed)
	}
}

func FuzzTwoWay(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkTwoWay)
}

// swapped are the same logs, as the opposite flow sees them.
func (l *twoLogs) swapped() *twoLogs {
	s := *l
	s.side = [2][]entry{l.side[1], l.side[0]}
	s.done, s.from = [2]int{l.done[1], l.done[0]}, [2]int{l.from[1], l.from[0]}
	s.maps, s.kept = [2]*Map{l.maps[1], l.maps[0]}, [2]*shelf{l.kept[1], l.kept[0]}
	return &s
}

// A reader that goes to and fro, while both sides are written to and copied, loses nothing.
func TestToAndFro(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		l := newTwoLogs(t)
		was := map[int]bool{} // that were read
		var at [2]Target      // where the reader stands on either side
		for range 40 {
			for range rnd.IntN(6) {
				l.write(rnd.IntN(2), rnd.IntN(3))
				l.carry(rnd.IntN(2), rnd.IntN(6))
			}
			for range min(rnd.IntN(5), len(l.side[0])-int(at[0])) {
				was[l.side[0][at[0]].record] = true
				at[0]++
			}
			at[1] = l.answer(l.twoWay(), Read{Source(at[0]), at[1]})
			if rnd.IntN(2) == 0 {
				l, at = l.swapped(), [2]Target{at[1], at[0]}
			}
		}
		for range 2 { // all that is left is carried, and then read where it is
			for range 2 {
				l.carry(0, len(l.side[0]))
				l = l.swapped()
			}
		}
		for _, e := range l.side[0][at[0]:] {
			was[e.record] = true
		}
		for record := 1; record <= l.made; record++ {
			if !was[record] {
				t.Fatalf("seed %d: record %d of %d was never read", seed, record, l.made)
			}
		}
	}
}
