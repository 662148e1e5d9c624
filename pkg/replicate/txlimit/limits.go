package txlimit

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/sink"
)

// TooShortError reports a target that does not let a transaction last as long as the
// configuration needs.
type TooShortError struct {
	Cluster  string
	Most     time.Duration // that the target takes; 0: it does not tell, and has refused what is needed
	Interval time.Duration
}

func (e *TooShortError) Error() string {
	does := "refuses longer transactions (transaction.max.timeout.ms, which it does not tell)"
	if e.Most > 0 {
		does = fmt.Sprintf("lets a transaction last at most %s (transaction.max.timeout.ms)", e.Most)
	}
	return fmt.Sprintf("commit_interval %s needs transactions of %s, and cluster %s %s", e.Interval,
		e.Interval+sink.LeastMargin, e.Cluster, does)
}

// Remedy tells what to do.
func (e *TooShortError) Remedy() string {
	fix := fmt.Sprintf("raise transaction.max.timeout.ms on cluster %s", e.Cluster)
	switch most := e.Most - sink.LeastMargin; {
	case most >= settings.MinCommitInterval:
		return fmt.Sprintf("set commit_interval to at most %s, or %s", most, fix)
	case e.Most == 0 && e.Interval > settings.MinCommitInterval:
		return "set commit_interval lower, or " + fix
	}
	return fix
}

// Fits says whether a transaction may last as long as the flow needs; 0: the target does not
// tell. The error is a [*TooShortError].
func Fits(c *settings.Config, most time.Duration) error {
	if most > 0 && most < c.CommitInterval+sink.LeastMargin {
		return &TooShortError{Cluster: c.To, Most: most, Interval: c.CommitInterval}
	}
	return nil
}

// Shortened says what becomes of a transaction's time; "": nothing.
func Shortened(c *settings.Config, most time.Duration) string {
	usual := c.CommitInterval + sink.Margin
	if most == 0 || most >= usual {
		return ""
	}
	return fmt.Sprintf("cluster %s lets a transaction last at most %s (transaction.max.timeout.ms): the flow's own end "+
		"after that, not after %s", c.To, most, usual)
}

// IsLimit tells the errors about a target's limits, which no retry cures.
func IsLimit(err error) bool {
	var short *TooShortError
	var internal *kafka.InternalTopicError
	return errors.As(err, &short) || errors.As(err, &internal)
}

// Longest is the longest that a target lets a transaction last, as far as that is known. It may be used by several
// goroutines.
type Longest struct{ now atomic.Int64 }

// Get is that time; 0: nothing shorter than a flow needs is known.
func (l *Longest) Get() time.Duration { return time.Duration(l.now.Load()) }

// Set takes over what the target tells.
func (l *Longest) Set(most time.Duration) { l.now.Store(int64(most)) }

// Halve takes up that the target has refused a transaction's time, which it does not tell: half of it is tried next.
// before is what was known when it was asked for; the first of a flow's shards to be refused counts, and for the others
// to is 0. Where no less will do, the error is a [*TooShortError].
func (l *Longest) Halve(c *settings.Config, before time.Duration) (from, to time.Duration, err error) {
	if l.Get() != before {
		return 0, 0, nil
	}
	from = before
	if usual := c.CommitInterval + sink.Margin; from == 0 || from > usual {
		from = usual
	}
	to = (from / 2).Truncate(time.Millisecond)
	if Fits(c, to) != nil {
		if from <= c.CommitInterval+sink.LeastMargin {
			return 0, 0, &TooShortError{Cluster: c.To, Interval: c.CommitInterval}
		}
		to = c.CommitInterval + sink.LeastMargin
	}
	if !l.now.CompareAndSwap(int64(before), int64(to)) {
		return 0, 0, nil
	}
	return from, to, nil
}
