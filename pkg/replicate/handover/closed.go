package handover

import (
	"errors"
	"fmt"
	"time"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// ClosedError reports a flow whose records go the other way.
type ClosedError struct {
	Flow, By string
	// Ended is when the rollback of flow By was done, whose way back this one was; zero: By is the way back, and its
	// rollback is under way.
	Ended time.Time
}

func (e *ClosedError) Error() string {
	if !e.Ended.IsZero() {
		return fmt.Sprintf("flow %s is closed: the rollback of flow %s, whose way back it was, was done at %s", e.Flow, e.By,
			e.Ended.Format(time.RFC3339))
	}
	return fmt.Sprintf("flow %s is closed: a rollback is under way, and flow %s carries records back", e.Flow, e.By)
}

// Remedy tells what to do.
func (e *ClosedError) Remedy() string {
	if !e.Ended.IsZero() {
		return fmt.Sprintf("nothing to do here: flow %s is the one that may run, see 'replicator status' with its "+
			"configuration. This one is opened again by a rollback of a later cutover of that flow, and by nothing else", e.By)
	}
	return "let 'replicator rollback' come to its end, or give it again if it was interrupted; then the flow may run"
}

// IsClosed says whether that is why a flow does not run.
func IsClosed(err error) bool {
	var closed *ClosedError
	return errors.As(err, &closed)
}

// NotClosed refuses work on a shard whose records go the other way; the first partition of the ledger tells whether
// they still do.
func NotClosed(book, first *ledger.Shard, flow string) error {
	d, err := DirectionOf(book)
	if err != nil || !d.Closed {
		return err
	}
	record, err := RecordOf(first)
	if err != nil {
		return err
	}
	closed := &ClosedError{Flow: flow, By: d.By}
	if record.ID == d.Cutover && record.TakesBack != "" {
		closed.Ended = record.Ended
	}
	return closed
}

// OwnCutover refuses to deal with a record that is not of a cutover of the flow's own, but of the way back from another
// one.
func OwnCutover(book *ledger.Shard, r Record, flow string) error {
	if r.TakesBack == "" {
		return nil
	}
	d, err := DirectionOf(book)
	if err != nil {
		return err
	}
	const what = "flow %s has no cutover of its own: %s"
	var closed *ClosedError
	if errors.As(NotClosed(book, book, flow), &closed) {
		return &kafka.Problem{What: fmt.Sprintf(what, flow, closed), Fix: closed.Remedy()}
	}
	return &kafka.Problem{
		What: fmt.Sprintf(what, flow, "it is the way back of flow "+d.By+", whose rollback is under way"),
		Fix:  "'replicator rollback' of flow " + d.By + " goes on with it",
	}
}
