// Package topics makes the target's topics what the source's topics and the
// policy ask for: it looks at both clusters, plans, and applies the plan.
//
// The central type is [Topics]. It guarantees:
//
//  1. nothing is ever written to the source;
//  2. a target topic is never deleted nor shrunk, and settings that the source
//     topic does not have stay as an operator set them; one that is there already is
//     altered only if the [Ledger] lets it, and what it had is kept there before;
//  3. a topic that is returned without a Stop takes every record unchanged: its
//     timestamps are kept, none is refused for its timestamp or for its size;
//  4. one topic's trouble is that topic's Stop; an error means that a cluster
//     could not be asked at all, and then nothing is known.
//
// Kafka is asked for a topic's settings only now and then, see settingsAtOnce.
// A setting of which nobody compares the effective value stays on the target when
// the source topic drops it: whether an operator wants it there cannot be known.
package topics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

// Config says which topics of which clusters, and what to do with them.
type Config struct {
	Source, Target    kafka.Config
	Policy            *policy.Policy
	Flow              string // old->new, for the log
	ReplicationFactor int    // of new topics; 0: the source's; never more than the target has brokers
	// SyncConfigs false: settings are given to new topics only. A topic whose
	// timestamp type would change records is stopped then, not altered.
	SyncConfigs bool
	// Watched: whoever writes notices by himself that a topic replaces timestamps. Then,
	// without SyncConfigs, a target topic need not let its settings be read.
	Watched bool
	// CarriesBack says whether a topic of the target is carried to the source as well, by a flow that gives the one there
	// as many partitions; nil: none is.
	CarriesBack    func(target string) bool
	ExcludeConfigs []string // anchored regular expressions: settings that are not copied
	Ledger         Ledger   // nil: every target topic is altered, and nobody keeps what it had
	Log            *slog.Logger
}

// usualPatience is how long a topic waits for what another replica, or a broker, is about to do.
const usualPatience = 20 * time.Second

// Topics looks after the target topics of one flow. Its methods may be called
// from several goroutines, which wait for each other.
type Topics struct {
	cfg    Config
	rules  rules
	source *cluster
	target *cluster
	log    *slog.Logger

	expected expectation

	mu       sync.Mutex
	memory   memory
	sifter   *sifter
	maker    *maker
	logged   wait.Logged[string]  // what was said once
	waiting  map[string]time.Time // by source topic: since when it waits
	patience time.Duration        // how long it may
}

// Open opens a client of each cluster; it does not wait for a connection.
func Open(cfg Config) (*Topics, error) {
	t := &Topics{cfg: cfg, log: cfg.Log, patience: usualPatience, expected: expectation{names: map[string]bool{}},
		memory: memory{known: map[string]*known{}}}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	t.log = t.log.With("flow", cfg.Flow)
	t.rules = rules{CarriesBack: cfg.CarriesBack, ReplicationFactor: cfg.ReplicationFactor, SyncConfigs: cfg.SyncConfigs,
		Watched: cfg.Watched, From: cfg.Source, To: cfg.Target}
	for _, pattern := range cfg.ExcludeConfigs {
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("exclude_configs: %w", err)
		}
		t.rules.Exclude = append(t.rules.Exclude, re)
	}
	var err error
	if t.source, err = open(cfg.Source); err != nil {
		return nil, err
	}
	if t.target, err = open(cfg.Target); err != nil {
		t.source.close()
		return nil, err
	}
	t.sifter = &sifter{target: t.target, log: t.log, declined: map[declined]left{}}
	t.maker = &maker{target: t.target, sifter: t.sifter, log: t.log}
	return t, nil
}

// Close ends both clients. Nothing else may be called during or after it.
func (t *Topics) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source.close()
	t.target.close()
}

// Expect names source topics that were there once. A cluster leaves out of its
// list what we may not describe, as if it had been deleted; these are asked for by
// name, and a right that is missing becomes their Stop. It tells whether one is news.
func (t *Topics) Expect(names []string) (news bool) { return t.expected.add(names) }

// ClusterIDs asks both clusters who they are.
func (t *Topics) ClusterIDs(ctx context.Context) (source, target string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range []struct {
		*cluster
		id *string
	}{{t.source, &source}, {t.target, &target}} {
		if *c.id, _, err = c.about(ctx); err != nil {
			return "", "", err
		}
		if *c.id == "" {
			return "", "", &kafka.Problem{
				What: fmt.Sprintf("cluster %s does not tell its id", c.conf.Name),
				Fix:  "mirror clusters of Kafka 0.10.1 or newer",
				Err:  errors.New("no cluster id in the metadata"),
			}
		}
	}
	return source, target, nil
}

// Skip is a topic of the source that is not copied.
type Skip struct {
	Topic string
	Why   string
	// Builtin: the patterns choose it, and a built-in rule leaves it out that a pattern could override.
	Builtin bool
}

// Plan is what a refresh that looks after all topics would do.
type Plan struct {
	Topics  []Change // selected ones, by source name
	Skipped []Skip   // all others, by name
	Brokers int      // of the target
}

