// Package repartition moves a topic to another partition count: a new version of it is
// made and filled, publishers stand still while the rest is copied and groups are
// moved, and go on with the new version. Applications follow through pkg/versions.
//
// The central function is [Move]. It guarantees, to applications that follow:
//
//  1. each visible record of the old version is in the new one once, and the order
//     of each key is kept, since a key lives in one partition of the old version, each
//     of which is copied in order, and publishers go on only after the last record;
//  2. a group that is done with the old version begins the new one exactly behind
//     what was copied;
//  3. killed at any moment, the same command goes on.
//
// Old and new version may be on one cluster, since their names differ; flows within
// one cluster are another matter, and pkg/policy's. It does not notice publishers
// that do not follow and write after the silence that it waited for, but [Retire] does.
package repartition

import (
	"context"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
	announce "replicator/pkg/versions"
)

// Groups says what becomes of groups without members that have not read everything.
type Groups string

const (
	Wait   Groups = "wait"   // until they have
	Refuse Groups = "refuse" // to go on
	Leave  Groups = "leave"  // them where they are; a later run moves them once they are done
)

// Options say what to move, and where to.
type Options struct {
	From, To    kafka.Config // the clusters; the same twice for one
	Topic       string       // without a version
	FromVersion string       // v and a number
	ToVersion   string
	Partitions  int32  // of the new version
	Partitioner string // one of [Partitioners]; "": [Java], if what is there fits it
	Force       bool   // copy keys that stand in other partitions than the partitioner says
	NoCopy      bool   // the new version begins empty, and publishers go on with it at once
	Groups      Groups
	SilentFor   time.Duration // longer than announce.Lease and any write
	// Say prints a line of progress.
	Say func(format string, args ...any)

	// reached is called between steps, for tests that end there.
	reached func(step string) error
}

// mover moves a topic from one version to the next.
type mover struct {
	*versions
	readers *readers
	put     partitioner
	copier  *copier
	stopped time.Time // when publishers were told to stand still, or this run went on with it
	resumed bool      // an earlier run has told publishers to stand still
}

// openMover checks what a move needs, and changes nothing.
func openMover(ctx context.Context, vs *versions) (*mover, error) {
	put, err := (&checker{versions: vs}).check(ctx)
	return &mover{versions: vs, readers: &readers{versions: vs, left: map[string]bool{}}, put: put}, err
}

// close ends what copies; the versions stay their owner's.
func (m *mover) close() {
	if m.copier != nil {
		m.copier.close()
	}
}

// Move moves the topic, or goes on where an earlier run ended.
func Move(ctx context.Context, o Options) error {
	vs, err := openVersions(ctx, o)
	if err != nil {
		return err
	}
	defer vs.close()
	m, err := openMover(ctx, vs)
	if err != nil {
		return err
	}
	defer m.close()
	if m.next.State == announce.Current && len(m.next.Offsets) > 0 {
		m.Say("%s is current since an earlier run; groups that are left follow", m.next.Key())
		return m.readers.move(ctx)
	}
	steps := []step{{"prepared", m.prepare}, {"filled", m.fill}, {"ready", m.ready}, {"stopped", m.stop}, {"over", m.over}}
	if m.NoCopy {
		steps = []step{{"prepared", m.prepare}, {"ready", m.ready}, {"opened", m.open}, {"over", m.over},
			{"moved", m.readers.move}}
	}
	for _, s := range steps {
		if err := s.do(ctx); err != nil {
			return err
		}
		if err := m.reached(s.name); err != nil {
			return err
		}
	}
	return nil
}

// step is a part of a move, which can be done again.
type step struct {
	name string
	do   func(context.Context) error
}

// prepare makes the new version, and announces both.
func (m *mover) prepare(ctx context.Context) error {
	if err := m.makeMeta(ctx); err != nil {
		return err
	}
	if _, known := m.view.Get(m.FromVersion); !known {
		if err := m.announce(ctx, announce.Version{Topic: m.Topic, Version: m.FromVersion, State: announce.Current,
			Physical: m.source.name, Cluster: m.From.Name, Partitions: m.source.partitions}); err != nil {
			return err
		}
	}
	if err := m.reached("announced " + m.FromVersion); err != nil {
		return err
	}
	if !m.target.exists {
		if err := m.makeTarget(ctx); err != nil {
			return err
		}
	}
	if err := m.reached("made"); err != nil {
		return err
	}
	if m.next.State == "" || m.next.State == announce.Retired {
		m.next = announce.Version{Topic: m.Topic, Version: m.ToVersion, State: announce.Preparing,
			Physical: m.target.name, Cluster: m.To.Name, Partitions: m.Partitions, From: m.FromVersion,
			Partitioner: m.put.name, Copied: !m.NoCopy}
		if err := m.announce(ctx, m.next); err != nil {
			return err
		}
	}
	m.copier = &copier{from: m.from, to: m.to, source: m.source, target: m.target, put: m.put, force: m.Force,
		id: m.transactions(), batch: m.batchBytes(ctx), passing: m.reached}
	return nil
}

