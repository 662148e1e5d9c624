package replicate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/peek"
	"replicator/pkg/replicate/watermarks"
)

// Drained tells how far the consumers on the source are, and how long it still has
// records that the target lacks. For applications that write to both clusters
// themselves no flow needs to run.
type Drained struct {
	Flow   string         `json:"flow"`
	Taken  time.Time      `json:"taken"`
	Groups []GroupDrained `json:"groups"` // selected ones that have a position, by name
	Topics []TopicAged    `json:"topics"` // selected ones, by name
}

// GroupDrained is how much of the source a group has not read.
type GroupDrained struct {
	Group   string `json:"group"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`    // offsets up to the last stable ones: no more records than that
	Behind  int    `json:"behind"` // partitions
	// UnreadDeleted counts, of what it has not read, the records that the target had and has deleted.
	UnreadDeleted int64  `json:"unread_deleted"`
	Error         string `json:"error,omitempty"`
}

// TopicAged is what the source has of a topic from before the target's first record.
type TopicAged struct {
	Topic  string `json:"topic"`
	Target string `json:"target_topic"`
	Lacks  int64  `json:"lacks"` // source offsets whose records are older; no more records than that
	// Left is how long retention still keeps some of them, in whole seconds; -1: for ever, or it is not known.
	// Brokers delete whole segments, so that it may take as much longer as a segment lasts.
	Left int64  `json:"left_seconds"`
	Why  string `json:"why,omitempty"` // why it is for ever, or not known
}

// Drained says whether every group has read everything.
func (d *Drained) Drained() bool {
	return !slices.ContainsFunc(d.Groups, func(g GroupDrained) bool { return g.Lag > 0 || g.Error != "" })
}

// AgedOut says whether the source has nothing that the target lacks.
func (d *Drained) AgedOut() bool {
	return !slices.ContainsFunc(d.Topics, func(t TopicAged) bool { return t.Lacks > 0 })
}

