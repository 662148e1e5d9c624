package replicate

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/source"
)

const (
	firstDelay = 200 * time.Millisecond
	maxDelay   = 15 * time.Second
)

// retry spaces the tries of one streak of failures: the only backoff there is.
type retry struct {
	log     *slog.Logger
	clock   func() time.Time
	tries   int
	what    string // that fails
	told    string
	toldAt  time.Time
	failing bool
}

// tellEvery is how often an unchanged failure is logged again.
const tellEvery = time.Minute

// wait counts the failure, logs it if it is news, and waits.
func (r *retry) wait(ctx context.Context, what string, err error) {
	r.tries++
	delay := min(firstDelay<<min(r.tries-1, 10), maxDelay)
	delay = delay/2 + rand.N(delay/2+1)
	if now := r.clock(); err.Error() != r.told && r.tries > 1 || r.tries == 1 || now.Sub(r.toldAt) >= tellEvery {
		r.told, r.toldAt = err.Error(), now
		remedy := chunk.Remedy(err)
		if remedy == "" {
			remedy = "it is tried again by itself; if it stays so, look at the logs of the brokers on that side"
		}
		r.log.Warn(what, "error", err, "remedy", remedy, "tries", r.tries)
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
func (r *retry) stand(ctx context.Context, wait time.Duration, err error) {
	if now := r.clock(); err.Error() != r.told || now.Sub(r.toldAt) >= tellEvery {
		r.told, r.toldAt = err.Error(), now
		r.log.Error("flow stopped", "error", err, "remedy", chunk.Remedy(err))
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
func (r *retry) reset() {
	if r.failing {
		r.log.Info("works again", "after", r.what, "tries", r.tries)
	}
	r.tries, r.told, r.failing = 0, "", false
}

// kindOf gives a failure a bounded label.
func kindOf(err error) string {
	var unreadable *source.Unreadable
	var problem *kafka.Problem
	switch {
	case final(err):
		return "ledger"
	case errors.As(err, &unreadable):
		return "source_position"
	case errors.As(err, &problem):
		return "cluster"
	}
	return "other"
}
