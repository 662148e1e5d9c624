package offsets

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// holed has a hole at 5 and 6 of the source, one at 107 of the target, and is
// sealed before 20; the rows of both tables ask it.
const holed = "2-4>100 7-8>103 9-9>106 | 20-24>110 25-29>117"

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		s, progress Source
		want        Target
		rule        Rule
		loads       int
		why         string
	}{
		{0, 30, 100, BeforeFirst, 0, "before all"},
		{2, 30, 100, InRun, 0, "first record; the head knows it"},
		{4, 30, 102, InRun, 0, "last of the first run"},
		{5, 30, 103, InGap, 1, "in a hole: the next record that exists"},
		{8, 30, 104, InRun, 1, "inside the segment"},
		{9, 30, 106, InRun, 1, "after a marker of ours"},
		{15, 30, 110, InGap, 1, "between the segment and the tail"},
		{20, 30, 110, InRun, 0, "first of the tail"},
		{25, 30, 117, InRun, 0, "the target jumped"},
		{29, 30, 121, InRun, 0, "last record"},
		{30, 30, 122, AtEnd, 0, "caught up: the end, so lag is 0"},
		{33, 40, 122, AtEnd, 0, "only markers up to progress"},
		{40, 40, 122, AtEnd, 0, "at progress"},
		{41, 40, 0, NotYet, 0, "beyond what has been copied"},
	} {
		m, s := mapOf(t, holed)
		got, err := m.Translate(c.s, c.progress, s.load)
		if err != nil || got.Rule != c.rule || got.Target != c.want || s.loads != c.loads {
			t.Errorf("%s: Translate(%d, %d) = %+v, %v after %d loads; want %d, %q, %d loads",
				c.why, c.s, c.progress, got, err, s.loads, c.want, c.rule, c.loads)
		}
	}
}

func TestInvert(t *testing.T) {
	for _, c := range []struct {
		t     Target
		want  Source
		rule  Rule
		loads int
		why   string
	}{
		{0, 2, BeforeFirst, 0, "before all"},
		{100, 2, InRun, 0, "first record"},
		{104, 8, InRun, 1, "the source jumped before it"},
		{105, 9, InGap, 1, "a marker of ours: the next record"},
		{107, 20, InGap, 1, "between the segment and the tail"},
		{114, 24, InRun, 0, "last of a run"},
		{116, 25, InGap, 0, "a gap in the tail"},
		{121, 29, InRun, 0, "last record"},
		{122, 33, AtEnd, 0, "all has been read: what comes after progress is next"},
		{999, 33, AtEnd, 0, "far beyond"},
	} {
		m, s := mapOf(t, holed)
		got, err := m.Invert(c.t, 33, s.load)
		if err != nil || got.Rule != c.rule || got.Source != c.want || s.loads != c.loads {
			t.Errorf("%s: Invert(%d) = %+v, %v after %d loads; want %d, %q, %d loads",
				c.why, c.t, got, err, s.loads, c.want, c.rule, c.loads)
		}
	}
}

func TestTranslateNothingMapped(t *testing.T) {
	m := &Map{}
	for s, want := range map[Source]TargetAnswer{
		0: {0, AtEnd, Run{}}, 7: {0, AtEnd, Run{}}, 8: {0, NotYet, Run{}},
	} {
		if got, err := m.Translate(s, 7, nil); err != nil || got != want {
			t.Errorf("Translate(%d, 7) of an empty map = %+v, %v, want %+v", s, got, err, want)
		}
	}
	if got, err := m.Invert(3, 7, nil); err != nil || got != (SourceAnswer{7, AtEnd, Run{}}) {
		t.Errorf("Invert(3, 7) of an empty map = %+v, %v, want progress", got, err)
	}
}

// The end of a map without a tail is known after a restart, without a load.
func TestTranslateAfterSealNeedsNoLoadAtTheEnd(t *testing.T) {
	m, _ := mapOf(t, "0-4>100 7-8>107 |")
	m, err := Restore(saved(m))
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[Source]Target{8: 108, 9: 109, 12: 109} {
		if got, err := m.Translate(s, 12, nil); err != nil || got.Target != want {
			t.Errorf("Translate(%d) = %+v, %v, want %d", s, got, err, want)
		}
	}
}

