package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/partition"
)

// flow prints one flow: what needs somebody first, then the tables.
func flow(p *terminal.Printer, s *inspect.FlowStatus) {
	heading(p, s)
	for _, n := range attention(s, false) {
		p.Note(n.fact, n.remedy)
	}
	partitions(p, s)
	positions(p, s)
	report.LeftOut(p, s.LeftOut)
}

// heading is the flow in a few words.
func heading(p *terminal.Printer, s *inspect.FlowStatus) {
	p.Wrapped("    ", "flow %s  %s  at %s", s.Flow, headline(s), s.Taken.Format(time.RFC3339))
	if len(s.Pair) > 0 {
		p.Wrapped("    ", "    a pair with flow %s: each leaves out what the other brought", strings.Join(s.Pair, ", "))
	}
}

// headline says how far the flow is.
func headline(s *inspect.FlowStatus) string {
	var parts []string
	behind := fmt.Sprintf("%d records behind", s.Behind)
	switch {
	case s.CaughtUp:
		parts = append(parts, "caught up")
	case len(s.Partitions) == 0:
		parts = append(parts, "NOTHING IS SELECTED")
	case s.SourceAway:
		parts = append(parts, "SOURCE AWAY")
	case s.EndsUnknown > 0:
		parts = append(parts, "at least "+behind, terminal.Count(s.EndsUnknown, "partition")+" of UNKNOWN lag")
	default:
		parts = append(parts, behind)
	}
	if s.Stopped > 0 {
		parts = append(parts, fmt.Sprintf("%d STOPPED", s.Stopped))
	}
	if s.UnreadDeleted > 0 {
		parts = append(parts, fmt.Sprintf("%d UNREAD RECORDS DELETED ON THE TARGET", s.UnreadDeleted))
	}
	switch {
	case s.Replicas == nil:
		parts = append(parts, "replicas not known")
	case *s.Replicas == 0:
		parts = append(parts, "NO REPLICA RUNS")
	default:
		parts = append(parts, terminal.Count(*s.Replicas, "replica"))
	}
	return strings.Join(parts, ", ")
}

// remark is a fact that an operator has to know, and what to do.
type remark struct{ fact, remedy string }

// attention is what an operator has to know or do; each: of every partition what happened there, not of topics.
func attention(s *inspect.FlowStatus, each bool) (list []remark) {
	note := func(fact, remedy string) { list = append(list, remark{fact, remedy}) }
	start := "start one with 'replicator run'"
	if noteProblems(s, true, note) { // first: what is said to do about others may not help before
		start = "see to what is said above, then " + start
	}
	if s.SourceAway {
		start = "once the source answers, " + start
	}
	closed := s.Closed()
	switch {
	case closed != nil:
		note("! "+closed.Error(), closed.Remedy())
	case s.Replicas != nil && *s.Replicas == 0:
		note("! nothing moves: no replica runs this flow", start)
	case s.Replicas != nil && len(s.Unowned) > 0:
		var shards []string
		for _, shard := range s.Unowned {
			shards = append(shards, fmt.Sprint(shard))
		}
		note(fmt.Sprintf("! %s of %d belong to no replica, and nothing of them moves: %s", terminal.Count(len(s.Unowned),
			"shard"), s.Shards, terminal.Few(shards)), "look at the logs of the replicas: "+hosts(s.Members))
	}
	noteSeen(s, note)
	if s.Shards == 0 && (s.Replicas == nil || *s.Replicas == 0) {
		note("! the flow has never run: there is no ledger topic "+s.Ledger+" on the target", "")
	}
	for _, same := range together(s.Partitions) {
		one, since := same[0], ""
		if one.StoppedSince != nil {
			since = " since " + one.StoppedSince.Format(time.RFC3339)
		}
		var numbers []string
		for _, p := range same {
			numbers = append(numbers, fmt.Sprint(p.Partition))
		}
		reason := one.Reason
		if slices.ContainsFunc(same, func(p *inspect.PartitionStatus) bool { return p.Reason != reason }) {
			reason += " (the others alike)"
		}
		note(fmt.Sprintf("! %s/%s %s%s: %s", one.Topic, terminal.Few(numbers), word(one.Phase), since, reason), one.Remedy)
	}
	noteProblems(s, false, note)
	noteCutover(s, note)
	for _, warning := range s.Warnings {
		note("! "+warning.Error, warning.Remedy)
	}
	return append(list, histories(s, each)...)
}

