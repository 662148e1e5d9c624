package offsets

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// A map that was cut is the map of what stood before the cut, however it is made of
// segments: it answers, is restored and grows like one that never knew more.
func TestCut(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 11))
		m, s := &Map{}, &shelf{}
		var all []Run
		last := Run{}
		for range random.IntN(30) {
			last = Run{last.SourceEnd() + Source(1+random.IntN(3)), last.TargetEnd() + Target(random.IntN(3)),
				int64(1 + random.IntN(5))}
			if err := m.Append(last); err != nil {
				t.Fatal(err)
			}
			all = append(all, last)
			if random.IntN(4) == 0 {
				s.seal(m)
			}
		}
		at := Source(random.Int64N(int64(last.SourceEnd()) + 3))
		kept := &Map{}
		for _, r := range before(all, at) {
			if err := kept.Append(r); err != nil {
				t.Fatal(err)
			}
		}
		source, target, found, err := m.Before(at, s.load)
		end, mapped := kept.Last()
		if err != nil || found != mapped || found && (source != end.SourceEnd()-1 || target != end.TargetEnd()-1) {
			t.Fatalf("seed %d: before %d stands %d at %d, %v %v, want the end of %v", seed, at, source, target, found, err, end)
		}
		whole := m.Clone()
		heads := m.Heads()
		dropped, err := m.Cut(at, s.load)
		if err != nil || !slices.Equal(append(m.Heads(), dropped...), heads) {
			t.Fatalf("seed %d: cut at %d keeps %v and drops %v of %v: %v", seed, at, m.Heads(), dropped, heads, err)
		}
		if !slices.Equal(whole.Heads(), heads) {
			t.Fatalf("seed %d: cut at %d reaches into a map that it was cloned to", seed, at)
		}
		for grown := range 2 {
			for o := range last.SourceEnd() + 40 {
				got, err := m.Translate(o, 1<<40, s.load)
				want, _ := kept.Translate(o, 1<<40, nil)
				if err != nil || got.Target != want.Target || got.Rule != want.Rule {
					t.Fatalf("seed %d: cut at %d, grown %d, Translate(%d) = %v %v, want %v", seed, at, grown, o, got, err, want)
				}
			}
			if _, err := Restore(Saved{Heads: m.Heads(), Tail: m.Tail(), TailNumber: m.TailNumber(),
				Last: m.last}); err != nil {
				t.Fatalf("seed %d: cut at %d, grown %d: %v", seed, at, grown, err)
			}
			for _, one := range []*Map{m, kept} {
				if err := one.Append(Run{max(at, end.SourceEnd()), last.TargetEnd() + 2, 7}); grown == 0 && err != nil {
					t.Fatalf("seed %d: cut at %d cannot grow: %v", seed, at, err)
				}
			}
		}
	}
}

// A segment that cannot be read back leaves the map as it was.
func TestCutFails(t *testing.T) {
	m, s := mapOf(t, "0-4>0 6-9>6 | 20-24>20")
	if _, err := m.Cut(8, func(Head) ([]Run, error) { return nil, errors.New("not now") }); err == nil {
		t.Fatal("a cut without its segment is no error")
	}
	if got, err := m.Translate(22, 30, s.load); err != nil || got.Target != 22 {
		t.Errorf("afterwards Translate(22) = %v %v, want 22", got, err)
	}
}
