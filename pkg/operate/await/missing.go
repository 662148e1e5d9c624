package await

import (
	"cmp"
	"fmt"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
)

// undrained is the first thing for which the source is not drained.
func undrained(d *inspect.DrainedStatus) gap {
	if len(d.Cuts) > 0 {
		cut := d.Cuts[0]
		return gap{cut.String(), cut.Undecided, cut.Remedy}
	}
	for _, g := range d.Groups {
		switch {
		case g.Error != "":
			return gap{fmt.Sprintf("group %s: %s", g.Group, g.Error), true, g.Remedy}
		case g.Lag > 0:
			return coming("group %s has not read up to %d records of %d partitions on the source%s", g.Group, g.Lag,
				g.Behind, g.LostThere())
		case g.Open > 0:
			return gap{missing: fmt.Sprintf("group %s %s", g.Group, g.OpenBehind()), remedy: chunk.OpenRemedy}
		}
	}
	return gap{}
}

// agedGap is the first thing for which the source holds what the target lacks.
func agedGap(d *inspect.DrainedStatus) gap {
	for _, t := range d.Topics {
		for _, cut := range d.Cuts {
			if cut.Topic == t.Topic {
				return gap{cut.String(), cut.Undecided, cut.Remedy}
			}
		}
		if t.Lacks > 0 {
			return gap{fmt.Sprintf("topic %s: the target lacks %s", t.Topic, t.Lacking()), t.ForEver,
				agedRemedy(t)}
		}
	}
	return gap{}
}

// agedRemedy is what helps where waiting does not, or not alone.
func agedRemedy(t inspect.TopicAged) string {
	if t.ForEver {
		return "it never ages out: have a flow copy it, as docs/runbooks/keep-old-events.md does"
	}
	return "" // a flow copies it, or it ages out
}

// copied says what is missing of the copy.
func (w *Waiter) copied(s *inspect.FlowStatus) gap {
	for _, p := range s.Problems {
		if p.Lasting {
			return gap{p.Error, true, p.Remedy}
		}
	}
	if len(s.Problems) > 0 {
		return gap{missing: s.Problems[0].Error, remedy: s.Problems[0].Remedy}
	}
	if closed := s.Closed(); closed != nil {
		return gap{closed.Error(), !closed.Ended.IsZero() || closed.Failover != nil, closed.Remedy()}
	}
	if w.Lag >= 0 {
		if found := w.behind(s); found.missing != "" {
			return found
		}
	}
	if w.Groups == nil || w.Drained {
		return gap{}
	}
	for i := range s.Groups {
		if g := &s.Groups[i]; w.wants(g.Group) {
			if found := misplaced(g); found.missing != "" {
				return found
			}
		}
	}
	return gap{}
}

// behind says what is missing of the partitions. A stopped one is tried again by the flow, unless only an operator or
// another configuration can have it go on.
func (w *Waiter) behind(s *inspect.FlowStatus) gap {
	first := gap{}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if p.Phase.Free() {
			continue
		}
		why := cmp.Or(p.Reason, "the ledger does not know it yet")
		if p.Phase == partition.PhaseStopped && !p.Lasting && !p.Cuts.Open() {
			why += "; it is tried again at least every 5 minutes"
		}
		found := gap{fmt.Sprintf("%s/%d: %s: %s", p.Topic, p.Partition, p.Phase, why), p.Lasting, p.Remedy}
		if found.never {
			return found
		}
		if first.missing == "" {
			first = found
		}
	}
	if first.missing == "" && s.Behind > w.Lag {
		first = coming("lag %d", s.Behind)
	}
	if first.missing == "" {
		first = w.open(s)
	}
	if first.missing != "" && s.Replicas != nil && *s.Replicas == 0 {
		first.missing += "; no replica runs the flow"
	}
	return first
}

// open says what is missing where a transaction is open on the source: what it has written is copied at its end.
func (w *Waiter) open(s *inspect.FlowStatus) gap {
	missing := s.Behind
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if missing += p.SourceOpen; missing > w.Lag {
			return gap{missing: fmt.Sprintf("lag %d, and %s/%d has an open transaction: %d offsets wait for its end", s.Behind,
				p.Topic, p.Partition, p.SourceOpen), remedy: chunk.OpenRemedy}
		}
	}
	return gap{}
}

// misplaced says which position of a group does not stand right.
func misplaced(g *inspect.GroupStatus) gap {
	if g.Error != "" {
		return gap{fmt.Sprintf("group %s: %s", g.Group, g.Error), true, g.Remedy}
	}
	first := gap{}
	for _, p := range g.Positions {
		if p.State == string(groups.InSync) {
			continue
		}
		found := gap{fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why), p.Lasting(), p.Remedy}
		if found.never {
			return found
		}
		if first.missing == "" {
			first = found
		}
	}
	return first
}