// noteSeen notes what was last seen of what the source does not tell now.
func noteSeen(s *inspect.FlowStatus, note func(fact, remedy string)) {
	last := s.LastSeen
	if last == nil {
		return
	}
	if last.Seen != nil {
		fact := fmt.Sprintf("! when the source was last seen, at %s, %s", last.Seen.Format(time.RFC3339),
			"it held nothing that was not copied")
		if last.Behind > 0 || last.Open > 0 {
			fact = fmt.Sprintf("! when the source was last seen, at %s, up to %d records were not copied", last.Seen.
				Format(time.RFC3339), last.Behind)
			if last.Since != nil {
				fact += ", younger than " + last.Since.Format(time.RFC3339)
			}
			if last.Open > 0 {
				fact += fmt.Sprintf("; open transactions held %d offsets", last.Open)
			}
		}
		note(fact+". What came later is not known", "")
	}
	if last.Never > 0 {
		note(fmt.Sprintf("! of %s it was never noted where the source ends", terminal.Count(last.Never, "partition")), "")
	}
}

// noteProblems notes those that last, or the others, and says whether there is any.
func noteProblems(s *inspect.FlowStatus, lasting bool, note func(fact, remedy string)) (any bool) {
	for _, problem := range s.Problems {
		if problem.Lasting == lasting {
			note("! "+problem.Error, problem.Remedy)
			any = true
		}
	}
	return any
}

// hosts are where the replicas are, each once.
func hosts(members []snapshot.Replica) string {
	var list []string
	for _, m := range members {
		list = append(list, m.Host)
	}
	slices.Sort(list)
	return terminal.Few(slices.Compact(list))
}

// together groups the partitions of a topic that have one reason not to be copied, but for
// partitions and offsets in it.
func together(partitions []inspect.PartitionStatus) [][]*inspect.PartitionStatus {
	var groups [][]*inspect.PartitionStatus
	for i := range partitions {
		one := &partitions[i]
		if one.Reason == "" {
			continue
		}
		alike := func(same []*inspect.PartitionStatus) bool {
			first := same[0]
			return first.Topic == one.Topic && first.Phase == one.Phase && first.Remedy == one.Remedy &&
				(one.Remedy != "" || first.Reason == one.Reason)
		}
		if n := slices.IndexFunc(groups, alike); n >= 0 {
			groups[n] = append(groups[n], one)
			continue
		}
		groups = append(groups, []*inspect.PartitionStatus{one})
	}
	return groups
}

// word is a phase as people say it.
func word(phase partition.Phase) string { return strings.ReplaceAll(string(phase), "_", " ") }

// partitions prints the table of partitions. Numbers are not grouped by thousands:
// they are to be pasted into other commands.
func partitions(p *terminal.Printer, s *inspect.FlowStatus) {
	if len(s.Partitions) == 0 {
		p.Line("no partition of the source is selected")
		return
	}
	rows := [][]string{{"PARTITION", "SOURCE END", "PROGRESS", "BEHIND", "TARGET END", "STATE"}}
	for i := range s.Partitions {
		one := &s.Partitions[i]
		end, behind := fmt.Sprint(one.SourceEnd), fmt.Sprint(one.Behind)
		switch {
		case one.EndsUnknown && one.LastSeen != nil: // there may be more by now
			end, behind = fmt.Sprintf(">=%d", one.LastSeen.SourceEnd), fmt.Sprintf(">=%d", one.LastSeen.Behind)
		case one.EndsUnknown:
			end, behind = "?", "?"
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s/%d", one.Topic, one.Partition), end, terminal.OrDash(one.Progress), behind,
			terminal.OrDash(one.TargetEnd),
			word(one.Phase),
		})
	}
	p.Table(rows, nil, 4, 1)
}

