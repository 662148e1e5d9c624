package replicate

import (
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/watermarks"
)

// openAfter is how long a one-off copy waits for open transactions without a word: those of producers at work end soon.
const openAfter = 5 * time.Second

// OpenRemedy is what to do about a transaction that does not end.
const OpenRemedy = "'replicator plan' names open transactions, and who has them open; the broker ends one at its " +
	"time-out"

// aim is what a one-off copy is to reach. A flow's mutex guards it.
type aim struct {
	goals  map[chunk.Partition]offsets.Source // nil until they are known
	aimed  time.Time                          // when they were
	stable watermarks.Marks                   // as the source has told them since, for the last time
}

// aimAt sets the goal.
func (f *flow) aimAt(goal map[chunk.Partition]offsets.Source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aim = aim{goals: goal, aimed: time.Now()}
}

// goal is what a one-off copy is to reach; nil until it is known.
func (f *flow) goal() map[chunk.Partition]offsets.Source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.goals
}

// openAtStart names the partitions that have had a transaction open since the goal was set. Ends were asked for before:
// a stable offset that has not reached one is held back by it.
func (f *flow) openAtStart() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, end := range f.goals {
		if mark, told := f.stable[p]; told && mark.Err == nil && offsets.Source(mark.Offset) < end {
			list = append(list, fmt.Sprintf("%s has an open transaction: %d offsets wait for its end", p,
				end-offsets.Source(mark.Offset)))
		}
	}
	slices.Sort(list)
	return list
}

// sayOpen logs what is waited for.
func (f *flow) sayOpen() {
	if open := f.openAtStart(); len(open) > 0 {
		f.log.Info("waiting for transactions that were open on the source at the start", "open", shorten(open),
			"remedy", OpenRemedy)
	}
}

// StoppedError ends a one-off copy that was told to end before it was done.
type StoppedError struct {
	Open []string // transactions that it was waiting for
	err  error
}

func (e *StoppedError) Error() string {
	text := "stopped before it was caught up"
	if len(e.Open) > 0 {
		text += ": " + shorten(e.Open)
	}
	return fmt.Sprintf("%s; the same command goes on from here: %v", text, e.err)
}

func (e *StoppedError) Unwrap() error { return e.err }
