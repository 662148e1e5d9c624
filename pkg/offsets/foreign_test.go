package offsets

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAddForeign(t *testing.T) {
	for _, c := range []struct {
		why  string
		add  []Stretch
		want []Stretch
	}{
		{"sorted", []Stretch{{10, 12}, {5, 6}}, []Stretch{{5, 6}, {10, 12}}},
		{"touching is one", []Stretch{{5, 7}, {7, 9}}, []Stretch{{5, 9}}},
		{"touching from below", []Stretch{{7, 9}, {5, 7}}, []Stretch{{5, 9}}},
		{"inside changes nothing", []Stretch{{5, 9}, {6, 7}}, []Stretch{{5, 9}}},
		{"over several", []Stretch{{1, 2}, {5, 6}, {9, 11}, {4, 10}}, []Stretch{{1, 2}, {4, 11}}},
		{"one apart stays apart", []Stretch{{5, 6}, {7, 8}}, []Stretch{{5, 6}, {7, 8}}},
		{"empty is nothing", []Stretch{{5, 6}, {6, 6}, {20, 20}}, []Stretch{{5, 6}}},
	} {
		m := &Map{}
		for _, s := range c.add {
			m.AddForeign(s)
		}
		if got := m.Foreign(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v gives %v, want %v", c.why, c.add, got, c.want)
		}
	}
}

func TestAddForeignJoinsTheClosestBeyondItsLimit(t *testing.T) {
	for _, c := range []struct{ add, want Stretch }{
		{Stretch{3013, 3020}, Stretch{3000, 3020}}, // 3 after [3000,3010): the closest two
		{Stretch{13, 20}, Stretch{0, 20}},          // the first two
		{Stretch{6290, 6295}, Stretch{6290, 6310}}, // the last two
	} {
		m := &Map{}
		for i := range Target(maxForeign) {
			m.AddForeign(Stretch{100 * i, 100*i + 10})
		}
		m.AddForeign(c.add)
		if got := m.Foreign(); len(got) != maxForeign || !slices.Contains(got, c.want) {
			t.Errorf("after %v: %d stretches, want %d with %v joined: %v", c.add, len(got), maxForeign, c.want, got)
		}
	}
}

func TestAddForeignPanicsOnNonsense(t *testing.T) {
	for _, s := range []Stretch{{-1, 4}, {5, 4}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AddForeign(%v) does not panic", s)
				}
			}()
			new(Map).AddForeign(s)
		}()
	}
}

func TestClamp(t *testing.T) {
	m := &Map{}
	m.AddForeign(Stretch{10, 13})
	m.AddForeign(Stretch{20, 21})
	for _, c := range []struct {
		position, to Target
		want         Target
		by           Stretch
		why          string
	}{
		{0, 10, 10, Stretch{}, "up to the first foreign record"},
		{0, 11, 10, Stretch{10, 13}, "past one: stop before it"},
		{0, 30, 10, Stretch{10, 13}, "past several: before the first"},
		{11, 30, 11, Stretch{10, 13}, "inside a stretch: stay there"},
		{13, 30, 20, Stretch{20, 21}, "has read the first stretch"},
		{13, 20, 20, Stretch{}, "between the two"},
		{21, 30, 30, Stretch{}, "has read them all"},
		{30, 5, 5, Stretch{}, "back passes nothing"},
		{12, 11, 11, Stretch{}, "back inside a stretch passes nothing"},
		{12, 12, 12, Stretch{}, "stays"},
	} {
		got, by, clamped := m.Clamp(c.position, c.to)
		if got != c.want || by != c.by || clamped != (c.by != Stretch{}) {
			t.Errorf("%s: Clamp(%d, %d) = %d %v %v, want %d %v", c.why, c.position, c.to, got, by, clamped, c.want, c.by)
		}
	}
}

// FuzzForeign compares with a list that notes every foreign offset by itself.
func FuzzForeign(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		const size = 1500
		var wrote, kept [size]bool
		m := &Map{}
		most := 0 // stretches at any time: up to the limit nothing is joined
		for range rnd.IntN(120) {
			s := Stretch{From: Target(rnd.IntN(size - 10))}
			s.To = s.From + Target(rnd.IntN(6))
			m.AddForeign(s)
			for at := s.From; at < s.To; at++ {
				wrote[at] = true
			}
			most = max(most, stretches(wrote[:]))
		}
		list := m.Foreign()
		if err := validStretches(list); err != nil || len(list) > maxForeign {
			t.Fatalf("seed %d: %d stretches, %v: %v", seed, len(list), err, list)
		}
		for _, s := range list {
			for at := s.From; at < s.To; at++ {
				kept[at] = true
			}
		}
		for at := range wrote {
			if wrote[at] && !kept[at] {
				t.Fatalf("seed %d: foreign record at %d is forgotten: %v", seed, at, list)
			}
			if kept[at] && !wrote[at] && most <= maxForeign {
				t.Fatalf("seed %d: %d is noted as foreign and is not: %v", seed, at, list)
			}
		}
		for range 50 {
			position, to := Target(rnd.IntN(size)), Target(rnd.IntN(size))
			want, clamped := to, false
			for at := position; at < to; at++ {
				if kept[at] {
					want, clamped = at, true
					break
				}
			}
			if got, by, ok := m.Clamp(position, to); got != want || ok != clamped || ok && (by.From > got || by.To <= got) {
				t.Fatalf("seed %d: Clamp(%d, %d) = %d %v %v, want %d %v", seed, position, to, got, by, ok, want, clamped)
			}
		}
	})
}

// stretches counts the separate stretches of foreign offsets.
func stretches(wrote []bool) int {
	n := 0
	for i, w := range wrote {
		if w && (i == 0 || !wrote[i-1]) {
			n++
		}
	}
	return n
}
