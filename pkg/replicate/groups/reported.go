package groups

import (
	"log/slog"

	"replicator/pkg/replicate/chunk"
)

// reported keeps the log silent in steady state: a group is mentioned when it begins to
// be left alone, and when it follows again.
type reported struct {
	log    *slog.Logger
	source string
	empty  bool            // the warning about 0 groups was given
	names  bool            // the patterns were compared with names
	phase  map[string]Kind // groups that were said to be left alone
}

func newReported(cfg Config) reported {
	return reported{log: cfg.Log, source: cfg.Source.Name, phase: map[string]Kind{}}
}

// listed warns when the source shows no group: without the right to see them the
// list is empty, which is no error.
func (r *reported) listed(n int) {
	if n == 0 && !r.empty {
		r.log.Warn("the source lists no consumer groups", "cluster", r.source,
			"remedy", "if it has groups, grant the program's user Describe on them, or Describe on the cluster")
	}
	r.empty = n == 0
}

// leftAlone is what is said about a group with several, the gravest first.
var leftAlone = []Kind{Refused, OnBothSides, UnreadDeleted, BeforeForeign, BeyondEnd, ForeignCommit, Active}

// round compares the groups of a round with what was said about them.
func (r *reported) round(groups []group) {
	seen := make(map[string]bool, len(groups))
	for i := range groups {
		g := &groups[i]
		seen[g.name] = true
		if g.failure != nil {
			if g.failure.Kind.LeftAlone() {
				r.say(g.name, g.failure.Kind, g.failure.Err.Error(), chunk.Remedy(g.failure.Err), 0)
			}
			continue
		}
		r.group(g)
	}
	for name := range r.phase {
		if !seen[name] {
			delete(r.phase, name)
		}
	}
}

func (r *reported) group(g *group) {
	counts := map[Kind]int{}
	deleted := int64(0)
	var examples [7]*Position // beside leftAlone
	for i := range g.positions {
		kind := g.positions[i].Decision.Kind
		counts[kind]++
		deleted += g.positions[i].Decision.Deleted
		for n, k := range leftAlone {
			if k == kind && examples[n] == nil {
				examples[n] = &g.positions[i]
			}
		}
	}
	for n, p := range examples {
		if p != nil && leftAlone[n] == UnreadDeleted {
			r.sayDeleted(g.name, p, deleted, counts[UnreadDeleted])
			return
		}
		if p != nil {
			r.say(g.name, leftAlone[n], p.Decision.Why, remedy(p), counts[leftAlone[n]])
			return
		}
	}
	// Being right is not following: an active group is right as long as the source rests.
	if counts[Moved] > 0 && r.phase[g.name] != "" {
		delete(r.phase, g.name)
		r.log.Info("group follows the source again", "group", g.name)
	}
}

// say mentions a group unless the same was said before.
func (r *reported) say(group string, kind Kind, why, remedy string, partitions int) {
	if r.phase[group] == kind {
		return
	}
	r.phase[group] = kind
	log := r.log.Info
	if kind == Refused || kind == BeforeForeign || kind == OnBothSides {
		log = r.log.Warn
	}
	attrs := []any{"group", group, "kind", string(kind), "partitions", partitions, "why", why}
	if remedy != "" {
		attrs = append(attrs, "remedy", remedy)
	}
	log("group is left alone", attrs...)
}

// sayDeleted tells once that records are lost for a group, while that is so.
func (r *reported) sayDeleted(group string, p *Position, records int64, partitions int) {
	if r.phase[group] == UnreadDeleted {
		return
	}
	r.phase[group] = UnreadDeleted
	r.log.Error("records that a group has not read were deleted on the target", "group", group, "records", records,
		"partitions", partitions, "first", p.Partition, "remedy", DeletedRemedy(p.topic))
}

// DeletedRemedy tells what to do where a topic of the target has lost unread records.
func DeletedRemedy(topic string) string {
	return "raise retention.ms and retention.bytes of topic " + topic + " on the target, so that no more go; let " +
		"the group read what it lacks on the source, which still holds it, before it moves over"
}

func remedy(p *Position) string {
	if p.Decision.Kind == BeyondEnd {
		return BeyondRemedy
	}
	if p.Decision.Kind == OnBothSides {
		return BothSidesRemedy
	}
	if p.Decision.Kind == BeforeForeign {
		return "see what 'replicator status' says would be read again and what skipped"
	}
	return chunk.Remedy(p.Err)
}

// BothSidesRemedy tells what to do about a shared group with members on both sides.
const BothSidesRemedy = "stop the application on one of the sides; its positions there follow again within the sync " +
	"interval. Where these are two applications that happen to have one name, take it out of shared_groups"

// BeyondRemedy tells what to do about a position behind the end of the source's log.
const BeyondRemedy = "see how the group got there (an offset set by hand, or a topic that was made anew with fewer " +
	"records), and set it to an offset within the log on the source, or name the group in exclude_groups"
