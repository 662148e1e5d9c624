package topics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

// triedAgain is how long a setting is left out that the target has refused.
const triedAgain = 10 * time.Minute

// declined is a value that the target does not take.
type declined struct{ target, key, value string }

// left is what is remembered of it.
type left struct {
	why   string
	until time.Time
}

// sifter finds the settings that the target does not take, and remembers them for a while.
type sifter struct {
	target   *cluster
	log      *slog.Logger
	declined map[declined]left
	logged   wait.Logged[declined]
}

// needed settings decide whether records arrive unchanged, are taken at all, and stay as
// long as on the source: without them a topic is not copied to. Where the target refuses
// another one, the topic goes without it.
func needed(key string) bool { return compared[key] || ours(key) }

// leaveRefused takes out of the changes what the target has refused a while ago.
func (s *sifter) leaveRefused(changes []*Change) {
	maps.DeleteFunc(s.declined, func(_ declined, l left) bool { return time.Now().After(l.until) })
	for _, c := range changes {
		for _, key := range sortedKeys(c.Set) {
			if l, known := s.declined[declined{c.Target, key, c.Set[key]}]; known {
				c.leave(key, l.why)
			}
		}
	}
}

// leave takes a setting out of a change.
func (c *Change) leave(key, why string) {
	c.Left = append(c.Left, Left{key, why})
	delete(c.Set, key)
	delete(c.From, key)
}

// alterations finds the settings for which the target would refuse an alteration as a
// whole. One that is needed stops the topic, which gets all others nevertheless.
func (s *sifter) alterations(ctx context.Context, changes []*Change, validate bool) error {
	set := make(map[string]map[string]string)
	for _, c := range changes {
		if !c.Create && c.Stop == nil && len(c.Set) > 0 {
			set[c.Target] = c.Set
		}
	}
	answers, err := s.target.alter(ctx, set, validateOnly)
	if err != nil {
		return err
	}
	var open []*Change
	for _, c := range changes {
		if _, asked := set[c.Target]; asked && is(answers[c.Target], kerr.InvalidConfig) {
			open = append(open, c)
		}
	}
	return s.sift(ctx, open, validate, func(one map[*Change]string) (map[string]error, error) {
		set := make(map[string]map[string]string)
		for c, key := range one {
			set[c.Target] = map[string]string{key: c.Set[key]}
		}
		return s.target.alter(ctx, set, validateOnly)
	})
}

// creations does the same for topics that the target refuses to create with their
// settings. A limit of timestamps that it does not know is left to the second look.
func (s *sifter) creations(ctx context.Context, refused []*Change, validate bool) error {
	return s.sift(ctx, refused, validate, func(one map[*Change]string) (map[string]error, error) {
		var specs []creation
		for c, key := range one {
			few := bare(c.Set)
			few[key] = c.Set[key]
			specs = append(specs, creation{c.Target, c.PartitionsTo, c.ReplicationFactor, few})
		}
		return s.target.create(ctx, specs, validateOnly)
	})
}

// sift has the target check one setting of each topic after another.
func (s *sifter) sift(ctx context.Context, open []*Change, validate bool,
	check func(one map[*Change]string) (map[string]error, error)) error {
	keys := make(map[*Change][]string, len(open))
	most := 0
	for _, c := range open {
		keys[c] = sortedKeys(c.Set)
		most = max(most, len(keys[c]))
	}
	for round := range most {
		one := make(map[*Change]string)
		for _, c := range open {
			if round < len(keys[c]) {
				one[c] = keys[c][round]
			}
		}
		answers, err := check(one)
		if err != nil {
			return err
		}
		for c, key := range one {
			if err := answers[c.Target]; is(err, kerr.InvalidConfig) {
				s.refuse(c, key, err, validate)
			}
		}
	}
	return nil
}

// refuse deals with one setting that the target does not take.
func (s *sifter) refuse(c *Change, key string, err error, validate bool) {
	value := c.Set[key]
	why := fmt.Sprintf("cluster %s refuses %s: %v", s.target.conf.Name, value, err)
	switch {
	case c.Create && ours(key) && key != timestampType:
		delete(c.Set, key)
	case needed(key):
		c.leave(key, why)
		c.refused = refusedSetting(c, s.target.conf, key, value, err)
	default:
		c.leave(key, why)
		if !validate {
			s.remember(c, key, value, why, err)
		}
	}
}

// remember keeps a setting from being tried at every refresh, and says once that it is left out.
func (s *sifter) remember(c *Change, key, value, why string, err error) {
	what := declined{c.Target, key, value}
	s.declined[what] = left{why, time.Now().Add(triedAgain)}
	if s.logged.IsNews(what, "") {
		s.log.Warn("setting is left out, the target refuses it", "topic", c.Target, "setting", key, "value", value,
			"error", err, "remedy", "nothing, if the topic can do without it; name it in exclude_configs to silence this")
	}
}

// refusedSetting is the stop for a topic that cannot do without a setting.
func refusedSetting(c *Change, to kafka.Config, key, value string, err error) *chunk.Stop {
	return stop(c.Source, chunk.StopTopic,
		fmt.Sprintf("cluster %s refuses %s=%s for topic %s, without which records would not be kept there as on the source",
			to.Name, key, value, c.Target),
		fmt.Sprintf("raise the limit there; or name %s in exclude_configs, and give the topic what it may have", key), err)
}
