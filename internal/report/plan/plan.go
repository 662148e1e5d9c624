package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/topics"
)

// Flow prints one flow's dry run.
func Flow(p *terminal.Printer, plan *preflight.FlowPlan) {
	p.Line("flow %s", plan.Flow)
	for _, c := range []struct {
		role string
		preflight.ClusterSeen
	}{{"source", plan.Source}, {"target", plan.Target}} {
		p.Line("  %s    %s, cluster id %s, %s", c.role, c.Name, c.ID, terminal.Count(c.Brokers, "broker"))
	}
	ledger := "would be created with"
	if plan.Ledger.Exists {
		ledger = "is there with"
	}
	p.Line("  ledger    %s %s %s", plan.Ledger.Topic, ledger, terminal.Count(plan.Ledger.Shards, "shard"))
	for _, warning := range plan.Warnings {
		p.Line("  warning   %s", warning)
	}
	printTopics(p, plan)
	printSkipped(p, plan.Skipped)
	printGroups(p, plan)
	if n := len(plan.InTheWay()); n > 0 {
		p.Line("  in the way: %s, see below", terminal.Count(n, "problem"))
	} else {
		p.Line("  nothing is in the way")
	}
}

func printTopics(p *terminal.Printer, plan *preflight.FlowPlan) {
	var behind int64
	for i := range plan.Topics {
		behind += plan.Topics[i].Behind
	}
	p.Line("  topics    %d selected, at most %d records to copy", len(plan.Topics), behind)
	for i := range plan.Topics {
		t := &plan.Topics[i]
		p.Line("    %-9s %s", t.Verdict(), what(t))
		printSettings(p, t)
		for _, left := range t.Left {
			p.Line("              %s is not copied: %s", terminal.OrWord(left.Key, "settings"), left.Why)
		}
	}
}

// ownSettings are given to every new topic, so that they share a line: records keep their
// timestamps, and none is refused for its timestamp.
const ownSettings = "message.timestamp."

// printSettings prints what would be set on a topic, and what the flow has set on it before.
func printSettings(p *terminal.Printer, t *preflight.TopicPlan) {
	var own, before []string
	for _, key := range slices.Sorted(maps.Keys(t.Set)) {
		was, altered := t.From[key]
		switch {
		case altered:
			p.Line("              %s: %s -> %s", key, terminal.OrWord(was, `""`), t.Set[key])
		case strings.HasPrefix(key, ownSettings):
			own = append(own, key+"="+t.Set[key])
		default:
			p.Line("              %s: %s", key, t.Set[key])
		}
	}
	for _, b := range t.Kept {
		was, then := terminal.OrWord(b.Was, `""`), "was %s"
		if b.Default {
			was = "not set"
		}
		if b.Source {
			then = "%s on the source"
		}
		before = append(before, fmt.Sprintf("%s=%s (%s)", b.Key, b.Set, fmt.Sprintf(then, was)))
	}
	if len(own) > 0 {
		p.Line("              while it is mirrored: %s", strings.Join(own, ", "))
	}
	if len(before) > 0 {
		p.Line("              set by this flow, until it ends: %s", strings.Join(before, ", "))
	}
}

func what(t *preflight.TopicPlan) string {
	text := report.Renamed(t.Source, t.Target)
	if t.Stop != nil {
		return text + ": " + t.Stop.Reason
	}
	partitions := terminal.Count(t.PartitionsTo, "partition")
	switch {
	case t.Create:
		partitions += fmt.Sprintf(", replication factor %d", t.ReplicationFactor)
	case t.PartitionsFrom != t.PartitionsTo:
		partitions = fmt.Sprintf("partitions %d -> %d", t.PartitionsFrom, t.PartitionsTo)
	}
	text += ", " + partitions
	switch {
	case t.Behind == 0:
		text += ", nothing to copy"
	case t.Begun:
		text += fmt.Sprintf(", at most %d more records", t.Behind)
	default:
		text += fmt.Sprintf(", at most %d records", t.Behind)
	}
	return text
}

// printSkipped prints what is left out; many internal topics have one reason.
func printSkipped(p *terminal.Printer, skipped []topics.Skip) {
	by := map[string][]string{}
	for _, s := range skipped {
		by[s.Why] = append(by[s.Why], s.Topic)
	}
	if len(skipped) > 0 {
		p.Line("  left out  %s", terminal.Count(len(skipped), "topic"))
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		p.Line("    %s: %s", why, terminal.Few(by[why]))
	}
}

func printGroups(p *terminal.Printer, plan *preflight.FlowPlan) {
	p.Line("  groups    %d of %d follow", len(plan.Groups), plan.GroupsListed)
	report.LeftOut(p, slices.DeleteFunc(slices.Clone(plan.LeftOut), func(l inspect.LeftOut) bool {
		return l.Kind != policy.Groups // topics are among plan.Skipped
	}))
	for i := range plan.Groups {
		g := &plan.Groups[i]
		if g.Err != nil {
			p.Line("    STOP      %s: cannot be read", g.Group)
			continue
		}
		p.Line("    %-9s %s, %s", "follow", report.Renamed(g.Group, g.Target), terminal.Count(g.Positions, "position"))
		for _, why := range slices.Sorted(maps.Keys(g.Alone)) {
			p.Line("              %s left alone: %s", terminal.Count(g.Alone[why], "position"), why)
		}
	}
}
