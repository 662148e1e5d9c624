// Package interrupt ends a process that is told to end, and says what a command that was interrupted has left undone.
package interrupt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"replicator/pkg/operate/await"
	"replicator/pkg/operate/stepwise"
)

const (
	// StopLimit is how long a process that was told to end may take to let go.
	StopLimit = 10 * time.Second
	// oneSignal is how long a signal may be repeated and is the same one: timeout(1) sends it to the process and to
	// its group, a terminal to everything that runs in it.
	oneSignal = time.Second
)

// Obey cancels with the first signal to end, and answers why the process has to end at
// once: a second one, or that it did not let go. A hangup is no order to end: a daemon
// outlives the terminal that it was started from.
func Obey(signals <-chan os.Signal, cancel context.CancelFunc) (why string) {
	first := time.Time{}
	var limit <-chan time.Time
	for {
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
			case first.IsZero():
				first, limit = time.Now(), time.After(StopLimit)
				cancel()
			case time.Since(first) >= oneSignal:
				return "a second signal ended it at once"
			}
		case <-limit:
			return fmt.Sprintf("it did not let go within %s", StopLimit)
		}
	}
}

// undone is what a command leaves undone that is interrupted, and how to go on. Those
// that only look leave nothing.
var undone = map[string]struct{ what, remedy string }{
	"verify": {"not everything was compared; nothing was written to either cluster",
		"give the same command again: it begins anew"},
	"cutover": {"the cutover is not done, and no application may start on the target",
		"give the same command again: it goes on from where it was; or start on the source again what was stopped"},
	"rollback":       {"the rollback is not done, and no application may start on the source", goesOn},
	"failback":       {"the failback is not done; without its end no application may start on the source", goesOn},
	"topics":         {"some topics may not be as they are to be", goesOn},
	"topic-version":  {"the step is not at its end", goesOn},
	"wait":           {"what was waited for does not hold", "give the same command again"},
	"resume":         {"whether the order is noted is not known", "see it with --dry-run, and give it again if it is not"},
	"orphans":        {"the records are not kept whole", goesOn},
	"import-records": {"not all of the file is written", goesOn},
	"demo":           {"the demonstration did not come to its end", "give the same command again"},
}

const goesOn = "give the same command again: it goes on from where it was"

// InterruptedError is a command that was told to end before it was done.
type InterruptedError struct {
	What, Fix string
}

func (e *InterruptedError) Error() string { return e.What }

// Remedy tells how to go on.
func (e *InterruptedError) Remedy() string { return e.Fix }

// Of says what a command that was told to end has left undone, in the place
// of what it ran into for that.
func Of(command string, err error) error {
	var said *InterruptedError
	if errors.As(err, &said) {
		return err
	}
	left, known := undone[command]
	if !known {
		left.what = "nothing was changed, and the answer is not complete"
		left.remedy = "give the same command again"
	}
	var waits *stepwise.WaitingError
	var holds *await.NotYetError
	switch {
	case errors.As(err, &waits) && waits.Missing != "":
		left.what += fmt.Sprintf(": step %s: %s", waits.Step, waits.Missing)
	case errors.As(err, &holds):
		left.what += ": " + holds.Missing
	}
	return &InterruptedError{"interrupted: " + left.what, left.remedy}
}
