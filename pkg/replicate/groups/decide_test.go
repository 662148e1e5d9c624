package groups

import (
	"strings"
	"testing"
	"unicode/utf8"

	"replicator/pkg/offsets"
)

const flow = "old->new"

// mark is a commit of ours at a target offset.
func mark(source offsets.Source, target offsets.Target) *Committed {
	return &Committed{int64(target), Mark{flow, source, target}.Format()}
}

func ready(target offsets.Target) Answer {
	return Answer{Target: target, Rule: offsets.InRun, Ready: true}
}

func TestDecide(t *testing.T) {
	stopped := func(target offsets.Target) Answer {
		a := ready(target)
		a.Foreign = &offsets.Stretch{From: 60, To: 62}
		return a
	}
	lost := func(target offsets.Target) Answer {
		return Answer{Target: target, Ready: true, Rule: offsets.InRun, Deleted: 7}
	}
	ours := Mark{flow, 42, 57}.Format()
	for _, row := range []struct {
		why    string
		target *Committed
		answer Answer
		kind   Kind
		write  bool
		at     offsets.Target
	}{
		{"nothing there: new, or expired", nil, ready(57), Moved, true, 57},
		{"offset 0 is a position", nil, ready(0), Moved, true, 0},
		{"there already", mark(42, 57), ready(57), InSync, false, 57},
		{"there already, found from another source offset", mark(40, 57), ready(57), InSync, false, 57},
		{"at 0 already", mark(0, 0), ready(0), InSync, false, 0},
		{"forwards", mark(42, 57), ready(90), Moved, true, 90},
		{"back, as the source was reset", mark(42, 57), ready(3), Moved, true, 3},
		{"back to 0", mark(42, 57), ready(0), Moved, true, 0},
		{"a consumer's commit", &Committed{Offset: 57}, ready(90), ForeignCommit, false, 0},
		{"a consumer's commit, even where it would be right", &Committed{Offset: 57}, ready(57), ForeignCommit, false, 0},
		{"a consumer's own metadata", &Committed{57, "mine"}, ready(90), ForeignCommit, false, 0},
		{"moved with our metadata kept", &Committed{58, ours}, ready(90), ForeignCommit, false, 0},
		{"another flow's", &Committed{57, Mark{"x->new", 42, 57}.Format()}, ready(90), ForeignCommit, false, 0},
		{"a version to come", &Committed{57, strings.Replace(ours, "1", "2", 1)}, ready(90), ForeignCommit, false, 0},
		{"a consumer's, whatever is known", &Committed{Offset: 57}, Answer{Rule: offsets.NotYet}, ForeignCommit, false, 0},
		{"ahead of the copy", mark(42, 57), Answer{Rule: offsets.NotYet}, NotCopiedYet, false, 0},
		{"ahead of the copy, which has grown", mark(42, 57), Answer{Rule: offsets.NotYet,
			Reached: &Reached{Source: 50, Target: 66}}, NotCopiedYet, true, 66},
		{"ahead of the copy, all of which it has read", mark(50, 66), Answer{Rule: offsets.NotYet,
			Reached: &Reached{Source: 50, Target: 66}}, NotCopiedYet, false, 0},
		{"ahead of the copy, nothing there, which has grown", nil, Answer{Rule: offsets.NotYet,
			Reached: &Reached{Source: 0, Target: 5}}, NotCopiedYet, true, 5},
		{"ahead of the copy, nothing there", nil, Answer{Rule: offsets.NotYet, Why: "wait"}, NotCopiedYet, false, 0},
		{"not to be said", nil, Answer{Why: "stopped"}, NoAnswer, false, 0},
		{"the zero answer is none", mark(42, 57), Answer{}, NoAnswer, false, 0},
		{"no position", nil, Answer{Target: -1, Ready: true, Rule: offsets.AtEnd}, NoAnswer, false, 0},
		{"up to a foreign record", mark(42, 57), stopped(60), BeforeForeign, true, 60},
		{"still before it", mark(42, 60), stopped(60), BeforeForeign, false, 60},
		{"new and stopped at once", nil, stopped(60), BeforeForeign, true, 60},
		{"below the target's log, unread", mark(42, 57), lost(80), UnreadDeleted, true, 80},
		{"below the target's log, and moved to its beginning", mark(42, 80), lost(80), UnreadDeleted, false, 80},
		{"deleted on both sides", mark(42, 80), Answer{Target: 80, Ready: true, Rule: offsets.InRun, DeletedOnBoth: 9},
			InSync, false, 80},
		{"a consumer's, whatever is lost below it", &Committed{Offset: 90}, lost(80), ForeignCommit, false, 0},
		{"behind the source's end", mark(42, 57), Answer{Rule: offsets.NotYet, Beyond: true}, BeyondEnd, false, 0},
	} {
		got := Decide(flow, Committed{Offset: 42}, row.target, row.answer)
		if got.Kind != row.kind || got.Write != row.write || got.Target != row.at || got.Why == "" {
			t.Errorf("%s: got %+v, want %s write=%v %d", row.why, got, row.kind, row.write, row.at)
		}
		if known := row.at != 0 || row.answer.Ready && row.kind != ForeignCommit && row.kind != NoAnswer; got.Known != known {
			t.Errorf("%s: known = %v, want %v", row.why, got.Known, known)
		}
	}
}

