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
	announce "replicator/pkg/versions"
)

// progressPrefix begins the names of the groups that hold progress, and of transactions.
const progressPrefix = "replicator.versions."

const (
	lookEvery = 200 * time.Millisecond
	tellEvery = 5 * time.Second
)

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

// look finds the groups with positions on the old version, and what they lack up to
// the announced end.
func (m *mover) look(ctx context.Context) ([]group, error) {
	return m.lookUpTo(ctx, m.before().Drained)
}

// lookNow is look up to where the old version ends now, for records that committed readers see.
func (m *mover) lookNow(ctx context.Context) ([]group, error) {
	ends, err := m.from.stable(ctx, m.source)
	if err != nil {
		return nil, err
	}
	drained, err := m.from.visibleEnds(ctx, m.source, ends)
	if err != nil {
		return nil, err
	}
	return m.lookUpTo(ctx, drained)
}

func (m *mover) lookUpTo(ctx context.Context, drained []int64) ([]group, error) {
	listed, err := m.from.admin.ListGroups(ctx)
	if err != nil {
		return nil, m.from.cfg.Explain(err)
	}
	var groups []group
	for _, name := range listed.Groups() {
		if strings.HasPrefix(name, progressPrefix) {
			continue
		}
		rest, began, err := announce.Rest(ctx, m.from.client, name, m.source.name, drained)
		if err != nil {
			return nil, m.from.cfg.Explain(err)
		}
		if !began {
			continue
		}
		g := group{name: name, rest: rest, active: listed[name].State != "Empty" && listed[name].State != "Dead"}
		if len(m.next.Offsets) > 0 {
			if g.placed, err = m.isPlaced(ctx, name); err != nil {
				return nil, err
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// isPlaced: before the new version is current nobody reads it, so that a position
// there is ours and must be the present one; later it is the group's own.
func (m *mover) isPlaced(ctx context.Context, name string) (bool, error) {
	fetched, err := announce.Positions(ctx, m.to.client, name, m.target.name)
	if err != nil {
		return false, m.to.cfg.Explain(err)
	}
	any, all := false, true
	for p, begin := range m.begin() {
		at, ok := fetched.Lookup(m.target.name, int32(p))
		any = any || ok && at.At >= 0
		all = all && ok && at.At == begin
	}
	if m.next.State == announce.Current {
		return any, nil
	}
	return all, nil
}

// groups moves each group that is done with the old version, and waits for those
// that can still finish it.
func (m *mover) groups(ctx context.Context) error {
	tell := newTeller(m.Say)
	for {
		all, err := m.look(ctx)
		if err != nil {
			return err
		}
		var open []group
		for _, g := range all {
			if len(g.rest) == 0 && !g.placed && !g.active {
				if g.placed, err = m.place(ctx, g.name); err != nil {
					return err
				}
			}
			if !g.done() {
				open = append(open, g)
			}
		}
		if open, err = m.decide(open); err != nil || len(open) == 0 {
			return err
		}
		tell.line("waiting until these have read %s and left: %s", m.source.name, sentence(open))
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// decide is what Options.Groups says about groups that nobody brings to the end.
func (m *mover) decide(open []group) ([]group, error) {
	idle := func(g group) bool { return !g.active && len(g.rest) > 0 }
	switch m.Groups {
	case Leave:
		for _, g := range open {
			if idle(g) && !m.left[g.name] {
				m.left[g.name] = true
				m.Say("left where it is: %s; run the command again once it has read the rest", g)
			}
		}
		return slices.DeleteFunc(open, idle), nil
	case Refuse:
		if stuck := slices.DeleteFunc(slices.Clone(open), func(g group) bool { return !idle(g) }); len(stuck) > 0 {
			return nil, &kafka.Problem{
				What: fmt.Sprintf("without members, and not at the end of %s: %s", m.source.name, sentence(stuck)),
				Fix: "start their consumers and run the command again, or choose --groups wait or leave, which lets those be " +
					"that nobody uses; --abandon lets publishers go on with the old version",
			}
		}
	case Wait:
	}
	return open, nil
}

// ready looks for groups that nobody would bring to the end while publishers stand still.
func (m *mover) ready(ctx context.Context) error {
	if m.NoCopy && m.Groups != Refuse { // they may take their time: publishers do not wait for them
		return nil
	}
	tell := newTeller(m.Say)
	for {
		all, err := m.lookNow(ctx)
		if err != nil {
			return err
		}
		open := slices.DeleteFunc(all, func(g group) bool { return g.active || len(g.rest) == 0 })
		if open, err = m.decide(open); err != nil {
			return err
		}
		if len(open) == 0 {
			return m.fill(ctx)
		}
		tell.line("before publishers are told to stand still, these have to be read on: %s", sentence(open))
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// place puts a group to exactly behind what was copied; false if a member has just
// joined, whose positions are its own.
func (m *mover) place(ctx context.Context, name string) (bool, error) {
	var at kadm.Offsets
	for p, begin := range m.begin() {
		at.AddOffset(m.target.name, int32(p), begin, -1)
	}
	err := m.to.admin.CommitAllOffsets(ctx, name, at)
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) {
		return false, nil
	}
	if err != nil {
		return false, m.to.cfg.Explain(fmt.Errorf("put group %s to the beginning of %s: %w", name, m.target.name, err))
	}
	m.Say("group %s goes on in %s at %v", name, m.target.name, m.begin())
	return true, nil
}

// teller says the same thing rarely.
type teller struct {
	say  func(string, ...any)
	last time.Time
}

func newTeller(say func(string, ...any)) *teller { return &teller{say: say, last: time.Now()} }

func (t *teller) line(format string, args ...any) {
	if now := time.Now(); now.Sub(t.last) >= tellEvery {
		t.last = now
		t.say(format, args...)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
