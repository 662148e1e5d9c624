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
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/wait"
)

// errCaughtUp ends a flow that was to run until caught up.
var errCaughtUp = errors.New("caught up")

const (
	// catchUpEvery is how often a one-off copy sees how far it is, if no shard notifies it before.
	catchUpEvery = 100 * time.Millisecond
	// openAfter is how long it waits for open transactions without a word: those of producers at work end soon.
	openAfter = 5 * time.Second
)

// catchUp is what a one-off copy does beside copying: it knows what there is to copy, and when that was done. It
// belongs to one goroutine.
type catchUp struct {
	flow       *shard.Flow
	workers    *workers
	groupSync  *groupSync
	memory     *memory
	stableOnly bool // what open transactions hold back is not waited for
	// viewGroups opens a view of the groups from outside; nil: there is none, see Options.
	viewGroups func(context.Context, settings.Config) (groups.Viewer, error)
}

// run returns once everything that is on the source now is on the target and the groups
// are in sync. What an open transaction holds back is waited for.
func (c *catchUp) run(ctx context.Context) error {
	if len(c.flow.Topology.Now()) == 0 {
		return &UnfinishedError{Nothing: c.flow.Cfg.From}
	}
	goal, err := c.sourceEnds(ctx)
	if err != nil {
		return err
	}
	c.flow.Goal.Set(goal)
	stops, err := c.copied(ctx, goal)
	if err != nil {
		return err
	}
	stops = c.addTopicStops(stops)
	unsettled, err := c.settleGroups(ctx, goal, stops)
	if err != nil {
		return err
	}
	if len(stops)+len(unsettled) > 0 {
		return &UnfinishedError{Stops: stops, Groups: unsettled}
	}
	return nil
}

// copied waits until the goal is reached, and answers what is stopped before it.
func (c *catchUp) copied(ctx context.Context, goal map[chunk.Partition]offsets.Source) ([]*chunk.Stop, error) {
	tick := time.NewTicker(catchUpEvery)
	defer tick.Stop()
	logOpen := time.NewTimer(openAfter)
	defer logOpen.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.flow.Notify:
		case <-tick.C:
		case <-logOpen.C:
			if open := c.flow.Goal.Open(); len(open) > 0 {
				c.flow.Log.Info("waiting for transactions that were open on the source at the start", "open", kafka.Few(open),
					"remedy", chunk.OpenRemedy)
			}
			logOpen.Reset(wait.LogEvery)
		}
		if done, stops, err := c.reached(ctx, goal); done || err != nil {
			return stops, err
		}
	}
}

// sourceEnds are the ends of the source's logs, what is in open transactions included; but up to the last stable
// offsets for who waits for these transactions himself.
func (c *catchUp) sourceEnds(ctx context.Context) (map[chunk.Partition]offsets.Source, error) {
	var names []string
	for _, t := range c.flow.Topology.Now() {
		names = append(names, t.Source)
	}
	ask := c.flow.SourceOffsets.Ends
	if c.stableOnly {
		ask = c.flow.SourceOffsets.Stable
	}
	ends, err := ask(ctx, names)
	if err != nil {
		return nil, err
	}
	goal := make(map[chunk.Partition]offsets.Source, len(ends))
	for p, end := range ends {
		if end.Err != nil {
			return nil, fmt.Errorf("end of source partition %s: %w", p, end.Err)
		}
		goal[p] = offsets.Source(end.Offset)
	}
	return goal, nil
}

// reached says whether all partitions are at the goal, but for those that are
// stopped. What other replicas copy, and what they have stopped, is read from the
// ledger, and believed once the group counts this process as a member: until then
// nobody may be there who keeps it true.
func (c *catchUp) reached(ctx context.Context, goal map[chunk.Partition]offsets.Source) (
	done bool, stops []*chunk.Stop, err error) {
	if !c.workers.present.Load() {
		return false, nil, nil
	}
	routes := map[chunk.Partition]published.Route{}
	own := map[int]bool{}
	for _, w := range c.workers.list() {
		own[w.Shard] = true
		for p, r := range w.Published.Routes() {
			routes[p] = r
		}
	}
	others := map[int][]chunk.Partition{} // by shard
	for p, end := range goal {
		shard := p.Shard(c.flow.Cfg.Shards)
		r, known := routes[p]
		switch {
		case !own[shard]:
			others[shard] = append(others[shard], p)
		case known && r.Stop != nil:
			stops = append(stops, r.Stop)
		case !known || r.State != partition.Copying || r.Next < end:
			return false, nil, nil
		}
	}
	done, theirs, err := c.othersReached(ctx, goal, others)
	if err != nil || !done {
		return false, nil, err
	}
	stops = append(stops, theirs...)
	slices.SortFunc(stops, func(a, b *chunk.Stop) int {
		return strings.Compare(a.Partition.String(), b.Partition.String())
	})
	return true, stops, nil
}

// othersReached is reached for the partitions of shards that other replicas own.
func (c *catchUp) othersReached(ctx context.Context, goal map[chunk.Partition]offsets.Source,
	others map[int][]chunk.Partition) (done bool, stops []*chunk.Stop, err error) {
	ids := map[string]chunk.TopicID{}
	for _, t := range c.flow.Topology.Now() {
		ids[t.Source] = t.SourceID
	}
	beyond := map[chunk.Partition]ledger.Header{} // of what the source held when this began
	for shard, partitions := range others {
		book, err := c.flow.Ledger.Shard(ctx, int32(shard), 0)
		if err != nil {
			return false, nil, err
		}
		for _, p := range partitions {
			state := book.State(book.KeyOf(ids[p.Topic], p))
			switch {
			case state != nil && state.Stop != nil:
				stops = append(stops, ledger.StopOf(p, state.Stop))
			case state == nil || state.Progress < goal[p]:
				return false, nil, nil
			case state.Progress > goal[p]:
				beyond[p] = state.Header
			}
		}
	}
	cut, err := c.cutUnseen(ctx, beyond)
	return !cut, stops, err // a cut: its owner will note it
}

// addTopicStops adds the topics that are stopped as a whole and of which no partition
// is known, so that none of them is among the stops.
func (c *catchUp) addTopicStops(stops []*chunk.Stop) []*chunk.Stop {
	for _, t := range c.flow.Topology.Now() {
		listed := slices.ContainsFunc(stops, func(s *chunk.Stop) bool { return s.Partition.Topic == t.Source })
		if t.Stop != nil && !listed {
			stops = append(stops, t.Stop)
		}
	}
	return stops
}