// Drained looks at the consumers of the source, and at what both logs begin with.
func (i *Inspection) Drained(ctx context.Context) (*Drained, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	d := &Drained{Flow: i.cfg.Name(), Groups: []GroupDrained{}, Topics: []TopicAged{}}
	held, _, err := i.lookAtGroups(ctx)
	if err != nil {
		return nil, err
	}
	p := &picture{}
	if p.source, err = describe(ctx, i.source, i.sourceCluster, nil); err != nil {
		return nil, err
	}
	there, err := i.lookAtTarget(ctx, p, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	slices.Sort(p.topics)
	stable, err := i.sourceMarks.Stable(ctx, p.topics)
	if err != nil {
		return nil, err
	}
	d.Taken = time.Now()
	if err := i.drainGroups(ctx, d, p, held, stable); err != nil {
		return nil, err
	}
	if err := i.addDeleted(ctx, d, p); err != nil {
		return nil, err
	}
	return d, i.ageTopics(ctx, d, p, there, stable)
}

// drainGroups adds how much each group has not read.
func (i *Inspection) drainGroups(ctx context.Context, d *Drained, p *picture, held []groups.Held,
	stable watermarks.Marks) error {
	names := make([]string, len(held))
	for j := range held {
		names[j] = held[j].Group
	}
	present, err := i.groups.OnSource(ctx, names)
	if err != nil {
		return err
	}
	source := peek.Open(i.sourceCluster, nil)
	defer source.Close() //nolint:errcheck // only read
	for _, h := range held {
		g := GroupDrained{Group: h.Group, Members: present[h.Group].Members}
		if h.Err != nil {
			g.Error = h.Err.Error()
		}
		for _, at := range h.Positions {
			if _, there := p.source.topics[at.Partition.Topic]; !there {
				continue // the topic was deleted since
			}
			end, err := offsetOf(stable, at.Partition)
			if err != nil {
				return i.sourceCluster.Explain(err)
			}
			lag, err := unread(ctx, source, at.Partition, at.Source.Offset, end)
			if err != nil {
				return err
			}
			if lag > 0 {
				g.Lag, g.Behind = g.Lag+lag, g.Behind+1
			}
		}
		d.Groups = append(d.Groups, g)
	}
	return nil
}

// addDeleted adds what the target has lost of it, where a flow has run.
func (i *Inspection) addDeleted(ctx context.Context, d *Drained, p *picture) error {
	if _, ran := p.target.topics[i.cfg.LedgerTopic()]; !ran {
		return nil
	}
	seen, err := i.Groups(ctx)
	if err != nil {
		return err
	}
	lost := map[string]int64{}
	for _, g := range seen {
		for j := range g.Positions {
			lost[g.Group] += g.Positions[j].UnreadDeleted
		}
	}
	for j := range d.Groups {
		d.Groups[j].UnreadDeleted = lost[d.Groups[j].Group]
	}
	return nil
}

// ageTopics adds what the source has of each topic that the target, whose topics are
// there, lacks.
func (i *Inspection) ageTopics(ctx context.Context, d *Drained, p *picture, there []string,
	stable watermarks.Marks) error {
	retention, err := i.sourceMarks.Kept(ctx, p.topics)
	if err != nil {
		return err
	}
	earliest, err := i.sourceMarks.Earliest(ctx, p.topics)
	if err != nil {
		return err
	}
	begins := kadm.ListedOffsets{}
	if len(there) > 0 { // for none, the cluster would answer for all
		if begins, err = kadm.NewClient(i.target).ListOffsetsAfterMilli(ctx, 0, there...); err != nil {
			return i.targetCluster.Explain(err)
		}
	}
	for _, name := range p.topics {
		target, _ := i.policy.Topic(name)
		one := TopicAged{Topic: name, Target: target}
		for n := range p.source.topics[name].partitions {
			at := chunk.Partition{Topic: name, Number: int32(n)}
			first, err := offsetOf(earliest, at)
			if err != nil {
				return i.sourceCluster.Explain(err)
			}
			end, err := offsetOf(stable, at)
			if err != nil {
				return i.sourceCluster.Explain(err)
			}
			begin, _ := begins.Lookup(target, at.Number)
			if err := i.aged(ctx, &one, span{at, first, end}, begin, keptFor(retention, name), d.Taken); err != nil {
				return err
			}
		}
		d.Topics = append(d.Topics, one)
	}
	return nil
}

// span is what one partition of the source holds.
type span struct {
	partition  chunk.Partition
	first, end int64
}

// unread counts the offsets up to the end, if any of them holds a record that is
// visible: a consumer that has read everything may stand before markers.
func unread(ctx context.Context, source *peek.Peek, p chunk.Partition, at, end int64) (int64, error) {
	if at >= end {
		return 0, nil
	}
	_, found, err := source.First(ctx, p.Topic, p.Number, offsets.Target(at), offsets.Target(end), true)
	if err != nil || !found {
		return 0, err
	}
	return end - at, nil
}

// keptFor is how long the source keeps records of a topic; negative: for ever, or not told.
func keptFor(kept map[string]watermarks.Kept, topic string) time.Duration {
	if k, told := kept[topic]; told && k.Err == nil {
		return k.For
	}
	return -1
}

// aged compares where both logs of a partition begin.
func (i *Inspection) aged(ctx context.Context, t *TopicAged, held span, begin kadm.ListedOffset,
	retention time.Duration, now time.Time) error {
	lacks, left := held.end-held.first, retention
	begun := begin.Err == nil && begin.Timestamp > 0
	if begun {
		at := time.UnixMilli(begin.Timestamp)
		older, err := i.sourceMarks.At(ctx, []string{t.Topic}, at)
		if err != nil {
			return err
		}
		from, err := offsetOf(older, held.partition)
		if err != nil {
			return i.sourceCluster.Explain(err)
		}
		lacks = from - held.first
		if retention >= 0 {
			left = max(at.Add(retention).Sub(now), 0)
		}
	}
	if lacks > 0 {
		t.Lacks += lacks
		t.late(held.partition, left, begun)
	}
	return nil
}

// late takes over how long one partition keeps what the target lacks, if no other
// keeps it longer.
func (t *TopicAged) late(p chunk.Partition, left time.Duration, begun bool) {
	switch {
	case t.Left < 0:
	case left < 0:
		t.Left, t.Why = -1, "the source keeps its records for ever"
	case !begun:
		t.Left, t.Why = -1, fmt.Sprintf("the target has no record of partition %d yet", p.Number)
	default:
		t.Left = max(t.Left, int64(left/time.Second))
	}
}
