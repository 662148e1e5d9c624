package cutover

import (
	"cmp"
	"fmt"
	"strings"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
)

// standing is how the flow stood when step copied saw it last; the steps behind that go by it.
type standing struct {
	*inspect.FlowStatus        // nil: not known yet
	target              string // the cluster's name
	// uncopied are partitions whose rest is given up: no position comes right there by waiting.
	uncopied map[chunk.Partition]bool
}

// copiedUnknown is what is missing of all steps that go by what step copied has seen.
const copiedUnknown = "not known yet: step copied has not been answered"

func (s *standing) known() bool { return s.FlowStatus != nil }

// ends is where the source's logs end, as one text to compare.
func (s *standing) ends() string {
	var b strings.Builder
	for _, p := range s.Partitions {
		fmt.Fprintf(&b, "%s/%d:%d ", p.Topic, p.Partition, p.SourceEnd)
	}
	return b.String()
}

// positions is what the record says of groups and topics, as one text to compare.
func (s *standing) positions() string {
	var b strings.Builder
	b.WriteString(s.ends())
	for _, g := range s.Groups {
		for _, p := range g.Positions {
			fmt.Fprintf(&b, "%s %s/%d:%d>%d ", g.Group, p.Topic, p.Partition, p.Source, handover.OffsetOrNone(p.Target))
		}
	}
	return b.String()
}

// partition is the one of that name; nil: it is not known.
func (s *standing) partition(topic string, number int32) *inspect.PartitionStatus {
	for i := range s.Partitions {
		if p := &s.Partitions[i]; p.Topic == topic && p.Partition == number {
			return p
		}
	}
	return nil
}

// givenUp lists what operators gave up before, by 'resume'.
func (s *standing) givenUp() []string {
	var list []string
	for i := range s.Partitions {
		p := &s.Partitions[i]
		for _, g := range p.GivenUp {
			list = append(list, fmt.Sprintf("%s/%d: %s: %s lacks them", p.Topic, p.Partition, g, s.target))
		}
	}
	return list
}

// unreadable is a group whose positions are not known.
func (s *standing) unreadable(g *inspect.GroupStatus) unmet {
	all := int64(0)
	for i := range s.Partitions {
		if p := &s.Partitions[i]; p.TargetEnd != nil {
			all += int64(*p.TargetEnd - *p.TargetStart)
		}
	}
	costs := fmt.Sprintf("group %s: %s; where it ought to stand is not known: up to %d records would be read again, or "+
		"skipped", g.Group, g.Error, all)
	return unmet{costs: costs, remedy: cmp.Or(g.Remedy, seeStatus)}
}

// astray is a position that is not where it ought to be; false: it is. A preview moves none.
func (s *standing) astray(g *inspect.GroupStatus, p *inspect.PositionStatus, preview bool) (unmet, bool) {
	kind := groups.Kind(p.State)
	waiting := p.State == inspect.Pending || !kind.Settled()
	exact := p.Target != nil && p.Translation != nil && *p.Target == *p.Translation
	name := fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why)
	switch {
	case kind == groups.UnreadDeleted && !exact && !preview:
		// It has to stand where the target's log begins even then: below, the consumer's auto.offset.reset would decide.
		// A preview brings nothing about, and the position would be refused once it is moved.
		return unmet{waits: name + "; it is yet to be moved to where the target's log begins", costs: name}, true
	case kind == groups.UnreadDeleted:
		return unmet{costs: name, remedy: cmp.Or(p.Remedy, seeStatus)}, true
	case kind == groups.InSync || exact && !waiting:
		return unmet{}, false
	}
	u := unmet{waits: name, costs: name + "; " + s.cost(p)}
	if at := (chunk.Partition{Topic: p.Topic, Number: p.Partition}); !waiting || s.uncopied[at] {
		u.remedy = cmp.Or(p.Remedy, seeStatus+" and set the position right")
	}
	return u, true
}

// cost says, in records, what a position that is not right means.
func (s *standing) cost(p *inspect.PositionStatus) string {
	part := s.partition(p.Topic, p.Partition)
	if part == nil || part.TargetEnd == nil {
		return fmt.Sprintf("%s has no such partition: nothing is read there", s.target)
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
