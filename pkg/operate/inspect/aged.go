package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/scan"
)

// TopicAged is what the source holds of a topic and the target does not: exactly, by the
// offset map, in partitions that a flow copies; in others what is older than the target's
// first record.
type TopicAged struct {
	Topic  string `json:"topic"`
	Target string `json:"target_topic"`
	Lacks  int64  `json:"lacks"` // source offsets of such records; no more records than that
	// Left is how long retention still keeps some of them, in whole seconds; -1: for ever, or it is not known.
	// Brokers delete whole segments, so that it may take as much longer as a segment lasts.
	Left int64  `json:"left_seconds"`
	Why  string `json:"why,omitempty"` // why it is for ever, or not known
	// ForEver: nothing will bring some of them to the target, and the source keeps them for ever.
	ForEver bool `json:"for_ever,omitempty"`
	// ByTimestamps are partitions without an offset map. Where timestamps are equal or out of order, the target may lack
	// more of them than is said.
	ByTimestamps []int32 `json:"by_timestamps,omitempty"`
	// Cut are partitions where copying does not go on, as the source was cut.
	Cut []int32 `json:"cut_partitions,omitempty"`
}

// lacking is a part of what the target lacks of a partition.
type lacking struct {
	offsets int64
	// left is how long the source keeps it; negative: for ever, or not known, and why.
	left time.Duration
	why  string
	// never: no flow will copy it.
	never bool
}

// ager compares what both sides of the flow's partitions hold.
type ager struct {
	*snapshot.Viewer
	snap   *snapshot.Snapshot
	source *scan.Scanner
	begins kadm.ListedOffsets // first records of the target
	kept   map[string]listoffsets.Kept
}

// ageTopics adds what the source has of each topic that the target, whose topics are there, lacks.
func ageTopics(ctx context.Context, v *snapshot.Viewer, d *DrainedStatus, snap *snapshot.Snapshot, there []string,
	source *scan.Scanner) error {
	a := ager{Viewer: v, snap: snap, source: source}
	var err error
	if a.kept, err = v.SourceOffsets.Kept(ctx, snap.Topics); err != nil {
		return err
	}
	if len(there) > 0 { // for none, the cluster would answer for all
		if a.begins, err = kadm.NewClient(v.TargetClient).ListOffsetsAfterMilli(ctx, 0, there...); err != nil {
			return v.TargetCluster.Explain(err)
		}
	}
	for _, name := range snap.Topics {
		target, _ := v.Policy.Topic(name)
		one := TopicAged{Topic: name, Target: target}
		for n := range snap.Source.Topics[name].Partitions {
			if err := a.add(ctx, &one, snap.View(chunk.Partition{Topic: name, Number: int32(n)})); err != nil {
				return err
			}
		}
		d.Topics = append(d.Topics, one)
	}
	return nil
}

// add adds what the target lacks of one partition.
func (a *ager) add(ctx context.Context, t *TopicAged, view *snapshot.PartitionView) error {
	if view.Unknown != nil {
		return a.SourceCluster.Explain(fmt.Errorf("end of %s: %w", view.Source, view.Unknown))
	}
	var list []lacking
	var err error
	switch {
	case view.Begun():
		list, err = a.byMap(ctx, view)
	case toBegin(view):
		list, err = a.byFlow(ctx, view)
	default:
		t.ByTimestamps = append(t.ByTimestamps, view.Source.Number)
		list, err = a.byTimestamps(ctx, view)
	}
	if view.Cut != nil {
		t.Cut = append(t.Cut, view.Source.Number)
	}
	for _, l := range list {
		t.add(l, a.retention(view) < 0)
	}
	return err
}

// add takes over a part, and how long the source keeps it, if it keeps no other longer.
func (t *TopicAged) add(l lacking, forEver bool) {
	if l.offsets == 0 {
		return
	}
	t.Lacks += l.offsets
	switch {
	case l.never && forEver && !t.ForEver:
		t.ForEver, t.Left, t.Why = true, -1, "the source keeps its records for ever"
		if l.why != "" {
			t.Why = l.why + ", and " + t.Why
		}
	case t.Left < 0:
	case l.left < 0:
		t.Left, t.Why = -1, l.why
	default:
		t.Left = max(t.Left, int64(l.left/time.Second))
	}
}

// retention is how long the source keeps records of a topic; negative: for ever, or not known.
func (a *ager) retention(view *snapshot.PartitionView) time.Duration {
	if k, known := a.kept[view.Source.Topic]; known && k.Err == nil {
		return k.For
	}
	return -1
}

// older is a part that the source deletes together with what is older than the target's first record.
func (a *ager) older(view *snapshot.PartitionView, lacks int64) lacking {
	begin, _ := a.begins.Lookup(view.Target.Topic, view.Target.Number)
	toCome := view.Book != nil && !view.Begun() && view.Blocked == "" // a flow is about to copy it
	l := lacking{offsets: lacks, never: !toCome, left: -1}
	switch keeps := a.retention(view); {
	case begin.Err != nil && view.Begun(), begin.Timestamp <= 0 && view.Begun():
		l.why = fmt.Sprintf("the target has deleted what it had of partition %d", view.Source.Number)
	case begin.Err != nil || begin.Timestamp <= 0:
		l.why = fmt.Sprintf("the target has no record of partition %d yet", view.Source.Number)
	case keeps >= 0:
		l.left = max(time.UnixMilli(begin.Timestamp).Add(keeps).Sub(a.snap.Taken), 0)
	}
	return l
}

