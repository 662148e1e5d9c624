package cutover

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
)

// unmet is one thing for which a step does not hold.
type unmet struct {
	waits  string // how it is told while it may come by itself
	gives  string // what it means, in records, to go on without it
	remedy string // it does not come by waiting: what takes it out of the way; "": it may
}

// seeStatus is the remedy where nothing better is known.
const seeStatus = "see 'replicator status'"

// without decides what becomes of a step that lacks something: what may come is waited
// for, which is the answer; the rest is refused. With --force it is given up, at once or
// when the step was waited for long enough.
func (h *mover) without(step string, lacks []unmet) (missing string, err error) {
	if _, known := h.waits[step]; !known && len(lacks) > 0 {
		h.waits[step] = time.Now()
	}
	enough := h.o.Force && h.o.Patience > 0 && !h.preview && len(lacks) > 0 && time.Since(h.waits[step]) >= h.o.Patience
	var waits, given []string
	delete(h.late, step)
	for _, l := range lacks {
		switch {
		case l.remedy == "" && !enough:
			waits = append(waits, cmp.Or(l.waits, l.gives))
			continue
		case l.remedy == "":
			h.late[step] = true
		case !h.o.Force:
			return "", &kafka.Problem{What: l.gives, Fix: l.remedy + "; or --force to give that up"}
		}
		given = append(given, l.gives)
	}
	if len(given) > 0 && len(waits) == 0 && len(h.given[step]) == 0 && !h.preview {
		h.o.Tell(step, "given up: "+kafka.Few(given))
	}
	h.given[step] = given
	return kafka.Few(waits), nil
}

// nameGivenUp names what operators gave up before, by 'resume': it is no reason to stop, and no surprise later.
func (h *mover) nameGivenUp() {
	var list []string
	for i := range h.status.Partitions {
		p := &h.status.Partitions[i]
		for _, g := range p.GivenUp {
			list = append(list, fmt.Sprintf("%s/%d: %s: %s lacks them", p.Topic, p.Partition, g, h.o.Flow.To))
		}
	}
	if len(list) > len(h.given[byResume]) {
		h.o.Tell("copied", "given up before: "+kafka.Few(list))
	}
	h.given[byResume] = list
}

// byResume is the key for what was given up before any step.
const byResume = "resume"

// givenUp lists all that is.
func (h *mover) givenUp() []string {
	var all []string
	for _, step := range slices.Sorted(maps.Keys(h.given)) {
		all = append(all, h.given[step]...)
	}
	return all
}

// arrived says what a source that is still written to has got while it was watched.
func (h *mover) arrived() string {
	by, total := map[string]int64{}, int64(0)
	for p, mark := range h.ends {
		if n := mark.Offset - h.begun[p].Offset; mark.Err == nil && n > 0 {
			by[p.Topic] += n
			total += n
		}
	}
	var list []string
	for _, topic := range slices.Sorted(maps.Keys(by)) {
		list = append(list, fmt.Sprintf("%s %d", topic, by[topic]))
	}
	where := fmt.Sprintf("reaches %s only while the flow runs", h.o.Flow.To)
	if h.back {
		where = fmt.Sprintf("stays on %s", h.o.Flow.From)
	}
	names := ""
	if total > 0 {
		names = " (" + kafka.Few(list) + ")"
	}
	return fmt.Sprintf("%s was not silent: up to %d records arrived in %s%s; what comes from now on %s", h.o.Flow.From,
		total, time.Since(h.began).Round(100*time.Millisecond), names, where)
}

// readsOn says what a group with members on the source may read there that it will
// read on the target again.
func (h *mover) readsOn(g *groups.Held, members int) string {
	again := int64(0)
	for _, p := range g.Positions {
		again += max(h.ends[p.Partition].Offset-p.Source.Offset, 0)
	}
	return fmt.Sprintf("group %s is at work on %s (%d members): of what it reads there from its positions on, up to %d "+
		"records are read again on %s", g.Group, h.o.Flow.From, members, again, h.o.Flow.To)
}

