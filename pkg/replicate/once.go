package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// errCaughtUp ends a flow that was to run until caught up.
var errCaughtUp = errors.New("caught up")

const (
	onceEvery = 100 * time.Millisecond
	// settleLimit is how long group positions may stay untranslatable after everything was copied.
	settleLimit = 30 * time.Second
)

// UnfinishedError reports what a one-off copy has left out.
type UnfinishedError struct {
	Stops  []*chunk.Stop
	Groups []string // positions that could not be set right, with the reason
}

func (e *UnfinishedError) Error() string {
	var b strings.Builder
	for _, s := range e.Stops {
		fmt.Fprintf(&b, "\n  %s", s.Error())
	}
	for _, g := range e.Groups {
		fmt.Fprintf(&b, "\n  %s", g)
	}
	return fmt.Sprintf("everything else was copied, but %d partitions and %d group positions were not:%s",
		len(e.Stops), len(e.Groups), b.String())
}

// Remedy tells what to do about the first of them.
func (e *UnfinishedError) Remedy() string {
	if len(e.Stops) > 0 {
		return e.Stops[0].Remedy()
	}
	return "see 'replicator status'; run the same command again once the groups stand still"
}

// untilCaughtUp returns once everything that is on the source now is on the
// target and the groups stand right.
func (f *flow) untilCaughtUp(ctx context.Context) error {
	goal, err := f.goal(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.goals = goal
	f.mu.Unlock()
	tick := time.NewTicker(onceEvery)
	defer tick.Stop()
	var stops []*chunk.Stop
	for done := false; !done; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if done, stops, err = f.reached(ctx, goal); err != nil {
			return err
		}
	}
	unsettled, err := f.settleGroups(ctx, tick)
	if err != nil {
		return err
	}
	if len(stops)+len(unsettled) > 0 {
		return &UnfinishedError{Stops: stops, Groups: unsettled}
	}
	return nil
}

// goal is the source's last stable offsets.
func (f *flow) goal(ctx context.Context) (map[chunk.Partition]offsets.Source, error) {
	var names []string
	for _, t := range f.topologyNow() {
		names = append(names, t.Source)
	}
	stable, err := f.sourceMarks.Stable(ctx, names)
	if err != nil {
		return nil, err
	}
	goal := make(map[chunk.Partition]offsets.Source, len(stable))
	for p, mark := range stable {
		if mark.Err != nil {
			return nil, fmt.Errorf("end of source partition %s: %w", p, mark.Err)
		}
		goal[p] = offsets.Source(mark.Offset)
	}
	return goal, nil
}

// reached says whether all partitions are at the goal, but for those that are
// stopped. What other replicas copy is read from the ledger.
func (f *flow) reached(ctx context.Context, goal map[chunk.Partition]offsets.Source) (bool, []*chunk.Stop, error) {
	shown := map[chunk.Partition]shownRoute{}
	own := map[int]bool{}
	for _, w := range f.owned() {
		own[w.shard] = true
		for p, r := range w.shown.snapshot() {
			shown[p] = r
		}
	}
	var stops []*chunk.Stop
	others := map[int]bool{}
	for p, end := range goal {
		shard := p.Shard(f.cfg.Shards)
		r, known := shown[p]
		switch {
		case !own[shard]:
			others[shard] = true
		case known && r.stop != nil:
			stops = append(stops, r.stop)
		case !known || !r.assigned || r.next < end:
			return false, nil, nil
		}
	}
	ids := map[string]chunk.TopicID{}
	for _, t := range f.topologyNow() {
		ids[t.Source] = t.SourceID
	}
	for shard := range others {
		book, err := f.ledger.Shard(ctx, int32(shard), 0)
		if err != nil {
			return false, nil, err
		}
		for p, end := range goal {
			if p.Shard(f.cfg.Shards) != shard {
				continue
			}
			state := book.State(ledger.Key{Topic: ids[p.Topic], Partition: p})
			if state == nil || state.Progress < end {
				return false, nil, nil
			}
		}
	}
	slices.SortFunc(stops, func(a, b *chunk.Stop) int {
		return strings.Compare(a.Partition.String(), b.Partition.String())
	})
	return true, stops, nil
}

// settleGroups syncs groups until another round would change nothing; it answers
// the positions for which that did not come true.
func (f *flow) settleGroups(ctx context.Context, tick *time.Ticker) ([]string, error) {
	giveUp := time.Now().Add(settleLimit)
	for {
		err := f.syncGroups(ctx)
		f.mu.Lock()
		report := f.synced.report
		f.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && report.Settled():
			return nil, nil
		case err != nil && time.Now().After(giveUp):
			return nil, err
		case time.Now().After(giveUp):
			var unsettled []string
			for _, p := range report.Positions {
				if !p.Decision.Kind.Settled() {
					unsettled = append(unsettled,
						fmt.Sprintf("group %s in %s: %s", p.Group, p.Partition, p.Decision.Why))
				}
			}
			return unsettled, nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
