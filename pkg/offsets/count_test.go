package offsets

import (
	"math/rand/v2"
	"testing"
)

// FuzzCount counts records of the target against a list.
func FuzzCount(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		list, m, s := randomHistory(t, rnd)
		for range 20 {
			from := Target(rnd.Int64N(int64(list.target)+4) - 2)
			to := from + Target(rnd.Int64N(30)-3)
			want := int64(0)
			for _, p := range list.pairs {
				if p.target >= from && p.target < to {
					want++
				}
			}
			if got, err := m.Count(from, to, s.load); err != nil || got != want {
				t.Fatalf("seed %d: Count(%d, %d) = %d, %v, want %d", seed, from, to, got, err, want)
			}
		}
	})
}