// readsAnywhere says what a group with members on the source that has committed no position comes to.
func (h *mover) readsAnywhere(group string, members int) string {
	return fmt.Sprintf("group %s is at work on %s (%d members) and has committed no position: it is not moved, and its "+
		"auto.offset.reset decides what it reads on %s", group, h.o.Flow.From, members, h.o.Flow.To)
}

// notCopied is a partition of which not everything is on the target.
func (h *mover) notCopied(p *inspect.PartitionStatus) unmet {
	name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
	rest := fmt.Sprintf("up to %d records are not on %s", p.Behind+p.SourceOpen, h.o.Flow.To)
	stopped := p.Phase == partition.PhaseStopped
	switch {
	case stopped && !p.Cuts.Open() && !h.fresh(p) && !h.preview: // else it is what is known now
		what := fmt.Sprintf("%s was stopped (%s)", name, p.Reason)
		return unmet{waits: what, gives: what + ": " + rest}
	case stopped && p.Cuts.Open() && p.Cuts.Seen == nil && !h.preview: // whoever copies notes it in seconds
		what := fmt.Sprintf("%s is stopped (%s), which is looked into", name, p.Reason)
		return unmet{waits: what, gives: what + ": " + rest}
	case stopped && p.Cuts.Waits():
		return unmet{waits: name + " waits for the order of 'replicator resume' to be carried out", gives: name + ": " + rest}
	case stopped:
		return unmet{gives: fmt.Sprintf("%s is stopped (%s): %s", name, p.Reason, rest), remedy: cmp.Or(p.Remedy, seeStatus)}
	case p.SourceOpen > 0:
		what := name + " has an open transaction"
		return unmet{waits: what, gives: what + ": " + rest}
	}
	phase := string(p.Phase)
	if p.Reason != "" {
		phase += " (" + p.Reason + ")"
	}
	return unmet{waits: fmt.Sprintf("%s %s, lag %d", name, phase, p.Behind), gives: name + ": " + rest}
}

// fresh says whether a copy that is at work has run into a stop. One that ended before
// may have left it in the ledger, and what was in its way may be gone.
func (h *mover) fresh(p *inspect.PartitionStatus) bool {
	if h.copier == nil {
		return h.copiedRest || h.status.Replicas == nil || *h.status.Replicas > 0
	}
	for _, flow := range h.copier.States() {
		for _, own := range flow.Partitions {
			if own.Partition == (chunk.Partition{Topic: p.Topic, Number: p.Partition}) {
				return own.Stop != nil
			}
		}
	}
	return false
}

// unreadable is a group whose positions are not known.
func (h *mover) unreadable(g *inspect.GroupStatus) unmet {
	all := int64(0)
	for i := range h.status.Partitions {
		if p := &h.status.Partitions[i]; p.TargetEnd != nil {
			all += int64(*p.TargetEnd - *p.TargetStart)
		}
	}
	gives := fmt.Sprintf("group %s: %s; where it ought to stand is not known: up to %d records would be read again, or "+
		"skipped", g.Group, g.Error, all)
	return unmet{gives: gives, remedy: cmp.Or(g.Remedy, seeStatus)}
}

// notRight is a position that is not where it ought to be.
func (h *mover) notRight(g *inspect.GroupStatus, p *inspect.PositionStatus) (l unmet, lacking bool) {
	kind := groups.Kind(p.State)
	waiting := p.State == inspect.Pending || !kind.Settled()
	exact := p.Target != nil && p.Translation != nil && *p.Target == *p.Translation
	if kind == groups.UnreadDeleted {
		return h.unreadDeleted(g, p, exact), true
	}
	if kind == groups.Right || exact && !waiting {
		return unmet{}, false
	}
	name := fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why)
	l = unmet{waits: name, gives: name + "; " + h.records(p)}
	if at := (chunk.Partition{Topic: p.Topic, Number: p.Partition}); !waiting || h.left[at] {
		l.remedy = cmp.Or(p.Remedy, seeStatus+" and set the position right")
	}
	return l, true
}

