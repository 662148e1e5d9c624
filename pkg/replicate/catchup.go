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
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/wait"
)

// errCaughtUp ends a flow that was to run until caught up.
var errCaughtUp = errors.New("caught up")

const (
	onceEvery = 100 * time.Millisecond
	// groupsEvery spaces the looks at all groups: each reads the ledger.
	groupsEvery = 500 * time.Millisecond
	// settleLimit is how long group positions may stay untranslatable after everything was copied.
	settleLimit = 30 * time.Second
)

// UnfinishedError reports what a one-off copy has left out.
type UnfinishedError struct {
	Stops  []*chunk.Stop
	Groups []string // positions that could not be set right, with the reason
	// Nothing is the source of which no topic is selected: there was nothing to copy, as far as can be seen.
	Nothing string
}

// NothingSelected is what to look at where a flow selects no topic.
const NothingSelected = "look at topics and exclude_topics, and whether this is the right cluster; topics that the " +
	"program's user may not Describe are hidden from it"

func (e *UnfinishedError) Error() string {
	if e.Nothing != "" {
		return fmt.Sprintf("no topic of cluster %s is selected: nothing was copied", e.Nothing)
	}
	var b strings.Builder
	for _, s := range chunk.Together(e.Stops) {
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
	if e.Nothing != "" {
		return NothingSelected
	}
	if len(e.Stops) > 0 {
		return e.Stops[0].Remedy()
	}
	return "see 'replicator status'; run the same command again once the groups stand still"
}

// untilCaughtUp returns once everything that is on the source now is on the
// target and the groups stand right. What an open transaction holds back is waited for.
func (f *flow) untilCaughtUp(ctx context.Context) error {
	if len(f.Topology.Now()) == 0 {
		return &UnfinishedError{Nothing: f.Cfg.From}
	}
	goal, err := f.sourceEnds(ctx)
	if err != nil {
		return err
	}
	f.Goal.Set(goal)
	tick := time.NewTicker(onceEvery)
	defer tick.Stop()
	tellOpen := time.NewTimer(openAfter)
	defer tellOpen.Stop()
	var stops []*chunk.Stop
	for done := false; !done; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.Notify:
		case <-tick.C:
		case <-tellOpen.C:
			f.sayOpen()
			tellOpen.Reset(wait.LogEvery)
		}
		if done, stops, err = f.reached(ctx, goal); err != nil {
			return err
		}
	}
	stops = f.addTopicStops(stops)
	unsettled, err := f.settleGroups(ctx, goal, stops)
	if err != nil {
		return err
	}
	if len(stops)+len(unsettled) > 0 {
		return &UnfinishedError{Stops: stops, Groups: unsettled}
	}
	return nil
}

// sourceEnds are the ends of the source's logs, what is in open transactions included; but up to the last stable
// offsets for who waits for these transactions himself.
func (f *flow) sourceEnds(ctx context.Context) (map[chunk.Partition]offsets.Source, error) {
	var names []string
	for _, t := range f.Topology.Now() {
		names = append(names, t.Source)
	}
	ask := f.SourceOffsets.Ends
	if f.stableOnly {
		ask = f.SourceOffsets.Stable
	}
	ends, err := ask(ctx, names)
	if err != nil {
		return nil, err
	}
	goal := make(map[chunk.Partition]offsets.Source, len(ends))
	for p, mark := range ends {
		if mark.Err != nil {
			return nil, fmt.Errorf("end of source partition %s: %w", p, mark.Err)
		}
		goal[p] = offsets.Source(mark.Offset)
	}
	return goal, nil
}

// reached says whether all partitions are at the goal, but for those that are
// stopped. What other replicas copy, and what they have stopped, is read from the
// ledger, and believed once the group counts this process as a member: until then
// nobody may be there who keeps it true.
func (f *flow) reached(ctx context.Context, goal map[chunk.Partition]offsets.Source) (bool, []*chunk.Stop, error) {
	if !f.present.Load() {
		return false, nil, nil
	}
	shown := map[chunk.Partition]shard.PublishedRoute{}
	own := map[int]bool{}
	for _, w := range f.ownWorkers() {
		own[w.Shard] = true
		for p, r := range w.Published.Routes() {
			shown[p] = r
		}
	}
	var stops []*chunk.Stop
	others := map[int]bool{}
	for p, end := range goal {
		shard := p.Shard(f.Cfg.Shards)
		r, known := shown[p]
		switch {
		case !own[shard]:
			others[shard] = true
		case known && r.Stop != nil:
			stops = append(stops, r.Stop)
		case !known || r.State != partition.Copying || r.Next < end:
			return false, nil, nil
		}
	}
	ids := map[string]chunk.TopicID{}
	for _, t := range f.Topology.Now() {
		ids[t.Source] = t.SourceID
	}
	beyond := map[chunk.Partition]ledger.Header{} // of what the source held when this began
	for shard := range others {
		book, err := f.Ledger.Shard(ctx, int32(shard), 0)
		if err != nil {
			return false, nil, err
		}
		for p, end := range goal {
			if p.Shard(f.Cfg.Shards) != shard {
				continue
			}
			state := book.State(book.KeyOf(ids[p.Topic], p))
			switch {
			case state != nil && state.Stop != nil:
				stops = append(stops, ledger.StopOf(p, state.Stop))
			case state == nil || state.Progress < end:
				return false, nil, nil
			case state.Progress > end:
				beyond[p] = state.Header
			}
		}
	}
	if cut, err := f.cutUnseen(ctx, beyond); cut || err != nil {
		return false, nil, err // its owner will note it
	}
	slices.SortFunc(stops, func(a, b *chunk.Stop) int {
		return strings.Compare(a.Partition.String(), b.Partition.String())
	})
	return true, stops, nil
}