func TestSettledAndLeftAloneByKind(t *testing.T) {
	for kind, want := range map[Kind][2]bool{ // settled, left alone
		Moved: {true, false}, InSync: {true, false}, NotCopiedYet: {false, false}, NoAnswer: {false, false},
		Active: {true, true}, ForeignCommit: {true, true}, BeforeForeign: {true, true}, Refused: {true, true},
		Retried: {false, false}, UnreadDeleted: {true, false}, BeyondEnd: {true, true}, OnBothSides: {true, true},
	} {
		if got := [2]bool{kind.Settled(), kind.LeftAlone()}; got != want {
			t.Errorf("%s: settled, left alone = %v, want %v", kind, got, want)
		}
	}
	if got := len(Kinds()); got != 12 {
		t.Errorf("%d kinds, want 12", got)
	}
}

func TestMarkFormat(t *testing.T) {
	const golden = "replicator1 old->new s=42 t=57"
	m := Mark{flow, 42, 57}
	if got := m.Format(); got != golden {
		t.Errorf("Format = %q, want %q: this text lies in clusters", got, golden)
	}
	if got, ok := ParseMark(golden); !ok || got != m {
		t.Errorf("ParseMark = %+v %v", got, ok)
	}
	for _, bad := range []string{
		"", "replicator1", "replicator1 ", "replicator2 old->new s=42 t=57", "replicator1 old->new s=42",
		"replicator1 old->new t=57", "replicator1 old->new s=42 t=", "replicator1 old->new s=42 t=-1",
		"replicator1 old->new s=042 t=57", "replicator1 old->new s=+42 t=57", "replicator1 old->new s=42 t=57 ",
		"replicator1 old->new s=42 t=99999999999999999999", " replicator1 old->new s=42 t=57",
	} {
		if got, ok := ParseMark(bad); ok {
			t.Errorf("ParseMark(%q) = %+v, want none", bad, got)
		}
	}
}

func TestMarkOfALongFlowFits(t *testing.T) {
	long := strings.Repeat("ä", 3000)
	m := Mark{long + "->b", 1<<63 - 1, 1<<63 - 1}
	text := m.Format()
	if len(text) > 200 || !utf8.ValidString(text) {
		t.Errorf("%d bytes, valid %v: %q", len(text), utf8.ValidString(text), text)
	}
	if !Ours(m.Flow, Committed{1<<63 - 1, text}) {
		t.Errorf("our own mark is not known again: %q", text)
	}
	if Ours(long+"->c", Committed{1<<63 - 1, text}) {
		t.Error("another long flow takes it for its own")
	}
}

func FuzzMark(f *testing.F) {
	f.Add("old->new", int64(42), int64(57), "replicator1 old->new s=42 t=57")
	f.Add("a s=1 t=2", int64(0), int64(0), "replicator1  s=0 t=0")
	f.Add(strings.Repeat("ü", 70), int64(1), int64(2), "replicator1 x s=1 t=2 s=3 t=4")
	f.Fuzz(func(t *testing.T, flow string, source, target int64, text string) {
		if source >= 0 && target >= 0 {
			m := Mark{flow, offsets.Source(source), offsets.Target(target)}
			got, ok := ParseMark(m.Format())
			if !ok || got.Source != m.Source || got.Target != m.Target || got.Format() != m.Format() {
				t.Fatalf("%+v -> %q -> %+v %v", m, m.Format(), got, ok)
			}
			if !Ours(flow, Committed{target, m.Format()}) {
				t.Fatalf("%q is not ours", m.Format())
			}
			if len(m.Format()) > 200 {
				t.Fatalf("%d bytes", len(m.Format()))
			}
		}
		if m, ok := ParseMark(text); ok && m.Format() != text {
			t.Fatalf("%q -> %+v -> %q", text, m, m.Format())
		}
	})
}
