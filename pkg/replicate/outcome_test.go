package replicate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
)

// TestOutcome: what follows when a try of a flow has ended.
func TestOutcome(t *testing.T) {
	fault, circle := errors.New("no broker answers"), fmt.Errorf("meet: %w", &provenance.CircleError{})
	damage, met := fmt.Errorf("read: %w", &ledger.Damage{}), fmt.Errorf("meet: %w", &metError{})
	over := fmt.Errorf("shard 3: %w", &handover.ClosedError{Failover: &handover.Failover{}})
	for _, c := range []struct {
		why  string
		a    attempt
		want outcome
	}{
		{"a daemon's flow was stopped before it failed", attempt{ended: true}, again}, // and nothing goes on
		{"a daemon's flow failed as it was stopped", attempt{err: fault, ended: true}, done},
		{"a one-off copy is done", attempt{catchUp: true}, done},
		{"a one-off copy is done as it is stopped", attempt{catchUp: true, ended: true}, done},
		{"a one-off copy is stopped", attempt{err: fault, catchUp: true, ended: true}, stopped},
		{"what only a person can cure, as a one-off copy is stopped", attempt{err: damage, catchUp: true, ended: true},
			stopped},

		{"other flows are there", attempt{err: met}, again},
		{"other flows are there, for a one-off copy", attempt{err: met, catchUp: true}, again},
		{"other flows are there, as it is stopped", attempt{err: met, catchUp: true, ended: true}, again},

		{"what may pass", attempt{err: fault, alone: true}, restart},
		{"what may pass, for long", attempt{err: fault, alone: true, since: time.Hour}, restart},
		{"what may pass, for a one-off copy", attempt{err: fault, catchUp: true, since: catchUpLimit}, restart},
		{"a one-off copy that reaches nothing", attempt{err: fault, catchUp: true, since: catchUpLimit + 1}, final},
		{"a one-off copy that has reached both", attempt{err: fault, catchUp: true, compared: true, since: time.Hour},
			restart},

		{"what only a person can cure", attempt{err: damage, compared: true}, final},
		{"what a one-off copy has left out", attempt{err: &UnfinishedError{}, catchUp: true, compared: true}, final},

		{"a circle of the only flow, at its start", attempt{err: circle, alone: true}, final},
		{"a circle of the only flow, later", attempt{err: circle, alone: true, compared: true}, stands},
		{"a circle of one of several", attempt{err: circle}, stands},
		{"the only flow has failed over", attempt{err: over, alone: true}, final},
		{"one of several has failed over", attempt{err: over}, stands},
		{"one of several has failed over, for a one-off copy", attempt{err: over, catchUp: true}, final},
		{"a circle of a one-off copy", attempt{err: circle, catchUp: true, compared: true}, final},
	} {
		if got := c.a.outcome(); got != c.want {
			t.Errorf("%s: %d, want %d", c.why, got, c.want)
		}
	}
}
