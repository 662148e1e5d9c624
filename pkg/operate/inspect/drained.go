package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/scan"
)

// DrainedStatus tells how far the consumers on the source are, and how long it still has
// records that the target lacks. For applications that write to both clusters
// themselves no flow needs to run.
type DrainedStatus struct {
	Flow   string         `json:"flow"`
	Taken  time.Time      `json:"taken"`
	Groups []GroupDrained `json:"groups"` // selected ones that have a position, by name
	Topics []TopicAged    `json:"topics"` // selected ones, by name
	// Cuts are partitions whose source was cut, and where copying does not go on: while there is one, nothing is drained
	// or aged out.
	Cuts []CutPartition `json:"cuts"`
	// LeftOut are groups that the flow's patterns choose, and of which nothing is known here, as they have no position:
	// they may be reading all the same.
	LeftOut []LeftOut `json:"left_out"`
}

// GroupDrained is how much of the source a group has not read.
type GroupDrained struct {
	Group   string `json:"group"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`    // offsets up to the last stable ones: no more records than that
	Behind  int    `json:"behind"` // partitions
	// Open counts the offsets behind what it has read that wait for the end of a transaction: they are records if that
	// is committed, and then the group has yet to read them.
	Open int64 `json:"open"`
	// UnreadDeleted counts, of what it has not read, the records that the target had and has deleted.
	UnreadDeleted int64 `json:"unread_deleted"`
	// Cuts are those of the flow's in which the group has a position.
	Cuts  []CutPartition `json:"cuts,omitempty"`
	Error string         `json:"error,omitempty"` // why it is not known, or where it stands behind the log's end
	// Remedy goes with Error where there is something to do.
	Remedy string `json:"remedy,omitempty"`
}

// Drained says whether the group has read everything on the source, and nothing is in doubt about that.
func (g *GroupDrained) Drained() bool {
	return g.Lag == 0 && g.Open == 0 && g.Error == "" && len(g.Cuts) == 0
}

// CutPartition is a partition that is stopped as the log of one side was cut.
type CutPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy"`
	// Undecided: it waits for an operator's order; else it is yet to be noted, or an order to be carried out.
	Undecided bool `json:"undecided"`
}

func (c *CutPartition) String() string {
	return fmt.Sprintf("%s/%d: %s", c.Topic, c.Partition, c.Reason)
}

// Drained says whether every group has read everything.
func (d *DrainedStatus) Drained() bool {
	return len(d.Cuts) == 0 && !slices.ContainsFunc(d.Groups, func(g GroupDrained) bool { return !g.Drained() })
}

// AgedOut says whether the source has nothing that the target lacks.
func (d *DrainedStatus) AgedOut() bool {
	return !slices.ContainsFunc(d.Topics, func(t TopicAged) bool { return t.Lacks > 0 || len(t.Cut) > 0 })
}

// Only leaves out other groups, and cuts where none of them has a position.
func (d *DrainedStatus) Only(wanted func(group string) bool) {
	d.Groups = slices.DeleteFunc(d.Groups, func(g GroupDrained) bool { return !wanted(g.Group) })
	d.LeftOut = slices.DeleteFunc(d.LeftOut, func(l LeftOut) bool { return !wanted(l.Name) })
	d.Cuts = slices.DeleteFunc(d.Cuts, func(cut CutPartition) bool {
		return !slices.ContainsFunc(d.Groups, func(g GroupDrained) bool { return slices.Contains(g.Cuts, cut) })
	})
}

// Drained tells of the consumers of the source, and of what both logs hold.
func Drained(ctx context.Context, v *snapshot.Viewer) (*DrainedStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	d := &DrainedStatus{Flow: v.Flow.Name(), Groups: []GroupDrained{}, Topics: []TopicAged{}, Cuts: []CutPartition{},
		LeftOut: []LeftOut{}}
	held, _, err := v.ReadGroups(ctx) // before the ends, see snapshot.Snapshot
	if err != nil {
		return nil, err
	}
	snap, there, err := takeLogs(ctx, v)
	if err != nil {
		return nil, err
	}
	if around := v.CheckCircle(ctx); len(around) > 0 && provenance.Forbids(around[0]) {
		return nil, around[0] // which side holds what the other lacks is not asked the right way round
	}
	names, _ := v.Groups.Names(ctx) // where they cannot be listed, their positions could not be read either
	d.LeftOut = append(d.LeftOut, LeftOutGroups(v, names, held)...)
	d.Taken = snap.Taken
	views := snap.Views()
	d.takeCuts(views)
	source := scan.Open(v.SourceCluster, nil)
	defer source.Close() // only read
	if err := drainGroups(ctx, v, d, views, held, source); err != nil {
		return nil, err
	}
	return d, ageTopics(ctx, v, d, snap, there, source)
}

