package wait_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"replicator/pkg/replicate/wait"
)

func TestUntil(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		answers []bool // then an error
		cancel  int    // ctx ends with that question; 0: not at all
		asked   int
		want    error
	}{
		"at once":        {[]bool{true}, 0, 1, nil},
		"the third time": {[]bool{false, false, true}, 0, 3, nil},
		"an error":       {[]bool{false}, 0, 2, broken},
		"ctx ends":       {[]bool{false, false, false}, 2, 2, context.Canceled},
		"yes as it ends": {[]bool{true}, 1, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begun, asked := time.Now(), 0
				err := wait.Until(ctx, time.Second, func() (bool, error) {
					if asked++; asked == c.cancel {
						cancel()
					}
					if asked > len(c.answers) {
						return false, broken
					}
					return c.answers[asked-1], nil
				})
				if !errors.Is(err, c.want) || asked != c.asked {
					t.Errorf("asked %d times: %v, want %d times: %v", asked, err, c.asked, c.want)
				}
				if pauses := c.asked - 1; c.cancel == 0 && time.Since(begun) != time.Duration(pauses)*time.Second {
					t.Errorf("waited %s in %d pauses of a second", time.Since(begun), pauses)
				}
			})
		})
	}
}

func TestLogged(t *testing.T) {
	var l wait.Logged[string]
	for i, step := range []struct{ got, want bool }{
		{l.Over("a"), false},
		{l.IsNews("a", "ill"), true},
		{l.IsNews("a", "ill"), false},
		{l.IsNews("b", "ill"), true},
		{l.IsNews("a", "worse"), true},
		{l.Over("a"), true},
		{l.Over("a"), false},
		{l.IsNews("a", "worse"), true},
	} {
		if step.got != step.want {
			t.Errorf("step %d: %v, want %v", i, step.got, step.want)
		}
	}
	l.Keep(func(about string) bool { return about == "b" })
	if l.Over("a") || !l.Over("b") {
		t.Error("Keep has not kept b alone")
	}
}

// TestRetryLogs: of one streak the first failure, and each that is another one or comes a minute later, have
// a line; the end of the streak has one.
func TestRetryLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := wait.Retry{Log: slog.New(slog.NewTextHandler(&log, nil)), Clock: time.Now}
		lines := func(want int, when string) {
			t.Helper()
			if got := strings.Count(log.String(), "\n"); got != want {
				t.Errorf("%s: %d lines, want %d:\n%s", when, got, want, log.String())
			}
			log.Reset()
		}
		away := errors.New("away")
		r.Reset()
		lines(0, "nothing has failed")
		begun := time.Now()
		for range 3 {
			r.Wait(t.Context(), "work fails", away)
		}
		lines(1, "three times the same")
		if waited := time.Since(begun); waited < 700*time.Millisecond || waited > 1400*time.Millisecond {
			t.Errorf("three pauses of at most 200, 400 and 800 ms, and at least half of that, lasted %s", waited)
		}
		r.Wait(t.Context(), "work fails", errors.New("refused"))
		lines(1, "another failure")
		for begun := time.Now(); time.Since(begun) < wait.LogEvery; {
			r.Wait(t.Context(), "work fails", away)
		}
		lines(1, "for nearly a minute")
		r.Wait(t.Context(), "work fails", away)
		lines(1, "after a minute")
		r.Reset()
		lines(1, "it works again")
		r.Wait(t.Context(), "work fails", away)
		lines(1, "a new streak")
	})
}
