// Package stepwise carries out what consists of steps that can be begun again at any point.
//
// The central type is [Step]. [Run] guarantees:
//
//  1. a step is acted on only while all before it hold, and all of them are checked
//     again before the end: what has come undone meanwhile is waited for again;
//  2. nothing is remembered between two rounds: whether a step is done is asked of
//     the clusters, so that a run which was killed goes on where it stood.
//
// What the steps are is the caller's business. Nothing here talks to Kafka.
package stepwise

import (
	"context"
	"errors"
	"fmt"
	"time"

	"replicator/pkg/replicate/wait"
)

// Step is one thing to bring about.
type Step struct {
	Name string // one word, the same in every release
	Do   string // what is brought about, for people
	Undo string // how it is taken back, for people
	// Check answers what is missing, "" if the step is done. An error ends the run: what is in the way does not go
	// away by waiting.
	Check func(context.Context) (missing string, err error)
	// Act brings it about, or does a part of it; nil: it is only waited for. It may be called again and again.
	Act func(context.Context) error
}

// State is a step as it was found.
type State struct {
	Name    string `json:"step"`
	Do      string `json:"do"`
	Undo    string `json:"undo"`
	Done    bool   `json:"done"`
	Missing string `json:"missing,omitempty"` // what is missing, or what is in the way
	// Refused: it does not go away by waiting; Remedy tells what takes it away.
	Refused bool   `json:"refused,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Refusal is the error with which a run would end at once, in a state like that; nil: none.
func Refusal(states []State) error {
	for _, s := range states {
		if s.Refused {
			return &RefusedError{s}
		}
	}
	return nil
}

// RefusedError reports a step that cannot be done by waiting.
type RefusedError struct{ State State }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("it would be refused: step %s: %s", e.State.Name, e.State.Missing)
}

// Remedy tells what to do.
func (e *RefusedError) Remedy() string { return e.State.Remedy }

// Check asks each step whether it is done, and brings nothing about. An error of a step
// is reported as what is missing.
func Check(ctx context.Context, steps []Step) []State {
	states := make([]State, len(steps))
	for i, s := range steps {
		missing, err := s.Check(ctx)
		states[i] = s.state(missing, err, ctx.Err())
	}
	return states
}

// state makes a state of what a check has answered; cut is why it may have been cut short. A step that is not done
// always says what is missing.
func (s *Step) state(missing string, err, cut error) State {
	state := State{Name: s.Name, Do: s.Do, Undo: s.Undo, Missing: missing}
	switch {
	case cut != nil && missing == "": // whatever the check says then is about the time that ran out
		state.Missing = notAsked(cut)
	case err != nil:
		state.Missing, state.Refused, state.Remedy = err.Error(), true, remedyOf(err)
	default:
		state.Done = missing == ""
	}
	return state
}

// notAsked is what is missing of a step that is not known.
func notAsked(cut error) string {
	if errors.Is(cut, context.DeadlineExceeded) {
		return "not known yet: the time ran out before the clusters had answered"
	}
	return "not known yet: it was interrupted before the clusters had answered"
}

// Late answers err, unless ctx has ended: what was asked of a cluster then fails in many ways, none of which is true of
// the cluster, and step is not known.
func Late(ctx context.Context, step string, err error) error {
	var waits *WaitingError
	if err == nil || ctx.Err() == nil || errors.As(err, &waits) {
		return err
	}
	return &WaitingError{Step: step, Missing: notAsked(ctx.Err()), Err: ctx.Err()}
}

// InTime answers nil while ctx lasts; after it the error of the first step that is not done, or not known to be.
func InTime(ctx context.Context, states []State) error {
	for _, s := range states {
		if err := ctx.Err(); err != nil && !s.Done {
			return &WaitingError{Step: s.Name, Missing: s.Missing, Err: err}
		}
	}
	return ctx.Err()
}

// remedyOf is what an error says that there is to do.
func remedyOf(err error) string {
	var r interface{ Remedy() string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return ""
}

// WaitingError reports steps that were not done in time.
type WaitingError struct {
	Step, Missing string
	Err           error
	Unforced      bool // the command has no --force
}

func (e *WaitingError) Error() string {
	return fmt.Sprintf("step %s is not done: %s", e.Step, e.Missing)
}

func (e *WaitingError) Unwrap() error { return e.Err }

// Remedy tells what to do.
func (e *WaitingError) Remedy() string {
	const again = "bring about what is missing, or wait longer, and give the same command again: it goes on from here"
	if e.Unforced {
		return again
	}
	return again + "; or with --force, which goes on without it and says what that gives up"
}

// Run brings the steps about in their order and checks again every so often, until all
// hold at once or ctx ends. report hears, of the step that is worked on, what is
// missing; each time that it is something else.
func Run(ctx context.Context, steps []Step, every time.Duration, report func(step Step, missing string)) error {
	reported, acted := "", ""
	last := WaitingError{}
	reached := -1 // the step that last is about
	for {
		n, missing, err := first(ctx, steps)
		if n == len(steps) {
			return nil
		}
		step := steps[n]
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("step %s: %w", step.Name, err)
		}
		switch {
		case missing != "":
			reached, last = n, WaitingError{Step: step.Name, Missing: missing}
		case n > reached: // the check was cut short, and all before it hold
			last = WaitingError{Step: step.Name, Missing: notAsked(ctx.Err())}
		}
		if missing != "" && step.Name+missing != reported {
			reported = step.Name + missing
			report(step, missing)
		}
		if step.Act != nil && ctx.Err() == nil {
			if err := step.Act(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("step %s: %w", step.Name, err)
			}
			if acted != step.Name { // it may be done: check at once
				acted = step.Name
				continue
			}
		}
		if err := wait.Pause(ctx, every); err != nil {
			last.Err = err
			return &last
		}
	}
}

// first finds the first step that is not done, or not known to be: its number, len(steps) if there is none.
func first(ctx context.Context, steps []Step) (n int, missing string, err error) {
	for n := range steps {
		if missing, err := steps[n].Check(ctx); missing != "" || err != nil {
			return n, missing, err
		}
		if err := ctx.Err(); err != nil && n+1 < len(steps) { // what comes after it is not known
			return n + 1, "", err
		}
	}
	return len(steps), "", nil
}
