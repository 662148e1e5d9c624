package offsets

import (
	"math/rand/v2"
	"testing"
)

func TestPlace(t *testing.T) {
	m, _ := mapOf(t, "0-4>100 | 6-6>107 | 9-9>110")
	c := m.Clone()
	c.Seal(-1)
	c.Place(2, 77)
	if got := c.Heads()[2]; got != (Head{2, Run{9, 110, 1}, 77}) {
		t.Errorf("the segment placed is %+v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("placing a segment that is not there does not panic")
		}
	}()
	c.Place(3, 78)
}

// FuzzClone: whatever happens to a clone, the map does not notice, and the reverse.
func FuzzClone(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		_, m, _ := randomHistory(t, rnd)
		m.AddForeign(Stretch{5000, 5001})
		maps := []*Map{m, m.Clone(), m.Clone()}
		for range 20 {
			i := rnd.IntN(len(maps))
			var before []*Map
			for _, other := range maps {
				again, err := Restore(saved(other)) // shares nothing
				if err != nil {
					t.Fatal(err)
				}
				before = append(before, again)
			}
			change(t, rnd, maps[i])
			for j, other := range maps {
				if j != i && !sameMap(other, before[j]) {
					t.Fatalf("seed %d: map %d changed with map %d: %+v, was %+v", seed, j, i, other, before[j])
				}
			}
		}
	})
}

// change does one thing to a map.
func change(t *testing.T, rnd *rand.Rand, m *Map) {
	t.Helper()
	last, _ := m.Last()
	switch rnd.IntN(5) {
	case 0, 1:
		r := Run{last.SourceEnd(), last.TargetEnd() + Target(rnd.IntN(2)), int64(1 + rnd.IntN(3))}
		if err := m.Append(r); err != nil {
			t.Fatal(err)
		}
	case 2:
		if m.TailLen() > 0 {
			m.Seal(-1)
			m.Place(m.TailNumber()-1, rnd.Int64N(100))
		}
	case 3:
		m.Trim(last.Source, Target(rnd.Int64N(int64(last.Target)+1)))
	case 4:
		from := Target(rnd.IntN(6000))
		m.AddForeign(Stretch{from, from + 2})
	}
}
