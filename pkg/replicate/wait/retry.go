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
	MaxDelay   = 15 * time.Second
)

// retry spaces the tries of one streak of failures: the only backoff there is.
type Retry struct {
	Log     *slog.Logger
	Clock   func() time.Time
	tries   int
	what    string // that fails
	told    string
	toldAt  time.Time
	failing bool
}

// tellEvery is how often an unchanged failure is logged again.
const LogEvery = time.Minute

// wait counts the failure, logs it if it is news, and waits.
func (r *Retry) Wait(ctx context.Context, what string, err error) {
	r.tries++
	delay := min(firstDelay<<min(r.tries-1, 10), MaxDelay)
	delay = delay/2 + rand.N(delay/2+1)
	if now := r.Clock(); err.Error() != r.told && r.tries > 1 || r.tries == 1 || now.Sub(r.toldAt) >= LogEvery {
		r.told, r.toldAt = err.Error(), now
		remedy := chunk.Remedy(err)
		if remedy == "" {
			remedy = "it is tried again by itself; if it stays so, look at the logs of the brokers on that side"
		}
		r.Log.Warn(what, "error", err, "remedy", remedy, "tries", r.tries)
	}
	r.failing, r.what = true, what
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// stand tells why a flow stands still, if it is news, and waits before the next look.
func (r *Retry) Stand(ctx context.Context, wait time.Duration, err error) {
	if now := r.Clock(); err.Error() != r.told || now.Sub(r.toldAt) >= LogEvery {
		r.told, r.toldAt = err.Error(), now
		r.Log.Error("flow stopped", "error", err, "remedy", chunk.Remedy(err))
	}
	r.failing = true
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// reset ends a streak of failures.
func (r *Retry) Reset() {
	if r.failing {
		r.Log.Info("works again", "after", r.what, "tries", r.tries)
	}
	r.tries, r.told, r.failing = 0, "", false
}
