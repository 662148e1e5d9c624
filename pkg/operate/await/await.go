package await

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

// every is how long lies between two looks.
const every = 500 * time.Millisecond

// Waiter waits for what its fields ask for, in one flow after the other.
type Waiter struct {
	Lag      int64                   // records that may be missing on the target; -1: not asked for
	Groups   func(group string) bool // which groups have to be in sync, or drained; nil: none is named
	Drained  bool                    // the groups have read everything on the source
	AgedOut  bool                    // the source holds nothing that the target lacks
	Clusters map[string]kafka.Config

	// ByTimestamps are topics of which timestamps are all that tells, and LeftOut groups of which nothing is known.
	ByTimestamps []string
	LeftOut      []inspect.LeftOut
}

// gap is what does not hold.
type gap struct {
	missing string // "": it holds
	never   bool   // waiting does not bring it about
	remedy  string // "": see status
}

// coming is a gap that a flow which runs may fill.
func coming(format string, args ...any) gap { return gap{missing: fmt.Sprintf(format, args...)} }

// For waits until all that is asked for holds in a flow. What is missing is reported whenever it is something else.
// The error is a [NotYetError] where ctx has ended before, and a [NeverError] for what waiting does not bring about.
func (w *Waiter) For(ctx context.Context, flow settings.Config, report func(missing string)) error {
	v, err := snapshot.Open(ctx, w.Clusters, flow, nil)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return notYet(flow.Name(), gap{})
	}
	if err != nil {
		return err
	}
	defer v.Close()
	var last gap
	err = wait.Until(ctx, every, func() (bool, error) {
		found, err := w.missing(ctx, v)
		switch {
		case err != nil:
			return false, err
		case found.missing == "":
			return true, nil
		case found.never:
			return false, &NeverError{fmt.Sprintf("flow %s: %s", flow.Name(), found.missing), found.remedy}
		case found.missing != last.missing && ctx.Err() == nil:
			last = found
			report(found.missing)
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return notYet(flow.Name(), last)
	}
	return err
}

// missing answers the first thing that does not hold.
func (w *Waiter) missing(ctx context.Context, v *snapshot.Viewer) (gap, error) {
	if w.Lag >= 0 || w.Groups != nil && !w.Drained {
		status, err := inspect.Status(ctx, v)
		if err != nil {
			return gap{}, err
		}
		if found := w.copied(status); found.missing != "" {
			return found, nil
		}
	}
	if !w.Drained && !w.AgedOut {
		return gap{}, nil
	}
	d, err := inspect.Drained(ctx, v)
	if provenance.Forbids(err) {
		return gap{err.Error(), true, chunk.Remedy(err)}, nil
	}
	if err != nil {
		return gap{}, err
	}
	if w.AgedOut {
		w.ByTimestamps = slices.Compact(slices.Sorted(slices.Values(append(w.ByTimestamps, d.ByTimestamps()...))))
		if found := agedGap(d); found.missing != "" {
			return found, nil
		}
	}
	if w.Drained {
		if w.Groups != nil {
			d.Only(w.Groups)
		}
		if len(d.Groups) == 0 {
			return gap{}, noGroups(d)
		}
		found := undrained(d)
		if found.missing == "" {
			w.LeftOut = append(w.LeftOut, d.LeftOut...)
		}
		return found, nil
	}
	return gap{}, nil
}

func (w *Waiter) wants(group string) bool { return w.Groups == nil || w.Groups(group) }
