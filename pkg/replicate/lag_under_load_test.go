package replicate

import (
	"testing"
	"time"

	"replicator/pkg/offsets"
)

// A copy that is a little behind all the time was caught up a little while ago.
func TestLagUnderSteadyLoad(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	l := lag{since: begun}
	for second := range 600 {
		at := begun.Add(time.Duration(second) * time.Second)
		end := offsets.Source(1000 * (second + 3)) // 3000 records behind, which come in 3 s
		l = l.learn(end, offsets.Source(1000*second), at)
		if behind := at.Sub(l.since); behind > 7*time.Second {
			t.Fatalf("after %d s with a lag of 3 s: behind for %s, want at most twice the lag", second, behind)
		}
	}
	at := begun.Add(time.Hour)
	if l = l.learn(700_000, 700_000, at); !l.since.Equal(at) {
		t.Errorf("all is copied, but it was last seen caught up %s ago", at.Sub(l.since))
	}
	for second := range 600 { // nothing is copied any more
		l = l.learn(offsets.Source(800_000+second), 700_000, at.Add(time.Duration(second)*time.Second))
	}
	if !l.since.Equal(at) {
		t.Errorf("a copy that stands still was seen caught up %s later", l.since.Sub(at))
	}
	l = l.learn(5, 0, at)
	if l = l.learn(9, 5, at.Add(time.Minute)); !l.since.Equal(at) {
		t.Errorf("a topic that was created again has %v for its lag", l)
	}
}
