package integration

import (
	"fmt"

	"replicator/integration/cluster"
)

// wanted is how many records the application has written and somebody is to read, each counted once.
func (a *apps) wanted() int {
	all := map[string]bool{}
	for _, ranges := range a.written {
		for _, r := range ranges {
			for n := r[0]; n < r[1]; n++ {
				all[fmt.Sprintf("live-%d", n)] = true
			}
		}
	}
	read := a.keys()
	for key := range a.givenUp {
		if read[key] == 0 {
			delete(all, key)
		}
	}
	return len(all)
}

// keys counts how often each record was read, on both clusters together.
func (a *apps) keys() map[string]int {
	times := map[string]int{}
	for _, on := range []*cluster.Cluster{a.source, a.target} {
		reads := a.reads[on]
		if c := a.consumers[on]; c != nil {
			reads = append(reads[:len(reads):len(reads)], c.So()...)
		}
		for _, r := range reads {
			times[r.Key]++
		}
	}
	return times
}

// count fails the test unless every record was read, and as few again as it says.
func (a *apps) count(again int) {
	a.t.Helper()
	times, twice := a.keys(), 0
	for key, n := range times {
		twice += n - 1
		if n > 1 && again == 0 {
			a.t.Errorf("%s was read %d times", key, n)
		}
	}
	lost := a.wanted() - len(times)
	a.t.Logf("%d records written, %d lost, %d read again", a.wanted(), lost, twice)
	if lost != 0 || twice != again {
		a.t.Errorf("%d records lost and %d read again, want 0 and %d\n%s", lost, twice, again, a.printed.String())
	}
}

// readOnBoth counts the records that were written to both clusters and read on both.
func (a *apps) readOnBoth() int {
	both := map[string]bool{}
	for _, r := range a.written[a.target] {
		for n := r[0]; n < r[1]; n++ {
			both[fmt.Sprintf("live-%d", n)] = true
		}
	}
	n := 0
	for _, r := range a.reads[a.source] {
		if both[r.Key] {
			n++
		}
	}
	if n == 0 {
		a.t.Error("no record was read on both clusters: the test shows nothing")
	}
	return n
}

// goesOn runs the flow once more after a rollback: what was written on the source since
// goes over, and both sides are equal.
func (a *apps) goesOn() {
	a.t.Helper()
	a.site.copyOnce()
	judged(a.ctx, a.t, a.site.sides(), []string{a.topic}, []string{a.group})
}
