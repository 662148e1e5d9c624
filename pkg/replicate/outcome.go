package replicate

import (
	"errors"
	"time"

	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/shard"
)

// outcome is what follows when a try of a flow has ended.
type outcome int

const (
	done    outcome = iota // the flow has ended, without a fault
	stopped                // a one-off copy was stopped before it was done
	final                  // its error ends the flow: only a person can cure it, or a one-off copy waits no longer
	again                  // it is tried again at once: nothing has failed
	stands                 // it stands still until others have changed, and is tried again as often as topics are compared
	restart                // it is tried again after a pause: what ended it may pass
)

// attempt is what is known when a try of a flow has ended.
type attempt struct {
	err      error
	ended    bool          // nothing is to go on
	catchUp  bool          // a one-off copy
	alone    bool          // the engine has no other flow
	compared bool          // its topics were compared: both clusters have answered
	since    time.Duration // of the flow's first try
}

// outcome decides what follows.
func (a *attempt) outcome() outcome {
	circle := provenance.IsConflict(a.err)
	switch {
	case errors.As(a.err, new(*metError)):
		return again // by other rules
	case a.err == nil && !a.catchUp:
		return again
	case a.err == nil:
		return done
	case a.ended && a.catchUp:
		return stopped
	case a.ended:
		return done
	case handover.IsFailedOver(a.err) && !a.alone && !a.catchUp:
		return stands // until it is failed back: the other flows go on
	case shard.Final(a.err), errors.As(a.err, new(*UnfinishedError)):
		return final
	case a.catchUp && (circle || shard.Hopeless(a.err)):
		return final // nobody watches a one-off copy
	case a.catchUp && !a.compared && a.since > catchUpLimit:
		return final
	case circle && a.alone && !a.compared:
		return final // it was found at the start, and there is nothing else to do
	case circle:
		return stands // the other flows go on
	}
	return restart
}
