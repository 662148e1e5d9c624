package topics

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"

	"replicator/pkg/replicate/chunk"
)

const (
	// settingsAtOnce bounds the topics whose settings are read in one refresh,
	// beside new and unsettled ones: the longest unread come first, so that a
	// thousand topics take 5 refreshes. All settings of a topic are some 35 objects.
	settingsAtOnce = 200

	allSettings = math.MaxInt
)

// known is what was read of a topic's settings, good as long as both ids are the same.
type known struct {
	sourceID, targetID chunk.TopicID
	source, target     side // only the settings in them
	round              int  // the refresh that read them
}

// memory holds what was read of the settings of topics, which is asked for now and then only.
type memory struct {
	known map[string]*known // by source topic: settings that need not be read again yet
	round int               // counts refreshes
}

// forget has a topic's settings read at the next refresh.
func (m *memory) forget(topic string) { delete(m.known, topic) }

// snapshot is what both clusters showed at one moment.
type snapshot struct {
	pairs   []pair
	skipped []Skip
}

// take finds the selected topics and describes them on both sides. At most some
// settings that are known already are read again.
func (t *Topics) take(ctx context.Context, some int) (*snapshot, error) {
	names, err := t.source.names(ctx)
	if err != nil {
		return nil, err
	}
	names = append(names, t.expected.missing(names)...)
	slices.Sort(names)
	seen := &snapshot{}
	var sourceNames, targetNames, asked []string
	blocked := map[string]string{}
	for _, name := range names {
		target, verdict := t.cfg.Policy.Topic(name)
		switch {
		case verdict.Blocked: // its name on the target is no topic's, or another's
			blocked[name] = verdict.Why
		case verdict.Selected:
			asked = append(asked, target)
		default:
			seen.skipped = append(seen.skipped, Skip{name, verdict.Why, verdict.Builtin && !verdict.Kept})
			continue
		}
		sourceNames = append(sourceNames, name)
		targetNames = append(targetNames, target)
	}
	if _, t.rules.Brokers, err = t.target.about(ctx); err != nil {
		return nil, err
	}
	sources, err := t.source.describe(ctx, sourceNames)
	if err != nil {
		return nil, err
	}
	targets, err := t.target.describe(ctx, asked)
	if err != nil {
		return nil, err
	}
	for i, name := range sourceNames {
		if source, there := sources[name]; there { // else it was deleted since it was listed
			p := pair{Source: name, Target: targetNames[i], blocked: blocked[name], source: source}
			if p.blocked == "" {
				p.target = targets[p.Target]
			}
			seen.pairs = append(seen.pairs, p)
		}
	}
	t.expected.only(seen.pairs)
	return seen, t.memory.readSettings(ctx, t.source, t.target, seen.pairs, some)
}

// readSettings fills in the settings of all pairs, from Kafka or from what is known.
func (m *memory) readSettings(ctx context.Context, source, target *cluster, pairs []pair, some int) error {
	due := m.due(pairs, some)
	sources, targets := make(map[string]*side), make(map[string]*side)
	for _, p := range due {
		if p.source.Err == nil {
			sources[p.Source] = p.source
		}
		if p.target != nil && p.target.Err == nil {
			targets[p.Target] = p.target
		}
	}
	if err := source.settings(ctx, sources); err != nil {
		return err
	}
	if err := target.settings(ctx, targets); err != nil {
		return err
	}
	fresh := make(map[string]*known, len(pairs))
	for _, p := range due {
		k := &known{sourceID: p.source.ID, source: *p.source, round: m.round}
		if p.target != nil {
			k.targetID, k.target = p.target.ID, *p.target
		}
		fresh[p.Source] = k
	}
	for _, p := range pairs {
		if fresh[p.Source] != nil {
			continue
		}
		k := m.known[p.Source]
		fresh[p.Source] = k
		p.source.Settings, p.source.SettingsErr = k.source.Settings, k.source.SettingsErr
		if p.target != nil {
			p.target.Settings, p.target.SettingsErr = k.target.Settings, k.target.SettingsErr
		}
	}
	m.known = fresh // forgets deleted topics
	return nil
}

// due are the pairs whose settings are to be read: all that are not known as they
// are now, and some of the others.
func (m *memory) due(pairs []pair, some int) []pair {
	var due, others []pair
	for _, p := range pairs {
		var targetID chunk.TopicID
		if p.target != nil {
			targetID = p.target.ID
		}
		k := m.known[p.Source]
		if k == nil || k.sourceID != p.source.ID || k.targetID != targetID {
			due = append(due, p)
		} else {
			others = append(others, p)
		}
	}
	slices.SortStableFunc(others, func(a, b pair) int {
		return cmp.Compare(m.known[a.Source].round, m.known[b.Source].round)
	})
	return append(due, others[:min(some, len(others))]...)
}

func batches(names []string, size int) [][]string { return slices.Collect(slices.Chunk(names, size)) }

func sortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), strings.Compare)
}
