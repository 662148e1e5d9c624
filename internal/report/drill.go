package report

import (
	"fmt"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/drill"
)

const (
	drillIndent = "            "
	// drillLines is how many of a kind are printed: JSON has all.
	drillLines = 20
)

// Drill prints what a drill has found, most important last.
func Drill(p *terminal.Printer, r *drill.Report) {
	p.Line("flow        %s", r.Flow)
	p.Line("program     %s", r.Program)
	p.Line("source      %s, cluster id %s", r.Source.Name, r.Source.ID)
	p.Line("target      %s, cluster id %s", r.Target.Name, r.Target.ID)
	p.Line("now         %s", r.Taken.Format(time.RFC3339))
	for _, s := range r.RTO.Steps {
		word := "drill   "
		if s.Failover {
			word = "failover"
		}
		failed := ""
		if s.Failed {
			failed = ", which failed"
		}
		p.Line("step        %-8s %s %8s  %s%s", s.Step, word, seconds(s.Seconds), s.Does, failed)
	}
	for _, t := range r.RPO.Topics {
		if t.Records+t.Open > 0 || t.Unknown > 0 {
			p.Wrapped(drillIndent, "not copied  %s", lossOf(&t))
		}
	}
	p.Line("compared    the last records of each partition: %d are alike, %d differ, %d cannot be compared",
		r.Compared.Alike, r.Compared.Differs, r.Compared.Unknown)
	receipts(p, r.Groups)
	for _, a := range r.Missing[:min(len(r.Missing), drillLines)] {
		p.Wrapped(drillIndent, "acl missing %s", a.Command)
	}
	for _, w := range r.Warnings[:min(len(r.Warnings), drillLines)] {
		p.Wrapped(drillIndent, "warning     %s", remedied(w.Error, w.Remedy))
	}
	for _, reason := range r.Reasons[:min(len(r.Reasons), drillLines)] {
		p.Wrapped(drillIndent, "not ready   %s", reason.String())
		if reason.Remedy != "" {
			p.Wrapped(drillIndent, "  remedy    %s", reason.Remedy)
		}
	}
	if more := len(r.Reasons) - drillLines; more > 0 {
		p.Line("not ready   and %d more: see --json", more)
	}
	open := ""
	if r.RPO.Open > 0 {
		open = fmt.Sprintf(", and up to %d records of open transactions", r.RPO.Open)
	}
	p.Line("rpo         %s: up to %d records are not copied%s", seconds(r.RPO.Seconds), r.RPO.Records, open)
	p.Line("rto         %s, the sum of the failover's own steps", seconds(r.RTO.Seconds))
	verdict := "ready"
	if r.Verdict != drill.Ready {
		verdict = "not ready"
	}
	p.Line("verdict     %s", verdict)
}

// receipts prints those that are not exact at once, and counts the others.
func receipts(p *terminal.Printer, list []drill.Receipt) {
	exactly, inFlight, printed := 0, 0, 0
	for i := range list {
		r := &list[i]
		switch {
		case r.Exactly:
			exactly++
			continue
		case r.InFlight:
			inFlight++
		}
		if printed++; printed <= drillLines {
			p.Wrapped(drillIndent, "receipt     %s in %s/%d: at %d on the source, exactly %s on the target, stands at %s; "+
				"reads again %s, loses %s", r.Group, r.Topic, r.Partition, r.Source, terminal.OrDash(r.Exact),
				terminal.OrDash(r.Stands), terminal.OrDash(r.ReadAgain), terminal.OrDash(r.Lost))
		}
	}
	if more := printed - drillLines; more > 0 {
		p.Line("receipt     and %d more: see --json", more)
	}
	p.Line("groups      %d of %d positions stand exactly, %d are in flight", exactly, len(list), inFlight)
}

func lossOf(t *drill.TopicRPO) string {
	text := fmt.Sprintf("%s: up to %d records, the oldest %s old", t.Topic, t.Records, seconds(t.Seconds))
	if t.Open > 0 {
		text += fmt.Sprintf("; %d offsets behind an open transaction", t.Open)
	}
	if t.Unknown > 0 {
		text += fmt.Sprintf("; %d partitions are not known", t.Unknown)
	}
	return text
}

func remedied(what, remedy string) string {
	if remedy == "" {
		return what
	}
	return what + "; " + remedy
}

func seconds(s float64) string { return fmt.Sprintf("%.3f s", s) }
