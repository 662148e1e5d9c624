package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/wait"
)

const (
	// groupsEvery spaces the views of all groups: each reads the ledger.
	groupsEvery = 500 * time.Millisecond
	// settleLimit is how long group positions may stay untranslatable after everything was copied.
	settleLimit = 30 * time.Second
)

// settling is the end of a one-off copy: it has the groups follow until every position of
// every shard has been in sync.
type settling struct {
	*catchUp
	goal    map[chunk.Partition]offsets.Source
	stopped map[chunk.Partition]bool
	view    groups.Viewer   // nil until it is needed
	inSync  map[string]bool // positions that were seen in sync
}

// errNoView says that nobody was given who could say how the groups of other replicas stand.
var errNoView = errors.New("other replicas own shards of the flow, and nobody can be asked how their groups stand")

// settleGroups carries positions over, those of the shards that are owned here,
// until every position of every shard is in sync; it answers those for which that did
// not come true. A group that moves on all the time is in sync at one time or another.
func (c *catchUp) settleGroups(ctx context.Context, goal map[chunk.Partition]offsets.Source,
	stops []*chunk.Stop) ([]string, error) {
	s := &settling{catchUp: c, goal: goal, stopped: map[chunk.Partition]bool{}, inSync: map[string]bool{}}
	for _, stop := range stops {
		s.stopped[stop.Partition] = true
	}
	defer func() {
		if s.view != nil {
			s.view.Close()
		}
	}()
	for giveUp := time.Now().Add(settleLimit); ; {
		open, stuck, err := s.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errNoView):
			return nil, err
		case err == nil && len(open) == 0:
			return stuck, nil
		case time.Now().After(giveUp):
			return append(open, stuck...), err
		}
		if err := wait.Pause(ctx, groupsEvery); err != nil {
			return nil, err
		}
	}
}

// round syncs the groups once, and lists what is open after that, and what is stuck:
// what waiting does not change. Where this process does not know all shards, since they
// are another's or are just starting over, a view of both clusters tells.
func (s *settling) round(ctx context.Context) (open, stuck []string, err error) {
	all := s.knowsAll()
	err = s.groupSync.round(ctx)
	if err != nil && !errors.Is(err, errNotNow) {
		return nil, nil, err
	}
	report := s.memory.now().groups.report
	if err == nil && all && s.knowsAll() && report.Settled() {
		return nil, leftBehind(&report), nil
	}
	if s.view == nil {
		if s.viewGroups == nil {
			return nil, nil, errNoView
		}
		if s.view, err = s.viewGroups(ctx, s.flow.Cfg); err != nil {
			return nil, nil, err
		}
	}
	return s.unsettled(ctx, &report)
}

// knowsAll says whether the sessions of this process know all partitions.
func (s *settling) knowsAll() bool {
	for p := range s.goal {
		if !s.workers.knows(p) {
			return false
		}
	}
	return true
}

// notPositioned says of a settled position that it does not stand where it ought to,
// and that nobody has put it elsewhere either.
func notPositioned(kind groups.Kind) bool {
	return kind == groups.Refused || kind == groups.BeforeForeign
}

// leftBehind lists what could not be positioned and will not be.
func leftBehind(report *groups.Report) (left []string) {
	for _, failed := range report.Failed {
		left = append(left, fmt.Sprintf("group %s: %v", failed.Group, failed.Err))
	}
	for _, p := range report.Positions {
		if notPositioned(p.Decision.Kind) {
			left = append(left, fmt.Sprintf("group %s in %s: %s", p.Group, p.Partition, p.Decision.Why))
		}
	}
	return left
}

// unsettled views all positions and lists those that have never been in sync, nor
// left alone for a reason that only people or consumers can change. Apart from those
// are the ones that waiting does not change: in stopped partitions, and those that
// could not be positioned.
func (s *settling) unsettled(ctx context.Context, report *groups.Report) (open, stuck []string, err error) {
	seen, err := s.view.Groups(ctx)
	if err != nil {
		return nil, nil, err
	}
	refused := map[string]bool{} // nothing but a person changes that
	for _, failed := range report.Failed {
		refused[failed.Group] = failed.Kind.Settled()
	}
	for _, g := range seen {
		switch {
		case g.Error != "" && !refused[g.Group]:
			open = append(open, fmt.Sprintf("group %s: %s", g.Group, g.Error))
		case g.Error != "":
			stuck = append(stuck, fmt.Sprintf("group %s: %s", g.Group, g.Error))
		}
		for _, p := range g.Positions {
			name := fmt.Sprintf("group %s in %s", g.Group, p.Partition)
			s.inSync[name] = s.inSync[name] || p.Settled
			switch {
			case s.inSync[name] && !notPositioned(p.Kind):
			case s.inSync[name] || s.stopped[p.Partition]:
				stuck = append(stuck, name+": "+p.Why)
			default:
				open = append(open, name+": "+p.Why)
			}
		}
	}
	return open, stuck, nil
}
