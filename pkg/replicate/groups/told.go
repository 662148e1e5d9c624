package groups

import (
	"log/slog"

	"replicator/pkg/replicate/chunk"
)

// told keeps the log silent in steady state: a group is mentioned when it begins to
// be left alone, and when it follows again.
type told struct {
	log    *slog.Logger
	source string
	empty  bool            // the warning about 0 groups was given
	names  bool            // the patterns were compared with names
	phase  map[string]Kind // groups that were said to be left alone
}

func newTold(cfg Config) told {
	return told{log: cfg.Log, source: cfg.Source.Name, phase: map[string]Kind{}}
}

// listed warns when the source shows no group: without the right to see them the
// list is empty, which is no error.
func (t *told) listed(n int) {
	if n == 0 && !t.empty {
		t.log.Warn("the source lists no consumer groups", "cluster", t.source,
			"remedy", "if it has groups, grant the program's user Describe on them, or Describe on the cluster")
	}
	t.empty = n == 0
}

// gravest first: what is said about a group with several.
var leftAlone = []Kind{Refused, BeforeForeign, ForeignCommit, Active}

// round compares the groups of a round with what was said about them.
func (t *told) round(groups []group) {
	seen := make(map[string]bool, len(groups))
	for i := range groups {
		g := &groups[i]
		seen[g.name] = true
		if g.failure != nil {
			if g.failure.Kind.LeftAlone() {
				t.say(g.name, g.failure.Kind, g.failure.Err.Error(), chunk.Remedy(g.failure.Err), 0)
			}
			continue
		}
		t.group(g)
	}
	for name := range t.phase {
		if !seen[name] {
			delete(t.phase, name)
		}
	}
}

func (t *told) group(g *group) {
	counts := map[Kind]int{}
	var examples [4]*Position // beside leftAlone
	for i := range g.positions {
		kind := g.positions[i].Decision.Kind
		counts[kind]++
		for n, k := range leftAlone {
			if k == kind && examples[n] == nil {
				examples[n] = &g.positions[i]
			}
		}
	}
	for n, p := range examples {
		if p != nil {
			t.say(g.name, leftAlone[n], p.Decision.Why, remedy(p), counts[leftAlone[n]])
			return
		}
	}
	// Being right is not following: an active group is right as long as the source rests.
	if counts[Moved] > 0 && t.phase[g.name] != "" {
		delete(t.phase, g.name)
		t.log.Info("group follows the source again", "group", g.name)
	}
}

// say mentions a group unless the same was said before.
func (t *told) say(group string, kind Kind, why, remedy string, partitions int) {
	if t.phase[group] == kind {
		return
	}
	t.phase[group] = kind
	log := t.log.Info
	if kind == Refused || kind == BeforeForeign {
		log = t.log.Warn
	}
	attrs := []any{"group", group, "kind", string(kind), "partitions", partitions, "why", why}
	if remedy != "" {
		attrs = append(attrs, "remedy", remedy)
	}
	log("group is left alone", attrs...)
}

func remedy(p *Position) string {
	if p.Decision.Kind == BeforeForeign {
		return "see what 'replicator status' says would be read again and what skipped"
	}
	return chunk.Remedy(p.Err)
}
