package terminal

import (
	"fmt"
	"math"
	"time"

	"replicator/pkg/replicate/chunk"
)

// pace makes speed and time left from what was seen over the last seconds.
type pace struct {
	seen []sample // oldest first
	step int64    // never goes back: a shard that starts over shows less for a while
}

type sample struct {
	at time.Time
	chunk.Progress
}

// at says how far the bar is, and what stands beside it. The bar is full only when
// the copy has ended: groups come last.
func (p *pace) at(now time.Time, got chunk.Progress) (step int64, text string) {
	p.seen = append(p.seen, sample{now, got})
	for len(p.seen) > 2 && now.Sub(p.seen[0].at) > rateOver {
		p.seen = p.seen[1:]
	}
	first := p.seen[0]
	seconds := now.Sub(first.at).Seconds()
	text = fmt.Sprintf("%d records", got.Records)
	if seconds > 0 {
		text += fmt.Sprintf("  %.1f MB/s", max(Megabytes(got.Bytes-first.Bytes), 0)/seconds)
	}
	left, passed := got.Goal-got.Done, got.Done-first.Done
	switch {
	case got.Goal == 0:
		text += "  comparing the clusters"
	case left <= 0:
		text += "  settling groups"
	case passed > 0 && seconds > 0:
		text += "  " + timeLeft(float64(left)*seconds/float64(passed)) + " left"
	}
	if got.Goal > 0 {
		p.step = max(p.step, min(got.Done*barSteps/got.Goal, barSteps-1))
	}
	return p.step, text
}

func timeLeft(seconds float64) string {
	return (time.Duration(math.Ceil(min(seconds, 1e9))) * time.Second).String()
}