// positions prints the table of groups.
func positions(p *terminal.Printer, s *inspect.FlowStatus) {
	if len(s.Groups) == 0 {
		return
	}
	rows := [][]string{{"GROUP", "SOURCE", "LAG", "TRANSLATION", "RULE", "TARGET", "LAG", "STATE"}}
	notes := map[int]string{} // by the row that they stand below
	for i := range s.Groups {
		g := &s.Groups[i]
		lives, more := report.Lives(s.Flow, g)
		rows = append(rows, []string{report.Renamed(g.Group, g.Target) + lives})
		notes[len(rows)-1] = more
		if g.Error != "" {
			notes[len(rows)-1] = "! " + g.Error
			if g.Remedy != "" {
				notes[len(rows)-1] += "\nremedy: " + g.Remedy
			}
		}
		var nowhere []string
		for _, at := range g.Nowhere {
			nowhere = append(nowhere, fmt.Sprintf("%s/%d at %d", at.Topic, at.Partition, at.Source))
		}
		if len(nowhere) > 0 {
			notes[len(rows)-1] += "\nthe source has no such partition, so nothing is carried over: " + terminal.Few(nowhere)
		}
		said := ""
		for j := range g.Positions {
			one := &g.Positions[j]
			source, lag := fmt.Sprint(one.Source), fmt.Sprint(one.SourceLag)
			if one.SourceUnknown {
				lag = "?"
				if one.State == string(groups.ForeignCommit) || one.Translation == nil && one.Source == 0 {
					source = "?"
				}
			}
			rows = append(rows, []string{
				fmt.Sprintf("  %s/%d", one.Topic, one.Partition), source, lag,
				terminal.OrDash(one.Translation), terminal.OrWord(one.Rule, "-"), terminal.OrDash(one.Target),
				terminal.OrDash(one.TargetLag),
				one.Standing(),
			})
			if why := report.Why(one); why != said && why != "" {
				notes[len(rows)-1] = why
				said = why
			}
		}
	}
	p.Line("")
	p.Table(rows, notes, 4, 3, 2)
}

// noteCutover tells of the latest cutover of a flow.
func noteCutover(s *inspect.FlowStatus, note func(fact, remedy string)) {
	c := s.Cutover
	if c == nil {
		return
	}
	from, to, _ := strings.Cut(s.Flow, "->")
	switch {
	case c.TakesBack != "" && c.State == handover.Begun:
		note(fmt.Sprintf("! the rollback of cutover %s was begun at %s and has not come to its end", c.TakesBack,
			c.Begun.Format(time.RFC3339)), "give 'replicator rollback' of flow "+to+"->"+from+" again, which goes on")
	case c.TakesBack != "" && c.State == handover.Done:
		note(fmt.Sprintf("  the way back of cutover %s was done at %s", c.TakesBack, c.Ended.Format(time.RFC3339)), "")
	case c.State == handover.Begun:
		note(fmt.Sprintf("! cutover %s was begun at %s and has not come to its end", c.ID, c.Begun.Format(time.RFC3339)),
			"give 'replicator cutover' again, which goes on, or with --undo; where 'replicator failback --return' of flow "+
				to+"->"+from+" began it, give that again")
	case c.State == handover.Done:
		note("  "+report.CutWords(c, from, to), "")
		for _, what := range c.GivenUp {
			note("  given up by it: "+what, "")
		}
	case c.State == handover.RolledBack:
		note(fmt.Sprintf("  cutover %s was taken back by a rollback", c.ID), "")
	case c.State == handover.Undone:
		note(fmt.Sprintf("  cutover %s was undone: the flow counts as not cut over", c.ID), "")
	}
}
