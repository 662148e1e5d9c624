package repartition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
	announce "replicator/pkg/versions"
)

// progressPrefix begins the names of the groups that hold progress, and of transactions.
const progressPrefix = "replicator.versions."

const (
	checkEvery  = 200 * time.Millisecond
	reportEvery = 5 * time.Second
)

// readers are the groups that read the old version, and are to go on in the new one.
type readers struct {
	*versions
	left map[string]bool // groups that were said to be left
}

// group is one that has a position on the old version.
type group struct {
	name   string
	active bool // it has members
	rest   []announce.Behind
	placed bool // it stands where it goes on in the new version
}

func (g group) done() bool { return len(g.rest) == 0 && g.placed }

func (g group) String() string {
	var what []string
	for _, b := range g.rest[:min(3, len(g.rest))] {
		what = append(what, b.String())
	}
	if n := len(g.rest) - len(what); n > 0 {
		what = append(what, fmt.Sprintf("and %d more partitions", n))
	}
	if len(what) == 0 {
		what = append(what, "it has read everything")
	}
	members := "without members"
	if g.active {
		members = "with members"
	}
	return fmt.Sprintf("group %s (%s): %s", g.name, members, strings.Join(what, ", "))
}

func sentence(groups []group) string {
	var all []string
	for _, g := range groups {
		all = append(all, g.String())
	}
	return strings.Join(all, "; ")
}

// take finds the groups with positions on the old version, and what they have not read up to
// the announced end.
func (r *readers) take(ctx context.Context) ([]group, error) {
	return r.takeUpTo(ctx, r.oldEnd().Drained)
}

// takeNow is take up to where the old version ends now, for records that committed readers see.
func (r *readers) takeNow(ctx context.Context) ([]group, error) {
	ends, err := r.from.stable(ctx, r.source)
	if err != nil {
		return nil, err
	}
	drained, err := r.from.visibleEnds(ctx, r.source, ends)
	if err != nil {
		return nil, err
	}
	return r.takeUpTo(ctx, drained)
}

func (r *readers) takeUpTo(ctx context.Context, drained []int64) ([]group, error) {
	listed, err := r.from.admin.ListGroups(ctx)
	if err != nil {
		return nil, r.from.cfg.Explain(err)
	}
	var groups []group
	for _, name := range listed.Groups() {
		if strings.HasPrefix(name, progressPrefix) {
			continue
		}
		rest, began, err := announce.Rest(ctx, r.from.client, name, r.source.name, drained)
		if err != nil {
			return nil, r.from.cfg.Explain(err)
		}
		if !began {
			continue
		}
		g := group{name: name, rest: rest, active: listed[name].State != "Empty" && listed[name].State != "Dead"}
		if len(r.next.Offsets) > 0 {
			if g.placed, err = r.isPlaced(ctx, name); err != nil {
				return nil, err
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// isPlaced: before the new version is current nobody reads it, so that a position
// there is ours and must be the present one; later it is the group's own.
func (r *readers) isPlaced(ctx context.Context, name string) (bool, error) {
	fetched, err := announce.Positions(ctx, r.to.client, name, r.target.name)
	if err != nil {
		return false, r.to.cfg.Explain(err)
	}
	any, all := false, true
	for p, begin := range r.newBegin() {
		at, ok := fetched.Lookup(r.target.name, int32(p))
		any = any || ok && at.At >= 0
		all = all && ok && at.At == begin
	}
	if r.next.State == announce.Current {
		return any, nil
	}
	return all, nil
}

// move moves each group that is done with the old version, and waits for those
// that can still finish it.
func (r *readers) move(ctx context.Context) error {
	report := newReporter(r.Say)
	for {
		all, err := r.take(ctx)
		if err != nil {
			return err
		}
		var open []group
		for _, g := range all {
			if len(g.rest) == 0 && !g.placed && !g.active {
				if g.placed, err = r.place(ctx, g.name); err != nil {
					return err
				}
			}
			if !g.done() {
				open = append(open, g)
			}
		}
		if open, err = r.decide(open); err != nil || len(open) == 0 {
			return err
		}
		report.line("waiting until these have read %s and left: %s", r.source.name, sentence(open))
		if err := wait.Pause(ctx, checkEvery); err != nil {
			return err
		}
	}
}

// decide is what Options.Groups says about groups that nobody brings to the end.
func (r *readers) decide(open []group) ([]group, error) {
	idle := func(g group) bool { return !g.active && len(g.rest) > 0 }
	switch r.Groups {
	case Leave:
		for _, g := range open {
			if idle(g) && !r.left[g.name] {
				r.left[g.name] = true
				r.Say("left where it is: %s; run the command again once it has read the rest", g)
			}
		}
		return slices.DeleteFunc(open, idle), nil
	case Refuse:
		if stuck := slices.DeleteFunc(slices.Clone(open), func(g group) bool { return !idle(g) }); len(stuck) > 0 {
			return nil, &kafka.Problem{
				What: fmt.Sprintf("without members, and not at the end of %s: %s", r.source.name, sentence(stuck)),
				Fix: "start their consumers and run the command again, or choose --groups wait or leave, which lets those be " +
					"that nobody uses; --abandon lets publishers go on with the old version",
			}
		}
	case Wait:
	}
	return open, nil
}

// place puts a group to exactly behind what was copied; false if a member has just
// joined, whose positions are its own.
func (r *readers) place(ctx context.Context, name string) (bool, error) {
	var at kadm.Offsets
	for p, begin := range r.newBegin() {
		at.AddOffset(r.target.name, int32(p), begin, -1)
	}
	err := r.to.admin.CommitAllOffsets(ctx, name, at)
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) {
		return false, nil
	}
	if err != nil {
		return false, r.to.cfg.Explain(fmt.Errorf("put group %s to the beginning of %s: %w", name, r.target.name, err))
	}
	r.Say("group %s goes on in %s at %v", name, r.target.name, r.newBegin())
	return true, nil
}

// reporter says the same thing rarely.
type reporter struct {
	say  func(string, ...any)
	last time.Time
}

func newReporter(say func(string, ...any)) *reporter { return &reporter{say: say, last: time.Now()} }

func (t *reporter) line(format string, args ...any) {
	if now := time.Now(); now.Sub(t.last) >= reportEvery {
		t.last = now
		t.say(format, args...)
	}
}
