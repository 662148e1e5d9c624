package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/preflight"
)

// Migration prints one flow's plan: figures first, then what needs somebody.
func Migration(p *terminal.Printer, m *preflight.Migration) {
	p.Line("flow %s  at %s", m.Flow, m.Taken.Format(time.RFC3339))
	for _, side := range []struct {
		role string
		preflight.MigrationSide
	}{{"source", m.Source}, {"target", m.Target}} {
		p.Line("  %s    %s, cluster id %s, %s", side.role, side.Name, side.ID, terminal.Count(side.Brokers, "broker"))
	}
	t := m.Totals
	p.Line("  topics    %d, %d to create; %s and %s to create on the target", t.Topics, t.Create,
		terminal.Count(t.Partitions, "partition"), terminal.Count(t.Replicas, "replica"))
	p.Line("  to copy   at most %d records, about %s of %s; about %s on the target's disks", t.Records,
		terminal.Size(t.Left), terminal.Size(t.Size), terminal.Size(t.Disk))
	p.Line("  duration  %s", duration(&m.Pace))
	for i := range m.Topics {
		migrationTopic(p, &m.Topics[i])
	}
	for _, r := range m.Rooms {
		if r.Usable >= 0 {
			p.Line("  disk      broker %d: %s of %s left, about %s to come", r.Broker, terminal.Size(&r.Usable),
				terminal.Size(&r.Total), terminal.Size(&r.Needed))
		}
	}
	for _, q := range m.Quotas {
		p.Line("  quota     cluster %s: %s = %g on each broker (%s)", q.Cluster, q.Key, q.Value, q.Entity)
	}
	using(p, "source", m.SourceGroups)
	using(p, "target", m.TargetGroups)
	for _, o := range m.Open {
		p.Line("  open      %s/%d at %d: %s, %s", o.Topic, o.Partition, o.Offset, terminal.OrWord(o.ID,
			"transactional id not known"), o.Verdict)
	}
	for _, a := range m.MissingACLs {
		p.Line("  acl       %s", a.Command)
	}
	report.LeftOut(p, m.LeftOut)
	for _, w := range m.Warnings {
		p.Note("  warning   "+w.Error, w.Remedy)
	}
	for _, w := range m.NotKnown {
		p.Note("  not known: "+w.Error, w.Remedy)
	}
	if n := len(m.Obstacles); n > 0 {
		p.Line("  in the way: %s, see below", terminal.Count(n, "problem"))
	} else {
		p.Line("  nothing is in the way")
	}
}

// duration says how long it takes, and by what rate.
func duration(p *preflight.MigrationPace) string {
	text := "not known"
	if p.Duration != nil {
		text = "about " + (time.Duration(*p.Duration) * time.Second).String()
	}
	switch {
	case p.Bytes != nil:
		n := int64(*p.Bytes)
		text += fmt.Sprintf(" at %s/s", terminal.Size(&n))
	case p.Records != nil:
		text += fmt.Sprintf(" at %.0f records/s", *p.Records)
	}
	if p.Why != "" {
		text += " (" + p.Why + ")"
	}
	return text
}

func migrationTopic(p *terminal.Printer, t *preflight.MigrationTopic) {
	text := fmt.Sprintf("%s, %s, at most %d records, about %s", report.Renamed(t.Topic, t.Target),
		terminal.Count(t.TargetPartitions, "partition"), t.Records, terminal.Size(t.Left))
	if t.ReplicationFactor > 0 {
		text += fmt.Sprintf(", replication factor %d", t.ReplicationFactor)
	}
	p.Line("    %-9s %s", strings.ReplaceAll(t.Action, "_", " "), text)
	if w := t.Writers; w != nil && w.Active > 0 {
		p.Line("              %s still writing, the last record is of %s", terminal.Count(w.Active, "producer"),
			w.Last.UTC().Format(time.RFC3339))
	}
	for _, key := range slices.Sorted(maps.Keys(t.Altered)) {
		if !strings.HasPrefix(key, ownSettings) {
			p.Line("              %s will be %s", key, t.Altered[key])
		}
	}
	for _, d := range t.Differing {
		p.Line("              %s stays different, %s and %s: %s", d.Key, terminal.OrWord(d.Source, `""`),
			terminal.OrWord(d.Target, `""`), d.Why)
	}
}

// using prints who reads.
func using(p *terminal.Printer, side string, groups []preflight.MigrationGroup) {
	for i := range groups {
		g := &groups[i]
		if !g.Active && g.Carries {
			continue
		}
		text := fmt.Sprintf("%s on the %s: %s, %s, %s", g.Group.Group, side, g.Type, g.State, terminal.Count(g.Members,
			"member"))
		if len(g.Clients) > 0 {
			text += " (" + terminal.Few(g.Clients) + ")"
		}
		if !g.Carries {
			text += ", not carried"
		}
		p.Line("  group     %s", text)
	}
}
