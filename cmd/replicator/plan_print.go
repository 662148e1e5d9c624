package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/preflight"
)

// migration prints one flow's plan: figures first, then what needs somebody.
func (p *printer) migration(m *preflight.Migration) {
	p.line("flow %s  at %s", m.Flow, m.Taken.Format(time.RFC3339))
	for _, side := range []struct {
		role string
		preflight.MigrationSide
	}{{"source", m.Source}, {"target", m.Target}} {
		p.line("  %s    %s, cluster id %s, %s", side.role, side.Name, side.ID, count(side.Brokers, "broker"))
	}
	t := m.Totals
	p.line("  topics    %d, %d to create; %s and %s to create on the target", t.Topics, t.Create,
		count(t.Partitions, "partition"), count(t.Replicas, "replica"))
	p.line("  to copy   at most %d records, about %s of %s; about %s on the target's disks", t.Records, size(t.Left),
		size(t.Size), size(t.Disk))
	p.line("  duration  %s", duration(&m.Pace))
	for i := range m.Topics {
		p.migrationTopic(&m.Topics[i])
	}
	for _, r := range m.Rooms {
		if r.Usable >= 0 {
			p.line("  disk      broker %d: %s of %s left, about %s to come", r.Broker, size(&r.Usable), size(&r.Total),
				size(&r.Needed))
		}
	}
	for _, q := range m.Quotas {
		p.line("  quota     cluster %s: %s = %g on each broker (%s)", q.Cluster, q.Key, q.Value, q.Entity)
	}
	p.using("source", m.SourceGroups)
	p.using("target", m.TargetGroups)
	for _, o := range m.Open {
		p.line("  open      %s/%d at %d: %s, %s", o.Topic, o.Partition, o.Offset, orWord(o.ID, "transactional id not known"),
			o.Verdict)
	}
	for _, a := range m.MissingACLs {
		p.line("  acl       %s", a.Command)
	}
	p.leftOut(m.LeftOut)
	for _, w := range m.Warnings {
		p.note("  warning   "+w.Error, w.Remedy)
	}
	for _, w := range m.NotKnown {
		p.note("  not known: "+w.Error, w.Remedy)
	}
	if n := len(m.Obstacles); n > 0 {
		p.line("  in the way: %s, see below", count(n, "problem"))
	} else {
		p.line("  nothing is in the way")
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
		text += fmt.Sprintf(" at %s/s", size(&n))
	case p.Records != nil:
		text += fmt.Sprintf(" at %.0f records/s", *p.Records)
	}
	if p.Why != "" {
		text += " (" + p.Why + ")"
	}
	return text
}

func (p *printer) migrationTopic(t *preflight.MigrationTopic) {
	text := fmt.Sprintf("%s, %s, at most %d records, about %s", renamed(t.Topic, t.Target),
		count(t.TargetPartitions, "partition"), t.Records, size(t.Left))
	if t.ReplicationFactor > 0 {
		text += fmt.Sprintf(", replication factor %d", t.ReplicationFactor)
	}
	p.line("    %-9s %s", strings.ReplaceAll(t.Action, "_", " "), text)
	if w := t.Writers; w != nil && w.Active > 0 {
		p.line("              %s still writing, the last record is of %s", count(w.Active, "producer"),
			w.Last.UTC().Format(time.RFC3339))
	}
	for _, key := range slices.Sorted(maps.Keys(t.Altered)) {
		if !strings.HasPrefix(key, ownSettings) {
			p.line("              %s will be %s", key, t.Altered[key])
		}
	}
	for _, d := range t.Differing {
		p.line("              %s stays different, %s and %s: %s", d.Key, orWord(d.Source, `""`), orWord(d.Target, `""`),
			d.Why)
	}
}

// using prints who reads.
func (p *printer) using(side string, groups []preflight.MigrationGroup) {
	for i := range groups {
		g := &groups[i]
		if !g.Active && g.Carries {
			continue
		}
		text := fmt.Sprintf("%s on the %s: %s, %s, %s", g.Group.Group, side, g.Type, g.State, count(g.Members, "member"))
		if len(g.Clients) > 0 {
			text += " (" + few(g.Clients) + ")"
		}
		if !g.Carries {
			text += ", not carried"
		}
		p.line("  group     %s", text)
	}
}

// size prints bytes; nil is not known.
func size(n *int64) string {
	if n == nil {
		return "an unknown size"
	}
	value, unit := float64(*n), "B"
	for _, u := range byteUnits {
		if float64(*n) >= u.size {
			value, unit = float64(*n)/u.size, u.name
		}
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", *n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