// settleGroups carries positions over, those of the shards that are owned here,
// until every position of every shard is right; it answers those for which that did
// not come true. Where this process does not know all shards, since they are
// another's or are just starting over, a look at both clusters tells. A group that
// moves on all the time is right at one look or another.
func (f *flow) settleGroups(ctx context.Context, goal map[chunk.Partition]offsets.Source,
	stops []*chunk.Stop) ([]string, error) {
	stopped := map[chunk.Partition]bool{}
	for _, s := range stops {
		stopped[s.Partition] = true
	}
	var view groups.Onlooker
	defer func() {
		if view != nil {
			view.Close()
		}
	}()
	tick := time.NewTicker(groupsEvery)
	defer tick.Stop()
	right := map[string]bool{} // positions that were seen right
	for giveUp := time.Now().Add(settleLimit); ; {
		all := f.knowsAll(goal)
		err := f.syncGroups(ctx)
		skipped := errors.Is(err, errNotNow)
		if skipped {
			err = nil // the look below tells
		}
		if err == nil && !skipped && all && f.knowsAll(goal) && f.settled() {
			return f.leftBehind(), nil
		}
		var open, stuck []string
		if err == nil && view == nil && f.onlook == nil {
			return nil, errors.New("other replicas own shards of the flow, and nobody can be asked how their groups stand")
		}
		if err == nil && view == nil {
			view, err = f.onlook(ctx, f.Cfg)
		}
		if err == nil {
			open, stuck, err = f.unsettled(ctx, view, right, stopped)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && len(open) == 0:
			return stuck, nil
		case time.Now().After(giveUp):
			return append(open, stuck...), err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// knowsAll says whether the sessions of this process know all partitions.
func (f *flow) knowsAll(goal map[chunk.Partition]offsets.Source) bool {
	for p := range goal {
		if w := f.worker(p); w == nil || !w.Published.Knows(p) {
			return false
		}
	}
	return true
}

// settled says whether the last round of the group sync left nothing to wait for.
func (f *flow) settled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.synced.report.Settled()
}

// notPositioned says of a settled position that it does not stand where it ought to,
// and that nobody has put it elsewhere either.
func notPositioned(kind groups.Kind) bool {
	return kind == groups.Refused || kind == groups.BeforeForeign
}

// leftBehind lists, of the last round, what could not be positioned and will not be.
func (f *flow) leftBehind() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []string
	for _, failed := range f.synced.report.Failed {
		left = append(left, fmt.Sprintf("group %s: %v", failed.Group, failed.Err))
	}
	for _, p := range f.synced.report.Positions {
		if notPositioned(p.Decision.Kind) {
			left = append(left, fmt.Sprintf("group %s in %s: %s", p.Group, p.Partition, p.Decision.Why))
		}
	}
	return left
}

// addTopicStops adds the topics that are stopped as a whole and of which no partition
// is known, so that none of them is among the stops.
func (f *flow) addTopicStops(stops []*chunk.Stop) []*chunk.Stop {
	for _, t := range f.Topology.Now() {
		told := slices.ContainsFunc(stops, func(s *chunk.Stop) bool { return s.Partition.Topic == t.Source })
		if t.Stop != nil && !told {
			stops = append(stops, t.Stop)
		}
	}
	return stops
}

// unsettled looks at all positions and lists those that have never been right, nor
// left alone for a reason that only people or consumers can change. Apart from those
// are the ones that waiting does not change: in stopped partitions, and those that
// could not be positioned.
func (f *flow) unsettled(ctx context.Context, view groups.Onlooker, right map[string]bool,
	stopped map[chunk.Partition]bool) (open, stuck []string, err error) {
	seen, err := view.Groups(ctx)
	if err != nil {
		return nil, nil, err
	}
	refused := map[string]bool{} // nothing but a person changes that
	f.mu.Lock()
	for _, failed := range f.synced.report.Failed {
		refused[failed.Group] = failed.Kind.Settled()
	}
	f.mu.Unlock()
	for _, g := range seen {
		switch {
		case g.Error != "" && !refused[g.Group]:
			open = append(open, fmt.Sprintf("group %s: %s", g.Group, g.Error))
		case g.Error != "":
			stuck = append(stuck, fmt.Sprintf("group %s: %s", g.Group, g.Error))
		}
		for _, p := range g.Positions {
			name := fmt.Sprintf("group %s in %s", g.Group, p.Partition)
			right[name] = right[name] || p.Settled
			switch {
			case right[name] && !notPositioned(p.Kind):
			case right[name] || stopped[p.Partition]:
				stuck = append(stuck, name+": "+p.Why)
			default:
				open = append(open, name+": "+p.Why)
			}
		}
	}
	return open, stuck, nil
}
