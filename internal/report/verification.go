package report

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
)

// Verification prints what was found, most important last.
func Verification(p *terminal.Printer, v *verify.Report) {
	p.Line("flow        %s", v.Flow)
	p.Line("program     %s", v.Program)
	p.Line("source      %s, cluster id %s", v.Source.Name, v.Source.ID)
	p.Line("target      %s, cluster id %s", v.Target.Name, v.Target.ID)
	if v.Filters.Topics != "" {
		p.Line("only        topics %q", v.Filters.Topics)
	}
	since := "all that was copied"
	if v.Since != nil {
		since = "from " + v.Since.Format(time.RFC3339)
	}
	p.Line("compared    %d records of %d partitions, %s up to %s", v.Compared, len(v.Partitions), since,
		v.Taken.Format(time.RFC3339))
	for _, one := range v.Partitions {
		differences(p, &one)
		if one.State == partition.PhaseStopped {
			p.Wrapped("            ", "stopped     %s/%d: %s", one.Topic, one.Partition, one.Reason)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(v.Unverified)) {
		p.Line("not checked %d records: %s", v.Unverified[reason], reason)
	}
	if lost := v.KnownLost - v.GivenUp; lost > 0 {
		p.Line("known lost  at most %d records: the source deleted them before they were copied", lost)
	}
	if v.GivenUp > 0 {
		p.Line("given up    %s", givenUp(v))
	}
	if v.NotCopied > 0 {
		p.Line("not copied  %d offsets, at that time", v.NotCopied)
	}
	right, all := 0, 0
	for _, g := range v.Groups {
		for _, at := range g.Positions {
			if all++; at.Standing() == "right" {
				right++
			}
			if at.UnreadDeleted > 0 || at.UnreadDeletedOnBoth > 0 {
				p.Line("unread      group %s in %s/%d: %s", g.Group, at.Topic, at.Partition, Why(&at))
			} else if at.Skips != nil {
				p.Line("skips       group %s in %s/%d: %s", g.Group, at.Topic, at.Partition, at.Skips.Why)
			}
		}
	}
	p.Line("groups      %d of %d positions stand right", right, all)
	LeftOut(p, v.LeftOut)
	LeftOut(p, v.NotCompared)
	doubts(p, v.Incomplete)
	p.Line("found       %d missing, %d changed, %d out of order, %d extra, %d extra and noted as somebody else's",
		v.Missing, v.Changed, v.OutOfOrder, v.Extra, v.Foreign)
	p.Line("verdict     %s", v.Verdict)
}

// givenUp says how many records were given up, and by which verb as far as that tells.
func givenUp(v *verify.Report) string {
	for _, one := range v.Partitions {
		for _, g := range one.GivenUp {
			if !g.Counted() {
				return fmt.Sprintf("at most %d records, by 'replicator resume' or 'replicator failback'", v.GivenUp)
			}
		}
	}
	return fmt.Sprintf("%d records, by 'replicator failback'", v.GivenUp)
}

// doubts prints the first reasons why a verification is incomplete.
func doubts(p *terminal.Printer, list []verify.Doubt) {
	const most = 20
	for i, d := range list[:min(len(list), most)] {
		p.Wrapped("            ", "%s", "incomplete  "+d.String())
		if d.Remedy != "" && (i == 0 || d.Remedy != list[i-1].Remedy) {
			p.Wrapped("            ", "%s", "  remedy    "+d.Remedy)
		}
	}
	if more := len(list) - most; more > 0 {
		p.Line("incomplete  and %d more: see --json", more)
	}
}

// differences prints those of one partition.
func differences(p *terminal.Printer, one *verify.Partition) {
	at := chunk.Partition{Topic: one.Topic, Number: one.Partition}
	listed := int64(0)
	for _, d := range one.Differences {
		listed += d.Records
		place := ""
		if d.Source != nil {
			place += fmt.Sprintf(" source %d", *d.Source)
		}
		if d.Target != nil {
			place += fmt.Sprintf(" target %d", *d.Target)
		}
		if d.Found != nil {
			place += fmt.Sprintf(" found at %d", *d.Found)
		}
		if d.Records > 1 {
			place += fmt.Sprintf(" and %d more", d.Records-1)
		}
		for _, field := range d.Fields {
			place += " " + field
		}
		p.Line("%-11s %s%s: %s", d.Kind, at, place, d.Why)
	}
	if more := one.Counts.Differences() - listed; more > 0 {
		p.Line("            %s: and %d more", at, more)
	}
}