// ready waits for groups that nobody would bring to the end while publishers stand still.
func (m *mover) ready(ctx context.Context) error {
	if m.NoCopy && m.Groups != Refuse { // they may take their time: publishers do not wait for them
		return nil
	}
	report := newReporter(m.Say)
	for {
		all, err := m.readers.takeNow(ctx)
		if err != nil {
			return err
		}
		open := slices.DeleteFunc(all, func(g group) bool { return g.active || len(g.rest) == 0 })
		if open, err = m.readers.decide(open); err != nil {
			return err
		}
		if len(open) == 0 {
			return m.fill(ctx)
		}
		report.line("before publishers are told to stand still, these have to be read on: %s", sentence(open))
		if err := wait.Pause(ctx, checkEvery); err != nil {
			return err
		}
	}
}

// fill copies until the new version holds what the old one did a moment ago.
func (m *mover) fill(ctx context.Context) error {
	if m.NoCopy {
		return nil
	}
	report := newReporter(m.Say)
	for all := 0; ; {
		ends, err := m.from.stable(ctx, m.source)
		if err != nil {
			return err
		}
		for range 20 {
			copied, err := m.copier.step(ctx)
			if err != nil {
				return err
			}
			if all += copied; m.copier.reached(ends) {
				m.Say("copied %d records: %s has caught up with %s", all, m.target.name, m.source.name)
				return nil
			}
		}
		report.line("copied %d records", all)
	}
}

// stop tells publishers to stand still.
func (m *mover) stop(ctx context.Context) error {
	m.stopped = time.Now()
	if m.resumed = m.next.State == announce.Switching; m.resumed {
		return nil // their rest is copied, and where they end is looked for anew
	}
	m.next.State = announce.Switching
	return m.announce(ctx, m.next)
}

// open lets publishers go on with the new version, which is empty: nothing has to be
// copied before them. Groups read the old one to its end first, which is announced
// when nobody has written there for long enough.
func (m *mover) open(ctx context.Context) error {
	if m.next.State == announce.Current {
		return nil // by an earlier run
	}
	m.next.State = announce.Current
	if err := m.announce(ctx, m.next); err != nil {
		return err
	}
	m.Say("publishers go on with %s; they do not stand still", m.target.name)
	return nil
}

// over brings the rest and the groups over, and lets publishers go on. Where
// somebody wrote to the old version meanwhile it does so again.
func (m *mover) over(ctx context.Context) error {
	for {
		ends, err := m.silence(ctx)
		if err != nil {
			return err
		}
		if err := m.mark(ctx, ends); err != nil {
			return err
		}
		if err := m.reached("marked"); err != nil {
			return err
		}
		if !m.NoCopy {
			if err := m.readers.move(ctx); err != nil {
				return err
			}
			if err := m.reached("groups"); err != nil {
				return err
			}
		}
		now, err := m.from.ends(ctx, m.source)
		if err != nil {
			return err
		}
		if err := m.same(ctx); err != nil {
			return err
		}
		switch {
		case !slices.Equal(now, ends):
		case m.NoCopy:
			return nil // publishers went on before
		default:
			return m.goOn(ctx)
		}
		m.Say("%s was written to again; its end is looked for anew", m.source.name)
	}
}

// same refuses an old version that was made anew, or got more partitions: those are
// not copied, and the keys in them have records elsewhere.
func (m *mover) same(ctx context.Context) error {
	now, err := m.from.describe(ctx, m.source.name)
	if err != nil || now.id == m.source.id && now.partitions == m.source.partitions {
		return err
	}
	return &kafka.Problem{
		What: fmt.Sprintf("%s was made anew, or got more partitions, while it was moved", m.source.name),
		Fix:  "give the new version up with --abandon, and begin again",
	}
}

// mark announces where the old version ends and where the new one begins.
func (m *mover) mark(ctx context.Context, ends []int64) error {
	drained, err := m.from.visibleEnds(ctx, m.source, ends)
	if err != nil {
		return err
	}
	begins, err := m.begins(ctx)
	if err != nil {
		return err
	}
	at := map[string]announce.Offsets{m.from.id: {Drained: drained, Ends: ends}}
	to := at[m.to.id]
	to.Begins = begins
	at[m.to.id] = to
	m.next.Offsets = at
	return m.announce(ctx, m.next)
}

// begins waits until no transaction of the copier is open, markers written: then
// the ends of the new version are those that any reader sees.
func (m *mover) begins(ctx context.Context) ([]int64, error) {
	if m.NoCopy { // all that is there comes after the old version
		first, _, err := m.to.span(ctx, m.target)
		return first, err
	}
	for {
		stable, err := m.to.stable(ctx, m.target)
		if err != nil {
			return nil, err
		}
		ends, err := m.to.ends(ctx, m.target)
		if err != nil || slices.Equal(stable, ends) {
			return ends, err
		}
		if err := wait.Pause(ctx, checkEvery); err != nil {
			return nil, err
		}
	}
}

// goOn gives the new version its own settings and lets publishers go on with it.
func (m *mover) goOn(ctx context.Context) error {
	if err := m.settle(ctx); err != nil {
		return err
	}
	m.next.State = announce.Current
	if err := m.announce(ctx, m.next); err != nil {
		return err
	}
	since := ""
	if m.resumed {
		since = " since this run began; they were told to by an earlier one"
	}
	m.Say("publishers stood still for %.1f s%s", time.Since(m.stopped).Seconds(), since)
	return nil
}