// takeLogs takes a snapshot of both clusters, and lists the target's topics in it; without a ledger, which nobody
// needs who writes to both, it asks for less.
func takeLogs(ctx context.Context, v *snapshot.Viewer) (*snapshot.Snapshot, []string, error) {
	all := func(string) bool { return true }
	snap, err := v.Describe(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	there := snap.Targets
	if _, ran := snap.Target.Topics[v.Flow.LedgerTopic()]; ran {
		if snap, err = v.Take(ctx, all, false); err == nil {
			err = cmp.Or(snap.LedgerErr, closedOf(snap, v.Flow.Name()))
		}
	} else if err = v.MissingLedger(ctx); err == nil {
		err = v.ReadSource(ctx, snap)
	}
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(snap.Topics)
	return snap, there, nil
}

// closedOf is why the flow's progress says nothing: its records go the other way.
func closedOf(snap *snapshot.Snapshot, flow string) error {
	if len(snap.Books) == 0 {
		return nil
	}
	err := handover.NotClosed(snap.Books[0].Shard, snap.Books[0].Shard, flow)
	if snap.Away == nil {
		err = handover.SourceAnswers(err)
	}
	return err
}

// takeCuts lists the partitions where copying does not go on.
func (d *DrainedStatus) takeCuts(views map[chunk.Partition]*snapshot.PartitionView) {
	for at, view := range views {
		if view.Cut == nil {
			continue
		}
		reason, remedy := view.CutWords()
		d.Cuts = append(d.Cuts, CutPartition{at.Topic, at.Number, reason, remedy, CutStatusOf(view).Undecided()})
	}
	slices.SortFunc(d.Cuts, func(a, b CutPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// drainGroups adds how much each group has not read.
func drainGroups(ctx context.Context, v *snapshot.Viewer, d *DrainedStatus,
	views map[chunk.Partition]*snapshot.PartitionView, held []groups.Held,
	source *scan.Scanner) error {
	names := make([]string, len(held))
	for j := range held {
		names[j] = held[j].Group
	}
	present, err := v.Groups.OnSource(ctx, names)
	if err != nil {
		return err
	}
	for j := range held {
		h := &held[j]
		g := GroupDrained{Group: h.Group, Members: present[h.Group].Members}
		if h.Err != nil {
			g.Error, g.Remedy = h.Err.Error(), chunk.Remedy(h.Err)
		}
		for k := range h.Positions {
			if view := views[h.Positions[k].Partition]; view != nil { // else the topic was deleted since
				if err := drainPosition(ctx, v, d, &g, view, h, &h.Positions[k], source); err != nil {
					return err
				}
			}
		}
		d.Groups = append(d.Groups, g)
	}
	return ctx.Err()
}

// drainPosition adds what the group has not read of one partition.
func drainPosition(ctx context.Context, v *snapshot.Viewer, d *DrainedStatus, g *GroupDrained,
	view *snapshot.PartitionView, h *groups.Held,
	at *groups.Position, source *scan.Scanner) error {
	if view.Unknown != nil {
		return v.SourceCluster.Explain(fmt.Errorf("end of %s: %w", at.Partition, view.Unknown))
	}
	stands := offsets.Source(at.Source.Offset)
	if stands > view.High && view.Cut == nil {
		g.Error = fmt.Sprintf("it stands at offset %d of %s, beyond the end of the log there, which is %d", stands,
			at.Partition, view.High)
		g.Remedy = groups.BeyondRemedy
	}
	lag, err := unread(ctx, source, at.Partition, stands, view.Stable)
	if err != nil {
		return err
	}
	if lag > 0 {
		g.Lag, g.Behind = g.Lag+lag, g.Behind+1
	}
	g.Open += max(int64(view.High-max(view.Stable, stands)), 0) // who reads uncommitted records has some of them
	for _, cut := range d.Cuts {
		if cut.Topic == at.Partition.Topic && cut.Partition == at.Partition.Number {
			g.Cuts = append(g.Cuts, cut)
		}
	}
	if view.Started() {
		one, _ := positionStatus(ctx, v, h, at, view)
		g.UnreadDeleted += one.UnreadDeleted
	}
	return nil
}

// unread counts the offsets up to the end, if any of them holds a record that is
// visible: a consumer that has read everything may stand before markers.
func unread(ctx context.Context, source *scan.Scanner, p chunk.Partition, at, end offsets.Source) (int64, error) {
	if at >= end {
		return 0, nil
	}
	_, found, err := source.First(ctx, p.Topic, p.Number, offsets.Target(at), offsets.Target(end), true)
	if err != nil || !found {
		return 0, err
	}
	return int64(end - at), nil
}
