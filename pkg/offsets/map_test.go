package offsets

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAppendMergesOnlyWhatTouchesOnBothSides(t *testing.T) {
	for text, want := range map[string]string{
		"0-4>100 5-8>105":            "0-8>100",         // goes on on both sides
		"0-4>100 5-8>106":            "0-4>100 5-8>106", // a marker of ours between
		"0-4>100 6-8>105":            "0-4>100 6-8>105", // a marker of the source between
		"0-4>0 5-5>5 6-9>6 12-12>10": "0-9>0 12-12>10",
	} {
		m, _ := mapOf(t, text)
		if got, want := m.Tail(), runsOf(t, want); !slices.Equal(got, want) {
			t.Errorf("%s: tail %v, want %v", text, got, want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, c := range []struct {
		why  string
		run  Run
		says string
	}{
		{"holds nothing", Run{20, 120, 0}, "0 records"},
		{"negative count", Run{20, 120, -3}, "-3 records"},
		{"negative source", Run{-1, 120, 1}, "source offset -1 is negative"},
		{"negative target", Run{20, -1, 1}, "target offset -1 is negative"},
		{"overlaps on the source", Run{9, 120, 1}, "source offset 9 lies before 10"},
		{"overlaps on the target", Run{20, 109, 1}, "target offset 109 lies before 110"},
		{"goes back on the source", Run{0, 120, 1}, "source offset 0 lies before 10"},
		{"source overflows", Run{math.MaxInt64 - 1, 120, 2}, "source end"},
		{"target overflows", Run{20, math.MaxInt64 - 1, 2}, "target end"},
	} {
		m, _ := mapOf(t, "0-9>100")
		err := m.Append(c.run)
		var refused *RunError
		if !errors.As(err, &refused) || refused.Remedy() == "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Append(%+v) = %v, want a RunError that says %q", c.why, c.run, err, c.says)
		}
		if got := m.Tail(); !slices.Equal(got, runsOf(t, "0-9>100")) {
			t.Errorf("%s: the refused run changed the tail to %v", c.why, got)
		}
	}
	sealed, _ := mapOf(t, "0-9>100 |")
	if err := sealed.Append(Run{9, 120, 1}); err == nil {
		t.Error("after Seal, a run that overlaps the sealed one is accepted")
	}
	if err := sealed.Append(Run{10, 110, 1}); err != nil || sealed.TailLen() != 1 {
		t.Errorf("after Seal, a run that touches the sealed one: %v, tail %v; want a run of its own", err, sealed.Tail())
	}
}

func TestSealKeepsFirstLastAndNumber(t *testing.T) {
	m := &Map{}
	if _, ok := m.First(); ok {
		t.Error("an empty map has a first run")
	}
	if _, ok := m.Last(); ok {
		t.Error("an empty map has a last run")
	}
	m, _ = mapOf(t, "0-4>100 6-6>105 | 9-9>110 |")
	wantHeads := []Head{{0, Run{0, 100, 5}, 1000}, {1, Run{9, 110, 1}, 1007}}
	if got := m.Heads(); !slices.Equal(got, wantHeads) {
		t.Errorf("heads %v, want %v", got, wantHeads)
	}
	if first, ok := m.First(); !ok || first != (Run{0, 100, 5}) {
		t.Errorf("first %v %v", first, ok)
	}
	if last, ok := m.Last(); !ok || last != (Run{9, 110, 1}) {
		t.Errorf("last %v %v", last, ok)
	}
	if m.TailNumber() != 2 || m.TailLen() != 0 || len(m.Tail()) != 0 {
		t.Errorf("tail %d %v, want an empty tail number 2", m.TailNumber(), m.Tail())
	}
	defer func() {
		if recover() == nil {
			t.Error("sealing an empty tail does not panic")
		}
	}()
	m.Seal(5)
}

func TestCopiesDoNotReachIntoTheMap(t *testing.T) {
	m, _ := mapOf(t, "0-4>100 | 9-9>110")
	m.AddForeign(Stretch{200, 201})
	m.Heads()[0].Ledger, m.Tail()[0].Count, m.Foreign()[0].To = -1, 77, 999
	want, _ := mapOf(t, "0-4>100 | 9-9>110")
	want.AddForeign(Stretch{200, 201})
	if !sameMap(m, want) {
		t.Errorf("a copy was written to and the map changed: %+v", m)
	}
}

func TestRestoreRefuses(t *testing.T) {
	head := func(number, source, target, count int64) Head {
		return Head{number, Run{Source(source), Target(target), count}, 50 + number}
	}
	for why, s := range map[string]Saved{
		"segment missing":       {Heads: []Head{head(0, 0, 0, 1), head(2, 9, 9, 1)}, TailNumber: 3, Last: Run{9, 9, 1}},
		"last segment missing":  {Heads: []Head{head(0, 0, 0, 1)}, TailNumber: 2, Last: Run{0, 0, 1}},
		"negative number":       {Heads: []Head{head(-1, 0, 0, 1)}, TailNumber: 0, Last: Run{0, 0, 1}},
		"negative tail number":  {Tail: []Run{{0, 0, 1}}, TailNumber: -1},
		"sealed runs are gone":  {TailNumber: 3},
		"heads out of order":    {Heads: []Head{head(0, 9, 9, 1), head(1, 0, 0, 1)}, TailNumber: 2, Last: Run{9, 9, 1}},
		"heads overlap":         {Heads: []Head{head(0, 0, 5, 2), head(1, 9, 6, 1)}, TailNumber: 2, Last: Run{9, 9, 1}},
		"head holds nothing":    {Heads: []Head{head(0, 0, 0, 0)}, TailNumber: 1, Last: Run{9, 9, 1}},
		"last run unknown":      {Heads: []Head{head(0, 4, 4, 1)}, TailNumber: 1},
		"last run too early":    {Heads: []Head{head(0, 4, 4, 1)}, TailNumber: 1, Last: Run{1, 1, 1}},
		"tail before the heads": {Heads: []Head{head(0, 4, 4, 1)}, TailNumber: 1, Tail: []Run{{4, 9, 1}}},
		"tail out of order":     {Tail: []Run{{4, 9, 1}, {3, 12, 1}}},
		"empty foreign stretch": {Foreign: []Stretch{{4, 4}}},
		"foreign overlap":       {Foreign: []Stretch{{4, 9}, {8, 10}}},
		"negative foreign":      {Foreign: []Stretch{{-4, 9}}},
	} {
		m, err := Restore(s)
		var remedy interface{ Remedy() string }
		if err == nil || m != nil || !errors.As(err, &remedy) || remedy.Remedy() == "" {
			t.Errorf("%s: Restore(%+v) = %v, %v; want an error with a remedy", why, s, m, err)
		}
	}
}

func TestRestore(t *testing.T) {
	for _, text := range []string{
		"0-4>100", "0-4>100 |", "0-4>100 6-6>105 |", "0-4>100 | 9-9>110 |", "0-4>100 | 5-9>105 12-12>200",
	} {
		m, _ := mapOf(t, text)
		m.AddForeign(Stretch{300, 305})
		again, err := Restore(saved(m))
		if err != nil || !sameMap(m, again) {
			t.Errorf("%s: restored %+v, %v; want %+v", text, again, err, m)
		}
	}
	empty, err := Restore(Saved{})
	if err != nil || !sameMap(empty, &Map{}) {
		t.Errorf("Restore of nothing = %+v, %v", empty, err)
	}
	merged, err := Restore(Saved{Tail: []Run{{0, 0, 2}, {2, 2, 3}}})
	if err != nil || !slices.Equal(merged.Tail(), []Run{{0, 0, 5}}) {
		t.Errorf("touching deltas are restored as %v, %v; want one run", merged.Tail(), err)
	}
}

func TestTrim(t *testing.T) {
	const text = "0-4>100 | 10-14>110 | 20-24>120 | 30-34>130"
	for _, c := range []struct {
		source Source
		target Target
		drops  int
		why    string
	}{
		{0, 0, 0, "nothing deleted"},
		{9, 200, 0, "the source still has the gap before the second segment"},
		{10, 109, 0, "the target is one short of it"},
		{10, 110, 1, "both begin with the second segment"},
		{1000, 119, 1, "the target holds the rest"},
		{29, 1000, 2, "the source holds the third"},
		{1000, 1000, 3, "the tail always stays"},
	} {
		m, _ := mapOf(t, text)
		heads := m.Heads()
		if got := m.Trim(c.source, c.target); !slices.Equal(got, heads[:c.drops]) {
			t.Errorf("%s: Trim(%d, %d) drops %v, want %v", c.why, c.source, c.target, got, heads[:c.drops])
		}
		if !slices.Equal(m.Heads(), heads[c.drops:]) || m.TailNumber() != 3 {
			t.Errorf("%s: left %v, tail number %d", c.why, m.Heads(), m.TailNumber())
		}
		if again, err := Restore(saved(m)); err != nil || !sameMap(m, again) {
			t.Errorf("%s: what is left cannot be restored: %v", c.why, err)
		}
	}
	m, _ := mapOf(t, "0-4>100 | 10-14>110 |")
	if got := m.Trim(1000, 1000); len(got) != 1 || len(m.Heads()) != 1 {
		t.Errorf("Trim with an empty tail dropped %v; the last segment has to stay", got)
	}
	for _, f := range []Stretch{{50, 60}, {70, 80}, {85, 91}} {
		m.AddForeign(f)
	}
	m.Trim(0, 80)
	if got := m.Foreign(); !slices.Equal(got, []Stretch{{85, 91}}) {
		t.Errorf("foreign stretches after Trim(0, 80): %v, want only the one that ends at 91", got)
	}
}
