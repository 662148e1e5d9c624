package partition

import "testing"

func TestStateOf(t *testing.T) {
	unreachable := func(f *Facts) { f.Target.Silent = true }
	for _, c := range []struct {
		why   string
		facts Facts
		want  State
		word  Phase
	}{
		{"all is well", running(), Copying, "copying"},
		{"a hole is no reason to stop", running(retained), Copying, "copying"},
		{"refused before its first record, and free since", running(bound), Copying, "copying"},
		{"the ledger does not know it", fresh(), NotStarted, "not_started"},
		{"wherever the target is", fresh(away, unreachable), NotStarted, "not_started"},
		{"what stops it comes before that", fresh(quarantined), Quarantined, "stopped"},
		{"its topic may not be copied", running(stopped, cutAt60), TopicStopped, "stopped"},
		{"a cut comes before other reasons", running(cutAt60, quarantined), Truncated, "stopped"},
		{"also where the source is silent", running(cutAt60, silent), Truncated, "stopped"},
		{"a cut that only shows", running(sourceEnds), Truncated, "stopped"},
		{"on the other side", running(targetEnds), Truncated, "stopped"},
		{"it shows nothing while the source is silent", running(sourceEnds, silent), SourceSilent, "waiting"},
		{"the target hides the topic", running(hidden, unreachable), TargetHidden, "waiting"},
		{"the topic was deleted", running(deleted, unreachable), TargetDeleted, "waiting"},
		{"another one has its name", running(remade), TargetReplaced, "waiting"},
		{"that comes before a cut", running(remade, cutAt60), TargetReplaced, "waiting"},
		{"the leader is away", running(unreachable), TargetAway, "waiting"},
		{"the partition is", running(away, unreachable), TargetAway, "waiting"},
	} {
		got := StateOf(c.facts, true)
		if got != c.want || got.Phase() != c.word {
			t.Errorf("%s: %d, %q, want %d, %q, of %+v", c.why, got, got.Phase(), c.want, c.word, c.facts)
		}
		idle, want := StateOf(c.facts, false), got
		if got == Copying {
			want = Idle
		}
		if idle != want || idle.Phase().Free() != (got == Copying) {
			t.Errorf("%s, without a replica: %d, want %d", c.why, idle, want)
		}
	}
	if word := Unseen.Phase(); word != "" {
		t.Errorf("what nobody has seen is %q", word)
	}
}