func TestTranslateRefusesASegmentThatIsNotTheOneSealed(t *testing.T) {
	broken := errors.New("ledger away")
	for why, c := range map[string]struct {
		runs []Run
		says string
	}{
		"load fails":            {nil, "ledger away"},
		"nothing there":         {runsOf(t, ""), "does not hold"},
		"other runs there":      {runsOf(t, "2-3>100 7-8>103 9-9>106"), "does not hold"},
		"reaches into the next": {runsOf(t, "2-4>100 7-21>103"), "lies before 22"},
		"out of order":          {runsOf(t, "2-4>100 9-9>106 7-8>103"), "lies before 10"},
	} {
		load := func(Head) ([]Run, error) {
			if why == "load fails" {
				return nil, broken
			}
			return c.runs, nil
		}
		m, _ := mapOf(t, holed)
		_, err := m.Translate(8, 30, load)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "source offset 8") {
			t.Errorf("%s: Translate = %v, want an error that says %q", why, err, c.says)
		}
		var remedy interface{ Remedy() string }
		if !errors.Is(err, broken) && !errors.As(err, &remedy) {
			t.Errorf("%s: %v has no remedy", why, err)
		}
		if _, err := m.Invert(104, 30, load); err == nil || !strings.Contains(err.Error(), "target offset 104") {
			t.Errorf("%s: Invert = %v, want an error", why, err)
		}
	}
	m, s := mapOf(t, "0-4>100 7-8>107 10-10>120 |")
	m.last = Run{10, 121, 1}
	if _, err := m.Translate(7, 30, s.load); err == nil || !strings.Contains(err.Error(), "ends with") {
		t.Errorf("a segment with another last run: %v", err)
	}
}

func TestRuleStrings(t *testing.T) {
	seen := map[string]bool{}
	for r := InRun; r <= NotYet; r++ {
		if s := r.String(); seen[s] || strings.Contains(s, "unknown") {
			t.Errorf("rule %d is %q", int(r), s)
		}
		seen[r.String()] = true
	}
	if got := Rule(0).String(); got != "unknown rule 0" {
		t.Errorf("Rule(0) is %q", got)
	}
}

func FuzzTranslate(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed, int64(seed*3))
	}
	f.Add(uint64(1), int64(-1<<63))
	f.Add(uint64(1), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, seed uint64, at int64) {
		list, m, s := randomHistory(t, rand.New(rand.NewPCG(seed, 1)))
		check := func(at Source) TargetAnswer {
			want, rule := list.translate(at)
			got, err := m.Translate(at, list.progress, s.load)
			if err != nil || got.Target != want || got.Rule != rule {
				t.Fatalf("seed %d: Translate(%d) = %+v, %v, want %d, %q", seed, at, got, err, want, rule)
			}
			return got
		}
		check(Source(at))
		before := Target(0)
		for at := Source(-2); at <= list.progress; at++ {
			got := check(at)
			if got.Target < before {
				t.Fatalf("seed %d: Translate goes back from %d to %d at %d", seed, before, got.Target, at)
			}
			before = got.Target
			if got.Rule != InRun {
				continue
			}
			if back, err := m.Invert(got.Target, list.progress, s.load); err != nil || back.Source != at {
				t.Fatalf("seed %d: Invert(Translate(%d)) = %+v, %v", seed, at, back, err)
			}
		}
	})
}

func FuzzInvert(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed, int64(seed*3))
	}
	f.Add(uint64(1), int64(-1<<63))
	f.Add(uint64(1), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, seed uint64, at int64) {
		list, m, s := randomHistory(t, rand.New(rand.NewPCG(seed, 1)))
		check := func(at Target) Source {
			want, rule := list.invert(at)
			got, err := m.Invert(at, list.progress, s.load)
			if err != nil || got.Source != want || got.Rule != rule {
				t.Fatalf("seed %d: Invert(%d) = %+v, %v, want %d, %q", seed, at, got, err, want, rule)
			}
			return got.Source
		}
		check(Target(at))
		before := Source(0)
		for at := Target(-2); at <= list.target+2; at++ {
			got := check(at)
			if got < before {
				t.Fatalf("seed %d: Invert goes back from %d to %d at %d", seed, before, got, at)
			}
			before = got
		}
	})
}

// FuzzTrim: what retention has not reached is answered as before.
func FuzzTrim(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		list, m, s := randomHistory(t, rnd)
		source, target := Source(rnd.Int64N(int64(list.progress)+2)), Target(rnd.Int64N(int64(list.target)+2))
		for _, h := range m.Trim(source, target) {
			delete(s.segments, h.Ledger)
		}
		for at := source; at <= list.progress; at++ {
			want, rule := list.translate(at)
			if got, err := m.Translate(at, list.progress, s.load); err != nil || got.Target != want || got.Rule != rule {
				t.Fatalf("seed %d: trimmed at %d and %d, Translate(%d) = %+v, %v, want %d, %q",
					seed, source, target, at, got, err, want, rule)
			}
		}
		for at := target; at <= list.target; at++ {
			want, rule := list.invert(at)
			if got, err := m.Invert(at, list.progress, s.load); err != nil || got.Source != want || got.Rule != rule {
				t.Fatalf("seed %d: trimmed at %d and %d, Invert(%d) = %+v, %v, want %d, %q",
					seed, source, target, at, got, err, want, rule)
			}
		}
	})
}
