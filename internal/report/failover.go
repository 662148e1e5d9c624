package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/failover"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/replicate/handover"
)

// FailedOver says what is known of a failover, or would be, and what may start; before: it was done by a command
// before this one.
func FailedOver(w io.Writer, r *failover.Report, before bool) error {
	p := terminal.NewPrinter(w)
	from, to, _ := strings.Cut(r.Record.Flow, "->")
	if before {
		p.Line("nothing is to be done: flow %s failed over before", r.Record.Flow)
	}
	said(p, r, from, before)
	lost(p, r, from, to)
	stood(p, r, from, to)
	for _, open := range r.Record.Open {
		p.Note("! readers on "+to+" wait at an open transaction of somebody else: "+open,
			"its owner ends it, or the cluster at its time-out; kafka-transactions.sh abort ends it at once")
	}
	if r.Record.State == handover.Done {
		p.Line("done at %s (%s): applications may start on %s, where %d partitions and %d groups stand",
			r.Record.Ended.Format(time.RFC3339), r.Record.ID, to, r.Record.Partitions, r.Record.Groups)
	}
	return p.Err()
}

// said tells what the source said, or had said before.
func said(p *terminal.Printer, report *failover.Report, from string, before bool) {
	r := &report.Record
	if before {
		p.Wrapped("  ", "what follows was found at %s", r.Ended.Format(time.RFC3339))
	}
	switch r.Source {
	case handover.Silent:
		p.Wrapped("  ", "%s does not answer: %s", from, r.Why)
	case handover.Partly:
		p.Wrapped("  ", "%s answers in part: %s", from, r.Why)
	case handover.Another:
		p.Wrapped("  ", "%s is not asked: %s", from, r.Why)
	case handover.Whole:
		if report.Closed {
			p.Wrapped("  ", "%s answers, and the flow is closed: 'replicator failback' opens it again", from)
			return
		}
		p.Wrapped("  ", "%s answers: 'replicator cutover' would lose nothing", from)
	}
}

// lost tells what is known of the loss.
func lost(p *terminal.Printer, r *failover.Report, from, to string) {
	switch {
	case r.Record.EndsUnknown == 0:
		p.Wrapped("  ", "of what was seen on %s at most %d offsets are not on %s", from, r.Record.NotCopied, to)
	case r.Record.EndsUnknown == r.Record.Partitions:
		p.Wrapped("  ", "how many records of %s are not on %s is not known: nobody has seen where its %s ended", from, to,
			terminal.Count(r.Record.Partitions, "partition"))
	default:
		p.Wrapped("  ", "of what was seen on %s at most %d offsets are not on %s; of %d of %s nobody has seen where they "+
			"ended", from, r.Record.NotCopied, to, r.Record.EndsUnknown, terminal.Count(r.Record.Partitions, "partition"))
	}
	if r.Record.Opposite != "" && r.Record.NotCopied > 0 {
		p.Wrapped("  ", "among them is what flow %s brought to %s since: that is no loss, %s has it",
			r.Record.Opposite, from, to)
	}
	if since := r.Record.NotCopiedSince; !since.IsZero() {
		p.Wrapped("  ", "what was not copied is younger than %s", since.Format(time.RFC3339))
	}
	if !r.Record.SeenAt.IsZero() {
		p.Wrapped("  ", "what came to %s after %s may be lost as well, and is not counted: not all of it was seen later "+
			"than that (LAST SEEN, by topic)", from, r.Record.SeenAt.Format(time.RFC3339))
	}
	if len(r.Topics) == 0 {
		return
	}
	rows := [][]string{{"TOPIC", "PARTITIONS", "NOT COPIED", "IN OPEN TRANSACTIONS", "YOUNGER THAN", "LAST SEEN"}}
	for i := range r.Topics {
		t := &r.Topics[i]
		records, unknown := t.NotCopied()
		rows = append(rows, []string{t.Topic, fmt.Sprint(len(t.Progress)), orUnknown(records, unknown, len(t.Progress)),
			orUnknown(t.Open(), unknown, len(t.Progress)), when(t.NotCopiedSince, "-"), when(t.SeenAt, "never")})
	}
	p.Line("")
	p.Table(rows, nil)
}

// when is a time, or a word where it is not known.
func when(at time.Time, otherwise string) string {
	if at.IsZero() {
		return otherwise
	}
	return at.Format(time.RFC3339)
}

// orUnknown is a sum over some of all, of which so many are not known.
func orUnknown(sum int64, unknown, all int) string {
	switch unknown {
	case 0:
		return fmt.Sprint(sum)
	case all:
		return "?"
	}
	return fmt.Sprintf("%d+?", sum)
}

// stood tells where groups stand.
func stood(p *terminal.Printer, r *failover.Report, from, to string) {
	if len(r.Groups) == 0 {
		p.Line("no group has a position on %s", to)
		return
	}
	rows := [][]string{{"GROUP", "POSITIONS", "LAG ON TARGET", "PUT BY THE FLOW", "MEMBERS"}}
	notes := map[int]string{}
	for i := range r.Groups {
		g := &r.Groups[i]
		lag, unknown := g.Lag()
		ours := 0
		for _, at := range g.Positions {
			if at.Source >= 0 {
				ours++
			}
		}
		rows = append(rows, []string{g.Group, fmt.Sprint(len(g.Positions)), orUnknown(lag, unknown, len(g.Positions)),
			fmt.Sprint(ours), fmt.Sprint(g.Members)})
		switch {
		case g.Error != "":
			notes[len(rows)-1] = g.Error
		case len(g.Nowhere) > 0:
			notes[len(rows)-1] = "no position in " + terminal.Few(g.Nowhere) +
				": its auto.offset.reset decides what it reads there"
		}
	}
	p.Line("")
	p.Table(rows, notes)
	p.Wrapped("  ", "a group reads next on %s exactly what followed its last position on %s that was seen; what it has "+
		"read there since it reads again, at most its lag: how much that is, %s alone knows", to, from, from)
}

// HadRead says which groups had read orphans.
func HadRead(w io.Writer, groups []failback.HadRead, from, to string) {
	p := terminal.NewPrinter(w)
	for _, g := range groups {
		p.Wrapped("      ", "  group %s had read %s of these on %s: with --orphans append it reads them again on %s", g.Group,
			records(g.Records), from, to)
	}
}

// FailedBack says what became of a failback.
func FailedBack(w io.Writer, r handover.Failover, kept *orphans.Kept, left []string) error {
	p := terminal.NewPrinter(w)
	from, to, _ := strings.Cut(r.Flow, "->")
	if r.State != handover.FailedBack {
		return p.Err()
	}
	if kept != nil && kept.File != "" {
		p.Line("written to %s, sha256 %s", kept.File, kept.SHA256)
	}
	if kept != nil && kept.Written != nil {
		replayed(p, to, *kept.Written)
	}
	if len(left) > 0 {
		p.Wrapped("  ", "groups at work on %s, whose positions there are left as they are: %s", from, terminal.Few(left))
	}
	p.Wrapped("  ", "flow %s is open again since %s (%s): 'replicator run' goes on with it", r.Flow,
		r.FailedBack.Format(time.RFC3339), r.ID)
	switch r.Orphans {
	case "append":
		p.Wrapped("  ", "the %d records of %s that were never copied come to %s, behind what it holds by now", r.OrphansFound,
			from, to)
	case "export", "abandon":
		p.Wrapped("  ", "the %d records of %s that were never copied are given up: they stay there alone, and "+
			"applications that go back to %s go on behind them", r.OrphansFound, from, from)
	}
	return p.Err()
}