// byTimestamps compares where both logs begin.
func (a *ager) byTimestamps(ctx context.Context, view *snapshot.PartitionView) ([]lacking, error) {
	all := a.older(view, int64(view.Stable-view.Earliest))
	begin, _ := a.begins.Lookup(view.Target.Topic, view.Target.Number)
	if begin.Err != nil || begin.Timestamp <= 0 {
		return []lacking{all}, nil
	}
	starts, err := a.SourceOffsets.At(ctx, []string{view.Source.Topic}, time.UnixMilli(begin.Timestamp))
	if err != nil {
		return nil, err
	}
	from, err := listoffsets.OffsetOf(starts, view.Source)
	if err != nil {
		return nil, a.SourceCluster.Explain(err)
	}
	all.offsets = max(from-int64(view.Earliest), 0)
	return []lacking{all}, nil
}

// byFlow is all that the source holds: a flow will copy it, and has not begun. What the target has under that name
// is not of it, such as the records of a source topic that was there before.
func (a *ager) byFlow(ctx context.Context, view *snapshot.PartitionView) ([]lacking, error) {
	all, err := unread(ctx, a.source, view.Source, view.Earliest, view.Stable)
	why := fmt.Sprintf("partition %d is not copied yet", view.Source.Number)
	if stop := view.Stop(); stop != nil {
		why = fmt.Sprintf("partition %d is stopped: %s", view.Source.Number, stop.Reason)
	}
	return []lacking{{all, -1, why, false}, open(view)}, err
}

// open is what waits for the end of a transaction.
func open(view *snapshot.PartitionView) lacking {
	behind := max(int64(view.High-view.Stable), 0)
	return lacking{behind, -1, fmt.Sprintf("partition %d has an open transaction, and %d offsets wait for its end",
		view.Source.Number, behind), false}
}

// byMap goes by what was copied, from where on, and what of it the target still has.
func (a *ager) byMap(ctx context.Context, view *snapshot.PartitionView) ([]lacking, error) {
	n := view.Source.Number
	part := func(from, to offsets.Source) (int64, error) {
		return unread(ctx, a.source, view.Source, max(from, view.Earliest), min(to, view.Stable))
	}
	if why := lacksAll(view); why != "" {
		all, err := part(view.Earliest, view.Stable)
		return []lacking{{all, -1, fmt.Sprintf("partition %d: %s", n, why), false}, open(view)}, err
	}
	before, err := part(view.Earliest, view.State.Start)
	if err != nil {
		return nil, err
	}
	deleted, err := a.deletedOnTarget(ctx, view)
	if err != nil {
		return nil, err
	}
	list := []lacking{a.older(view, before+deleted)}
	for _, g := range givenUp(view) {
		given, err := part(offsets.Source(g.From), offsets.Source(g.To))
		if err != nil {
			return nil, err
		}
		list = append(list, lacking{given, -1, fmt.Sprintf("partition %d: %s", n, g), true})
	}
	next := view.Next()
	rest, err := part(next, view.Stable)
	why := fmt.Sprintf("partition %d is copied up to offset %d of %d", n, min(next, view.State.Progress), view.Stable)
	return append(list, lacking{rest, -1, why, false}, open(view)), err
}

// toBegin says whether the flow, which has a ledger, copies the partition as soon as it runs, or as what stops it is
// gone, where the target topic is one that it has filled: with what a source topic of that name held before.
func toBegin(view *snapshot.PartitionView) bool {
	return view.Book != nil && view.Blocked == "" && (view.State == nil || view.Book.Fills(view.Source, view.TargetID))
}

// lacksAll is why the target has nothing of what the map tells of; "": it has.
func lacksAll(view *snapshot.PartitionView) string {
	switch {
	case view.TargetErr != nil:
		return "the target does not tell what it has: " + view.TargetErr.Error()
	case !view.TargetThere:
		return "the target topic is not there"
	case !view.TargetSame:
		return "the target topic is another one than was copied to, and is filled anew"
	}
	return ""
}

// deletedOnTarget counts the records that were copied, and that the target alone has deleted.
func (a *ager) deletedOnTarget(ctx context.Context, view *snapshot.PartitionView) (int64, error) {
	load := a.Segments(ctx, view)
	first, err := view.State.Map.Translate(view.Earliest, view.State.Progress, load)
	if err != nil || first.Rule == offsets.AtEnd || first.Rule == offsets.NotYet {
		return 0, err
	}
	return view.State.Map.Count(first.Target, view.TargetEarliest, load)
}

// ByTimestamps lists the topics of which some partition was compared by timestamps alone.
func (d *DrainedStatus) ByTimestamps() (topics []string) {
	for _, t := range d.Topics {
		if len(t.ByTimestamps) > 0 {
			topics = append(topics, t.Topic)
		}
	}
	return slices.Compact(topics)
}