// unreadDeleted is a position of which the target has lost records. It has to stand where the target's log begins
// even then: below, the consumer's auto.offset.reset would decide.
func (h *mover) unreadDeleted(g *inspect.GroupStatus, p *inspect.PositionStatus, exact bool) unmet {
	name := fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why)
	if !exact && !h.preview { // a look brings nothing about, and the position would be refused once it is moved
		return unmet{waits: name + "; it is yet to be moved to where the target's log begins", gives: name}
	}
	return unmet{gives: name, remedy: cmp.Or(p.Remedy, seeStatus)}
}

// records says what a position that is not right means.
func (h *mover) records(p *inspect.PositionStatus) string {
	part := h.partition(p.Topic, p.Partition)
	if part == nil || part.TargetEnd == nil {
		return fmt.Sprintf("%s has no such partition: nothing is read there", h.o.Flow.To)
	}
	start, end := int64(*part.TargetStart), int64(*part.TargetEnd)
	if p.Target == nil && p.Translation == nil {
		return fmt.Sprintf("it has no position there: up to %d records would be read again, or skipped", end-start)
	}
	if p.Target == nil {
		ought := int64(*p.Translation)
		return fmt.Sprintf("it has no position there and ought to stand at %d: up to %d records would be read again, or up "+
			"to %d skipped", ought, max(ought-start, 0), max(end-ought, 0))
	}
	at := int64(*p.Target)
	if p.Translation == nil && p.Rule == "not_yet" {
		again := max(end-at, 0)
		if part.Progress != nil {
			again += max(int64(p.Source-*part.Progress), 0) // once they are copied after all
		}
		return fmt.Sprintf("it stands at %d: up to %d records would be read again", at, again)
	}
	if p.Translation == nil {
		return fmt.Sprintf("it stands at %d, and where it ought to is not known: up to %d records would be read again, or "+
			"up to %d skipped", at, max(end-at, 0), max(at-start, 0))
	}
	stands := fmt.Sprintf("it stands at %d and ought to at %d", at, *p.Translation)
	off := int64(*p.Translation) - at
	switch {
	case off < 0:
		return fmt.Sprintf("%s: up to %d records would be skipped", stands, -off)
	case p.WouldSkip > 0:
		return fmt.Sprintf("%s: up to %d records would be read again, beside %d of somebody else", stands, off-p.WouldSkip,
			p.WouldSkip)
	}
	return fmt.Sprintf("%s: up to %d records would be read again", stands, off)
}

// partition is the one of that name; nil: it is not known.
func (h *mover) partition(topic string, number int32) *inspect.PartitionStatus {
	for i := range h.status.Partitions {
		if p := &h.status.Partitions[i]; p.Topic == topic && p.Partition == number {
			return p
		}
	}
	return nil
}

// notEqual is a partition whose last records are not the same on both sides.
func (h *mover) notEqual(p *verify.Partition) (l unmet, lacking bool) {
	name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
	switch {
	case p.Error != "":
		n := p.SourceTo - p.SourceFrom
		if part := h.partition(p.Topic, p.Partition); n == 0 && part != nil {
			n = int64(part.SourceEnd - part.SourceStart)
		}
		gives := fmt.Sprintf("%s cannot be compared: %s: whether up to %d records are equal is not known", name, p.Error, n)
		return unmet{gives: gives, remedy: cmp.Or(p.Remedy, seeStatus)}, true
	case p.Counts.Differences()-p.Foreign > 0:
		gives := fmt.Sprintf("%s: of the records of the last %s, %d are missing, %d changed, %d extra, %d out of order", name,
			h.o.Tail, p.Missing, p.Changed, p.Extra, p.OutOfOrder)
		return unmet{gives: gives, remedy: "see 'replicator verify' for each of them"}, true
	}
	return unmet{}, false
}
