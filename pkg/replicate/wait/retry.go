package wait

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"replicator/pkg/replicate/chunk"
)

const (
	firstDelay = 200 * time.Millisecond
	// MaxDelay is the longest pause between two tries.
	MaxDelay = 15 * time.Second
	// LogEvery is how often an unchanged failure is logged again.
	LogEvery = time.Minute
)

// Retry spaces the tries of one streak of failures: the only backoff there is. It belongs to one goroutine.
type Retry struct {
	Log   *slog.Logger
	Clock func() time.Time

	tries    int
	failing  bool
	what     string // that fails
	logged   string
	loggedAt time.Time
}

// Wait counts the failure, logs it if it is news, and waits: longer each time.
func (r *Retry) Wait(ctx context.Context, what string, err error) {
	r.tries++
	if r.isNews(err) || r.tries == 1 {
		remedy := chunk.Remedy(err)
		if remedy == "" {
			remedy = "it is tried again by itself; if it stays so, look at the logs of the brokers on that side"
		}
		r.Log.Warn(what, "error", err, "remedy", remedy, "tries", r.tries)
	}
	r.failing, r.what = true, what
	delay := min(firstDelay<<min(r.tries-1, 10), MaxDelay)
	_ = Pause(ctx, delay/2+rand.N(delay/2+1)) // whoever tries again looks at ctx
}

// Stand logs why a flow stands still, if it is news, and waits before the next try.
func (r *Retry) Stand(ctx context.Context, pause time.Duration, err error) {
	if r.isNews(err) {
		r.Log.Error("flow stopped", "error", err, "remedy", chunk.Remedy(err))
	}
	r.failing = true
	_ = Pause(ctx, pause)
}

// isNews says whether a failure is another than the last, or was logged long ago, and remembers it.
func (r *Retry) isNews(err error) bool {
	now := r.Clock()
	if err.Error() == r.logged && now.Sub(r.loggedAt) < LogEvery {
		return false
	}
	r.logged, r.loggedAt = err.Error(), now
	return true
}

// Reset ends a streak of failures.
func (r *Retry) Reset() {
	if r.failing {
		r.Log.Info("works again", "after", r.what, "tries", r.tries)
	}
	r.tries, r.logged, r.failing = 0, "", false
}
