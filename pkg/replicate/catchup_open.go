package replicate

import (
	"fmt"
	"time"

	"replicator/pkg/replicate/kafka"
)

// openAfter is how long a one-off copy waits for open transactions without a word: those of producers at work end soon.
const openAfter = 5 * time.Second

// OpenRemedy is what to do about a transaction that does not end.
const OpenRemedy = "'replicator plan' names open transactions, and who has them open; the broker ends one at its " +
	"time-out"

// sayOpen logs what is waited for.
func (f *flow) sayOpen() {
	if open := f.Goal.Open(); len(open) > 0 {
		f.Log.Info("waiting for transactions that were open on the source at the start", "open", kafka.Few(open),
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
		text += ": " + kafka.Few(e.Open)
	}
	return fmt.Sprintf("%s; the same command goes on from here: %v", text, e.err)
}

func (e *StoppedError) Unwrap() error { return e.err }