// Plan looks at both clusters and changes nothing. The target is asked to check
// each change, so that a missing right or a refused setting is in that topic's
// Stop. Settings of a topic to be created are those that it starts with: where the
// target's defaults differ from what the source has, more are set right after.
func (t *Topics) Plan(ctx context.Context) (Plan, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen, err := t.take(ctx, allSettings)
	if err != nil {
		return Plan{}, err
	}
	changes := plan(seen.pairs, t.rules)
	t.sifter.leaveRefused(pointers(changes))
	if err := t.judge(ctx, pointers(changes)); err != nil {
		return Plan{}, err
	}
	if err := t.sifter.alterations(ctx, pointers(changes), validateOnly); err != nil {
		return Plan{}, err
	}
	if err := t.maker.apply(ctx, pointers(changes), validateOnly); err != nil {
		return Plan{}, err
	}
	return Plan{Topics: changes, Skipped: seen.skipped, Brokers: t.rules.Brokers}, nil
}

// Refresh looks at both clusters and brings the target topics into line for which
// mine, asked with the source topic's name, is true. The others are only looked
// at. A source topic that is gone is not among the answers any more; one that was
// created again has another SourceID.
func (t *Topics) Refresh(ctx context.Context, mine func(topic string) bool) ([]Mirrored, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memory.round++
	seen, err := t.take(ctx, settingsAtOnce)
	if err != nil {
		return nil, err
	}
	t.warn(seen)
	changes := plan(seen.pairs, t.rules)
	t.sifter.leaveRefused(pointers(changes))
	var own []*Change
	for i := range changes {
		c := &changes[i]
		switch {
		case mine(c.Source):
			own = append(own, c)
		case c.Stop == nil && !c.Create:
			for _, key := range sortedKeys(c.Set) {
				if exact(key) {
					c.Waits = waits(c, t.cfg.Target, key)
					break
				}
			}
		}
	}
	if err := t.judge(ctx, own); err != nil {
		return nil, err
	}
	if err := t.bring(ctx, own, seen.pairs); err != nil {
		return nil, err
	}
	t.wait(changes)
	mirrored := make([]Mirrored, len(changes))
	for i := range changes {
		mirrored[i] = changes[i].Mirrored
		if !changes[i].Nothing() || changes[i].Stop != nil {
			t.memory.forget(changes[i].Source) // look again next time
		}
	}
	return mirrored, nil
}

// wait stops the topics that have waited for too long.
func (t *Topics) wait(changes []Change) {
	since := make(map[string]time.Time)
	for i := range changes {
		c := &changes[i]
		if c.Stop != nil || c.Waits == "" {
			continue
		}
		if since[c.Source] = t.waiting[c.Source]; since[c.Source].IsZero() {
			since[c.Source] = time.Now()
		}
		if time.Since(since[c.Source]) > t.patience {
			c.Stop, c.Waits = overdue(c), ""
		}
	}
	t.waiting = since
}

// warn says what an operator should know, once.
func (t *Topics) warn(seen *snapshot) {
	once := func(about, message string, args ...any) {
		if t.logged.IsNews(about, "") {
			t.log.Warn(message, args...)
		}
	}
	if t.memory.round == 1 {
		t.warnOfPatterns(seen)
	}
	if len(seen.pairs) == 0 {
		once("", "no topic of the source is selected", "cluster", t.cfg.Source.Name, "visible", len(seen.skipped),
			"remedy", "check topics and exclude_topics, and the right Describe on the topics: others are not listed")
	}
	if t.cfg.SyncConfigs {
		return
	}
	for _, p := range seen.pairs {
		if p.target == nil {
			continue
		}
		if t.cfg.Watched && denied(p.target.SettingsErr) {
			once("settings", "settings of target topics cannot be read", "cluster", t.cfg.Target.Name, "remedy",
				"see to it that "+timestampType+" is "+createTime+" and that no setting refuses a record; a topic that changes or "+
					"refuses one is stopped with its reason")
		}
		_, from, _ := difference(p.target.Settings, nil)
		for _, key := range sortedKeys(from) {
			if key != timestampType { // that one is a Stop
				once("limit "+p.Target, "target topic refuses records by their timestamp", "topic", p.Target,
					"setting", key, "value", from[key], "remedy", "set it to "+noLimit+", or "+t.rules.keep(p.Target))
			}
		}
	}
}

// warnOfPatterns says which pattern chooses nothing, and what a built-in rule leaves
// out, but what every cluster keeps for itself.
func (t *Topics) warnOfPatterns(seen *snapshot) {
	var names []string
	hidden := map[string][]string{}
	for _, p := range seen.pairs {
		names = append(names, p.Source)
	}
	for _, s := range seen.skipped {
		names = append(names, s.Topic)
		if s.Builtin {
			hidden[s.Why] = append(hidden[s.Why], s.Topic)
		}
	}
	for _, m := range t.cfg.Policy.TopicMatches(names) {
		switch {
		case m.Nothing():
			t.log.Warn("pattern chooses nothing", "pattern", m.Pattern, "why", m.Error(), "remedy", m.Remedy())
		case m.Hint() != "":
			t.log.Warn("pattern looks like a glob", "pattern", m.Pattern, "remedy", m.Hint())
		}
	}
	for _, why := range sortedKeys(hidden) {
		const most = 8
		t.log.Info("topics are left out", "topics", len(hidden[why]), "first",
			strings.Join(hidden[why][:min(len(hidden[why]), most)], ","), "why", why)
	}
}

func pointers(changes []Change) []*Change {
	all := make([]*Change, len(changes))
	for i := range changes {
		all[i] = &changes[i]
	}
	return all
}
