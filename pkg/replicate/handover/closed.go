package handover

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// ClosedError reports a flow whose records go the other way, or whose source was given up.
type ClosedError struct {
	Flow, By string
	// Failover is the flow's failover; nil: a rollback has closed it. Its State is "" where only its id is known.
	Failover *Failover
	// Ended is when the rollback of flow By was done, whose way back this one was; zero: By is the way back, and its
	// rollback is under way.
	Ended time.Time
	// SourceAnswers: the source of a flow that failed over is back.
	SourceAnswers bool
}

func (e *ClosedError) Error() string {
	if e.Failover != nil {
		return fmt.Sprintf("flow %s is closed: %s", e.Flow, e.Failover.words())
	}
	if !e.Ended.IsZero() {
		return fmt.Sprintf("flow %s is closed: the rollback of flow %s, whose way back it was, was done at %s", e.Flow, e.By,
			e.Ended.Format(time.RFC3339))
	}
	return fmt.Sprintf("flow %s is closed: a rollback is under way, and flow %s carries records back", e.Flow, e.By)
}

// words say how far a failover is.
func (f *Failover) words() string {
	if f.State == Done {
		return fmt.Sprintf("it failed over at %s, as failover %s", f.Ended.Format(time.RFC3339), f.ID)
	}
	return fmt.Sprintf("failover %s was begun, and has not come to its end", f.ID)
}

// Remedy tells what to do.
func (e *ClosedError) Remedy() string {
	switch {
	case e.Failover == nil:
	case e.Failover.State == Done && e.SourceAnswers:
		return "its source answers: 'replicator failback' shows what it holds that was never copied, and opens the flow again"
	case e.Failover.State == Done:
		return "nothing to do while its source is away: applications use its target. When the source is back, " +
			"'replicator failback' shows what it holds that was never copied, and opens the flow again"
	default:
		return "give 'replicator failover' again, which goes on"
	}
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

// SourceAnswers notes, where that is why a flow does not run, that its source answers.
func SourceAnswers(err error) error {
	var closed *ClosedError
	if errors.As(err, &closed) {
		closed.SourceAnswers = true
	}
	return err
}

// IsFailedOver says whether a flow does not run because it failed over.
func IsFailedOver(err error) bool {
	var closed *ClosedError
	return errors.As(err, &closed) && closed.Failover != nil
}

// NotClosed refuses work on a shard whose records go the other way, or whose flow failed over; the first partition of
// the ledger tells how that stands.
func NotClosed(book, first *ledger.Shard, flow string) error {
	d, err := DirectionOf(book)
	if err != nil || !d.Closed {
		return err
	}
	closed := &ClosedError{Flow: flow, By: d.By}
	if d.Failover != "" {
		failover, err := FailoverOf(first)
		if failover.ID != d.Failover {
			failover = Failover{ID: d.Failover}
		}
		closed.Failover = &failover
		return cmp.Or(err, error(closed))
	}
	record, err := RecordOf(first)
	if err != nil {
		return err
	}
	if record.ID == d.Cutover && record.TakesBack != "" {
		closed.Ended = record.Ended
	}
	return closed
}

// NotFailedOver refuses a verb that needs both clusters, of a flow that failed over.
func NotFailedOver(first *ledger.Shard, flow string) error {
	err := NotClosed(first, first, flow)
	var closed *ClosedError
	if errors.As(err, &closed) && closed.Failover == nil {
		return nil
	}
	return err
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
