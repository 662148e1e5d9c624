package drill

import (
	"cmp"
	"fmt"
)

// notReadyError is a verdict other than ready.
type notReadyError struct{ r *Report }

// Err is a verdict other than ready, with its remedy; nil for ready.
func (r *Report) Err() error {
	if r.Verdict == Ready {
		return nil
	}
	return &notReadyError{r}
}

func (e *notReadyError) Error() string {
	text := fmt.Sprintf("flow %s is not ready for a failover: %s", e.r.Flow, e.r.Reasons[0].String())
	if more := len(e.r.Reasons) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// Remedy tells what to do.
func (e *notReadyError) Remedy() string {
	return cmp.Or(e.r.Reasons[0].Remedy, "see the reasons, and rehearse again")
}
