package cutover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/scan"
)

// BackState is how far back is safe.
type BackState struct {
	Since   time.Time // of the cutover
	Records int64     // at most that many were written on the target since
	Topics  int       // of the cutover
	Written []string  // those of them that were written to since, by name on the source
	Made    []string  // topics that applications have made there since
	GivenUp []string  // what stands in the way, by partition, with its records
}

// assessment finds how far back is safe: what applications have written since a cutover, and what a rollback would
// not bring back.
type assessment struct {
	o       *Options // Flow is the one whose cutover is taken back
	viewer  *snapshot.Viewer
	record  handover.Record // of that cutover
	state   BackState
	putBack bool // a log has lost its end since the cutover
}

// findMade finds the topics that applications have made on the target since the
// cutover, and counts what is in them: the rules of the flow choose them, and they were
// not there then. They are carried back like the cutover's own.
func (a *assessment) findMade(ctx context.Context, topics []string) error {
	chosen, err := chosenThere(ctx, a.viewer)
	if err != nil {
		return err
	}
	var there []string
	for _, topic := range chosen {
		if !slices.Contains(topics, topic) && !slices.Contains(a.record.Others, topic) {
			name, _ := a.viewer.Policy.Topic(topic)
			a.state.Made, there = append(a.state.Made, topic), append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	from, err := a.viewer.TargetOffsets.Earliest(ctx, there)
	if err != nil {
		return err
	}
	to, err := a.viewer.TargetOffsets.Stable(ctx, there)
	if err != nil {
		return err
	}
	for p := range to {
		first, err := listoffsets.OffsetOf(from, p)
		if err != nil {
			return a.viewer.TargetCluster.Explain(err)
		}
		end, err := listoffsets.OffsetOf(to, p)
		if err != nil {
			return a.viewer.TargetCluster.Explain(err)
		}
		a.state.Records += end - first
	}
	return nil
}

// measure finds how far back is safe.
func (a *assessment) measure(ctx context.Context) error {
	snap, err := a.viewer.Take(ctx, func(string) bool { return true }, false)
	if err == nil {
		err = snap.LedgerErr
	}
	if err != nil {
		return err
	}
	if topic := snap.Source.WithoutID(); topic != "" {
		return &identity.NoTopicIDsError{Cluster: a.o.Flow.From, Topic: topic, Back: true}
	}
	d, err := handover.DirectionOf(snap.Books[0].Shard)
	if err != nil {
		return err
	}
	reversed := d.Cutover == a.record.ID // what is on the source since is what was brought back
	views := snap.Views()
	if !reversed {
		if err := a.findPutBack(ctx, snap, views); err != nil {
			return err
		}
	}
	source := scan.Open(a.o.Clusters[a.o.Flow.From], a.o.Log)
	defer source.Close() // only read
	for _, p := range slices.SortedFunc(maps.Keys(views), chunk.Partition.Compare) {
		if slices.Contains(a.state.Made, p.Topic) {
			continue // it is on the source since a run of this command that was killed
		}
		written, left, err := a.changed(ctx, views[p], source)
		if err != nil {
			return err
		}
		if n := len(a.state.Written); written > 0 && (n == 0 || a.state.Written[n-1] != p.Topic) {
			a.state.Written = append(a.state.Written, p.Topic)
		}
		a.state.Records += written
		if reversed {
			left = 0
		}
		a.state.add(views[p], left, a.o.Flow.From, a.o.Flow.To)
	}
	if given := a.state.GivenUp; len(given) > 0 && !a.o.Force {
		fix := "save them by other means, then --force goes on without them"
		if a.putBack {
			fix = "find out who put a cluster back. Where its good copy can be put back once more, do that first; else " + fix
		}
		return &kafka.Problem{What: kafka.Few(given), Fix: fix}
	}
	return nil
}

// countMost bounds the records that are counted one by one in each partition.
const countMost = 10_000

// changed counts what was written since to one partition: on the target behind our last
// record, and on the source behind our progress. Markers are no records, nor is what was
// aborted.
func (a *assessment) changed(ctx context.Context, view *snapshot.PartitionView, source *scan.Scanner) (written,
	left int64, err error) {
	if !view.TargetSame || !view.Started() || view.Blocked != "" {
		return 0, 0, nil // which is reported otherwise
	}
	if from := max(view.State.Expected(), view.TargetEarliest); from < view.TargetStable {
		written, err = a.viewer.Scan.Count(ctx, view.Target.Topic, view.Target.Number, from, view.TargetStable, countMost)
	}
	if from := max(view.State.Progress, view.Earliest); err == nil && from < view.Stable {
		left, err = source.Count(ctx, view.Source.Topic, view.Source.Number, offsets.Target(from),
			offsets.Target(view.Stable), countMost)
	}
	return written, left, err
}

// add notes what stands in the way in one partition; left are the records that were written to
// the source since, and have not come from the target.
func (b *BackState) add(view *snapshot.PartitionView, left int64, source, target string) {
	give := func(format string, values ...any) {
		b.GivenUp = append(b.GivenUp, fmt.Sprintf("%s: "+format, append([]any{view.Source}, values...)...))
	}
	switch {
	case view.Blocked != "":
		return // it was not part of the cutover but for what was given up then
	case !view.TargetThere:
		give("it is gone from %s with what was written there since the cutover; up to %d records are on %s", target,
			int64(view.Stable-view.Earliest), source)
		return
	case !view.Started():
		give("it was not copied: up to %d records stay on %s, and all of up to %d records on %s are carried back",
			int64(view.Stable-view.Earliest), source, int64(view.TargetStable-view.TargetEarliest), target)
		return
	case !view.TargetSame:
		give("its topic on %s is another one than at the cutover: what was written to the one before is lost, and all of "+
			"up to %d records that are there now are carried back", target, int64(view.TargetStable-view.TargetEarliest))
		return
	}
	from := view.State.Expected()
	first := from // that the applications can have written
	if view.State.MarkerFollows {
		first++ // the marker of our last commit
	}
	if lost := int64(view.TargetEarliest - first); lost > 0 {
		give("retention has deleted up to %d records on %s that were written since the cutover", lost, target)
	}
	if left > 0 {
		give("up to %d records were written to %s after the cutover: they stay there, and %s lacks them", left, source,
			target)
	}
	for _, l := range view.State.Cuts.Left() {
		give("up to %d records that %s had lost before the cutover are not brought back to it", int64(l.To-l.From), source)
	}
	skipped := int64(0)
	for _, f := range view.State.Map.Foreign() {
		skipped += max(int64(min(f.To, from)-f.From), 0)
	}
	if skipped > 0 {
		give("up to %d records that somebody else wrote to %s before the last one that was copied are not brought "+
			"back", skipped, target)
	}
}
