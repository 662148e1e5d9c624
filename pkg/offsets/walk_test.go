package offsets

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// A walk gives every run that ends after its begin, once and in order, however the
// map is cut into segments.
func TestWalk(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		m, sealed := &Map{}, map[int64][]Run{}
		var all []Run
		at := Run{}
		for range random.IntN(40) {
			source, target := at.SourceEnd()+Source(1+random.IntN(3)), at.TargetEnd()+Target(random.IntN(3))
			at = Run{source, target, int64(1 + random.IntN(5))}
			if err := m.Append(at); err != nil {
				t.Fatal(err)
			}
			all = append(all, at)
			if random.IntN(4) == 0 {
				sealed[m.TailNumber()] = m.Tail()
				m.Seal(m.TailNumber())
			}
		}
		from := Source(random.Int64N(int64(at.SourceEnd()) + 3))
		failed := random.IntN(2) == 0
		load := func(h Head) ([]Run, error) {
			if failed = !failed; failed {
				return nil, errors.New("not now")
			}
			return sealed[h.Number], nil
		}
		var got []Run
		for walk := m.Walk(from); ; {
			runs, err := walk.Next(load)
			if err != nil {
				continue
			}
			if len(runs) == 0 {
				break
			}
			got = append(got, runs...)
		}
		ended := func(r Run) bool { return r.SourceEnd() <= from }
		want := slices.DeleteFunc(slices.Clone(all), ended)
		if got := slices.DeleteFunc(slices.Clone(got), ended); !slices.Equal(got, want) {
			t.Fatalf("seed %d from %d: %v, want %v", seed, from, got, want)
		}
		if !slices.Equal(got, all[len(all)-len(got):]) {
			t.Fatalf("seed %d from %d: %v is not the end of %v", seed, from, got, all)
		}
	}
}

func TestWalkRefusesAnotherSegment(t *testing.T) {
	m := &Map{}
	for _, r := range []Run{{0, 0, 2}, {5, 5, 2}} {
		if err := m.Append(r); err != nil {
			t.Fatal(err)
		}
		m.Seal(0)
	}
	_, err := m.Walk(0).Next(func(Head) ([]Run, error) { return []Run{{0, 0, 9}}, nil })
	if err == nil {
		t.Error("a segment that runs into the next one was taken")
	}
}
