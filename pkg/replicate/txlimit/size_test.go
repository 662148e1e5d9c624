package txlimit

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// TestSlownessBeginsNearTheLimit: a failure counts as slowness after most of the time that the target allows
// a transaction, and not before.
func TestSlownessBeginsNearTheLimit(t *testing.T) {
	for _, c := range []struct{ allowed, took time.Duration }{
		{0, 21 * time.Second}, {time.Hour, 21 * time.Second}, {10 * time.Second, 7 * time.Second},
	} {
		for _, slow := range []bool{false, true} {
			var longest Longest
			longest.Set(c.allowed)
			s, took := NewSize(slog.New(slog.DiscardHandler), &longest), c.took
			if !slow {
				took = c.took * 9 / 10
			}
			s.Failed(1000, took, errors.New("made by the test"))
			if (s.most == 500) != slow {
				t.Errorf("after %s of %s the next ones hold %d bytes, want them smaller: %t", took, c.allowed, s.most, slow)
			}
		}
	}
}
