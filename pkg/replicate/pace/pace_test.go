package pace

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestPace: however several shards copy and wait, no more is copied than the bound allows, beyond one transaction of
// each; and what waits is counted once.
func TestPace(t *testing.T) {
	const rate, shards = 1000, 4
	random := rand.New(rand.NewPCG(1, 2))
	p := New(func(time.Time) float64 { return rate })
	now := time.Unix(1_000_000, 0)
	begun, copied, most := now, 0, 0
	wakes := make([]time.Time, shards)
	for range 10_000 {
		for s := range wakes {
			if wakes[s].After(now) {
				continue
			}
			if wait := p.Wait(now, 250*time.Millisecond); wait > 0 {
				wakes[s] = now.Add(wait)
				continue
			}
			bytes := random.IntN(300)
			p.Spent(now, bytes)
			copied, most = copied+bytes, max(most, bytes)
		}
		now = now.Add(10 * time.Millisecond)
		if allowed := int(now.Sub(begun).Seconds()*rate) + shards*most; copied > allowed {
			t.Fatalf("%d bytes after %s, allowed are %d", copied, now.Sub(begun), allowed)
		}
	}
	if share := float64(copied) / (now.Sub(begun).Seconds() * rate); share < 0.8 {
		t.Errorf("only %.2f of what is allowed was copied", share)
	}
	if waited := p.Waited(); waited > now.Sub(begun)+time.Second || waited < now.Sub(begun)/2 {
		t.Errorf("waited %s of %s", waited, now.Sub(begun))
	}
}

// TestNoCredit: an idle time is not made up for later.
func TestNoCredit(t *testing.T) {
	p := New(func(time.Time) float64 { return 100 })
	now := time.Unix(1_000_000, 0)
	p.Spent(now, 100)
	now = now.Add(time.Hour)
	p.Spent(now, 200)
	if wait := p.Wait(now, time.Minute); wait != 2*time.Second {
		t.Errorf("after an idle hour one waits %s, want 2 s", wait)
	}
}

// TestNoBound: nothing waits where there is no bound, nor for what was copied before it ended.
func TestNoBound(t *testing.T) {
	rate := 100.0
	p := New(func(time.Time) float64 { return rate })
	now := time.Unix(1_000_000, 0)
	p.Spent(now, 1000)
	rate = 0
	if wait := p.Wait(now, time.Minute); wait != 0 || p.Most(now, time.Second) != 0 || p.Waited() != 0 {
		t.Errorf("one waits %s without a bound", wait)
	}
	var none *Pace
	none.Spent(now, 1)
	if none.Wait(now, time.Minute) != 0 || none.Most(now, time.Second) != 0 || none.Waited() != 0 {
		t.Error("one waits where nothing was made to bound")
	}
}
