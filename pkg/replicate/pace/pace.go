// Package pace keeps what a process copies of a flow within a bound.
//
// The central type is [Pace], shared by the shards of a flow: what was copied is paid for by waiting before more is
// read. It guarantees that over any time no more is begun than the bound allows, beyond one transaction of each shard;
// an idle time is not made up for later. It reads no clock.
package pace

import (
	"sync"
	"time"
)

// Pace may be used by several goroutines. Nil bounds nothing.
type Pace struct {
	rate func(now time.Time) float64 // bytes per second, of this process; 0: no bound

	mu      sync.Mutex
	free    time.Time     // until then all that was copied is paid for by waiting
	covered time.Time     // until then waiting was counted
	waited  time.Duration // in all
}

// New makes a pace by a bound that may change.
func New(rate func(now time.Time) float64) *Pace { return &Pace{rate: rate} }

// Rate is the bound in bytes per second; 0: there is none.
func (p *Pace) Rate(now time.Time) float64 {
	if p == nil {
		return 0
	}
	return p.rate(now)
}

// Spent says that so many bytes were copied.
func (p *Pace) Spent(now time.Time, bytes int) {
	rate := p.Rate(now)
	if rate <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(bytes) / rate * float64(time.Second)))
}

// Wait is how long nothing may be read, at most so long; who asks does wait. 0: go on.
func (p *Pace) Wait(now time.Time, most time.Duration) time.Duration {
	if p.Rate(now) <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(p.free.Sub(now), most)
	if wait <= 0 {
		return 0
	}
	if from, until := p.covered, now.Add(wait); until.After(from) {
		if from.Before(now) {
			from = now
		}
		p.waited += until.Sub(from)
		p.covered = until
	}
	return wait
}

// Most is what one transaction should hold, in bytes, where it gathers for so long; 0: there is no bound.
func (p *Pace) Most(now time.Time, gathers time.Duration) int {
	rate := p.Rate(now)
	if rate <= 0 {
		return 0
	}
	return max(int(rate*gathers.Seconds()), least)
}

// least: smaller transactions cost more than they smooth.
const least = 64 << 10

// Waited is for how long shards have waited, counted once where several do.
func (p *Pace) Waited() time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waited
}
