package topics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/wait"
)

// bring carries the changes out and puts into them what came of it. New topics
// are looked at a second time before anybody may write to them: only then the
// target tells which settings it knows, and what its defaults are.
func (t *Topics) bring(ctx context.Context, changes []*Change, pairs []pair) error {
	if err := t.sifter.alterations(ctx, changes, forReal); err != nil {
		return err
	}
	if err := t.keep(ctx, changes, pairs); err != nil {
		return err
	}
	if err := t.maker.apply(ctx, changes, forReal); err != nil {
		return err
	}
	for _, c := range changes {
		if _, altered := c.Set[timestampType]; altered && !c.Create && c.Stop == nil {
			c.Waits = settling(c, t.cfg.Target)
		}
	}
	targets, err := t.settle(ctx, changes)
	if err != nil {
		return err
	}
	sources := make(map[string]*side)
	for _, p := range pairs {
		sources[p.Source] = p.source
	}
	created, sides := make(map[*Change]pair), make(map[string]*side)
	for _, c := range changes {
		target := targets[c.Target]
		switch {
		case c.Stop != nil || target == nil:
		case c.Create:
			created[c] = pair{Source: c.Source, Target: c.Target, source: sources[c.Source], target: target}
			if target.Err == nil {
				sides[c.Target] = target
			}
		default:
			c.TargetID, c.TargetPartitions = target.ID, target.Partitions
		}
	}
	if len(created) == 0 {
		return nil
	}
	if err := t.target.settings(ctx, sides); err != nil {
		return err
	}
	r := t.rules
	r.SyncConfigs = true // what holds for altering later does not hold for creating
	var again []*Change
	for c, p := range created {
		next := r.change(p)
		next.created = true
		*c = next
		again = append(again, c)
		t.memory.forget(c.Source)
	}
	t.sifter.leaveRefused(again)
	if err := t.sifter.alterations(ctx, again, forReal); err != nil {
		return err
	}
	if err := t.keep(ctx, again, pairs); err != nil {
		return err
	}
	return t.maker.apply(ctx, again, forReal)
}

// maker has the target do what changes say.
type maker struct {
	target *cluster
	sifter *sifter
	log    *slog.Logger
	logged wait.Logged[string] // by target topic: the alteration that was logged last
}

// apply has the target do what the changes say, or only check it. What it refuses
// becomes the Stop of that change.
func (m *maker) apply(ctx context.Context, changes []*Change, validate bool) error {
	if err := m.create(ctx, changes, validate); err != nil {
		return err
	}
	if err := m.grow(ctx, changes, validate); err != nil {
		return err
	}
	if err := m.alter(ctx, changes, validate); err != nil {
		return err
	}
	for _, c := range changes {
		if c.refused != nil && c.Stop == nil {
			c.Stop = c.refused
		}
	}
	return nil
}

func (m *maker) create(ctx context.Context, changes []*Change, validate bool) error {
	var todo []*Change
	for _, c := range changes {
		if c.Create && c.Stop == nil {
			todo = append(todo, c)
		}
	}
	answers, err := m.createAs(ctx, todo, (*Change).whole, validate)
	if err != nil {
		return err
	}
	less := ofInvalid(todo, answers)
	if err := m.sifter.creations(ctx, less, validate); err != nil {
		return err
	}
	inPart := make(map[*Change]error)
	for _, settings := range []func(*Change) map[string]string{(*Change).whole, (*Change).barely} {
		again, err := m.createAs(ctx, less, settings, validate)
		if err != nil {
			return err
		}
		maps.Copy(answers, again)
		if less = ofInvalid(less, again); len(inPart) == 0 {
			for _, c := range less {
				inPart[c] = again[c.Target]
			}
		}
	}
	for _, c := range todo {
		m.created(c, answers[c.Target], inPart[c], validate)
	}
	return nil
}

// whole and barely are what a topic is created with.
func (c *Change) whole() map[string]string  { return c.Set }
func (c *Change) barely() map[string]string { return bare(c.Set) }

// createAs creates topics, but those that lack a setting that they need.
func (m *maker) createAs(ctx context.Context, changes []*Change, settings func(*Change) map[string]string,
	validate bool) (map[string]error, error) {
	var specs []creation
	for _, c := range changes {
		if c.refused == nil {
			specs = append(specs, creation{c.Target, c.PartitionsTo, c.ReplicationFactor, settings(c)})
		}
	}
	return m.target.create(ctx, specs, validate)
}

// ofInvalid are the changes for whose settings the target has refused them.
func ofInvalid(changes []*Change, answers map[string]error) []*Change {
	var refused []*Change
	for _, c := range changes {
		if is(answers[c.Target], kerr.InvalidConfig) {
			refused = append(refused, c)
		}
	}
	return refused
}

// created notes what came of a creation; inPart is why fewer settings were tried.
func (m *maker) created(c *Change, err, inPart error, validate bool) {
	switch {
	case c.refused != nil:
		c.Stop = c.refused
	case err == nil && inPart != nil && validate:
		c.Left = append(c.Left, Left{"", "the target does not take all of these settings at once: " +
			inPart.Error() + "; those that it knows are set right after the creation"})
	case err == nil && !validate:
		m.log.Info("target topic created", "topic", c.Target, "partitions", c.PartitionsTo,
			"replication_factor", c.ReplicationFactor)
	case err != nil && !is(err, kerr.TopicAlreadyExists): // another replica was quicker
		c.Stop = refused(c, m.target.conf, creating, err)
	}
}

func (m *maker) grow(ctx context.Context, changes []*Change, validate bool) error {
	to := make(map[string]int)
	for _, c := range changes {
		if c.grows() && c.Stop == nil {
			to[c.Target] = c.PartitionsTo
		}
	}
	answers, err := m.target.grow(ctx, to, validate)
	if err != nil {
		return err
	}
	for _, c := range changes {
		err, asked := answers[c.Target]
		switch {
		case !asked:
		case err == nil && !validate:
			m.log.Info("target topic grown", "topic", c.Target, "from", c.PartitionsFrom, "to", c.PartitionsTo)
		case err != nil && !is(err, kerr.InvalidPartitions): // somebody was quicker; settle looks
			c.Stop = refused(c, m.target.conf, growing, err)
		}
	}
	return nil
}

func (m *maker) alter(ctx context.Context, changes []*Change, validate bool) error {
	set := make(map[string]map[string]string)
	for _, c := range changes {
		if !c.Create && c.Stop == nil && len(c.Set) > 0 {
			set[c.Target] = c.Set
		}
	}
	answers, err := m.target.alter(ctx, set, validate)
	if err != nil {
		return err
	}
	for _, c := range changes {
		err, asked := answers[c.Target]
		switch {
		case !asked:
		case err != nil:
			c.Stop = refused(c, m.target.conf, altering, err)
		case !validate:
			m.altered(c)
		}
	}
	return nil
}

// altered logs an alteration, though once if it is made again because a slow
// broker still shows the old values.
func (m *maker) altered(c *Change) {
	what := fmt.Sprint(c.TargetID, c.Set, c.From)
	if m.logged.IsNews(c.Target, what) {
		m.log.Info("target topic altered", "topic", c.Target, "set", c.Set, "was", c.From)
	}
}

// settle waits until the brokers show what was created and grown, with a leader
// for each partition, and answers the target topics as they are then.
func (t *Topics) settle(ctx context.Context, changes []*Change) (map[string]*side, error) {
	want := make(map[string]int)
	for _, c := range changes {
		if c.Stop == nil && (c.Create || c.grows()) {
			want[c.Target] = c.PartitionsTo
		}
	}
	return t.target.visible(ctx, want)
}
