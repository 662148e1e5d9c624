package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
)

const (
	// verifyAtOnce is how many partitions are compared at the same time; each holds up to six pages of 2 MiB as they
	// travel, and what they unpack to.
	verifyAtOnce = 4
	// verifyListed is how many differences of a partition are listed.
	verifyListed = 100
)

// Options say what is compared.
type Options struct {
	Topics  func(topic string) bool // by its name on the source; nil: all that the flow selects
	Filters Filters                 // how it was asked for, for the report
	Program string                  // the version that compares, for the report
	// Since begins, in each partition, at the first source record with that timestamp or a later one; zero: where
	// copying began.
	Since time.Time
	// From begins at a source offset, in the partitions that it names, and comes before Since.
	From map[chunk.Partition]offsets.Source
	// OwnOnly ends, on the target, at the last record that was copied: what comes after it is somebody else's.
	OwnOnly bool
	// Progress, when not nil, is kept up to date; it may be read meanwhile.
	Progress *Progress
}

// Progress is how far a comparison is.
type Progress struct {
	watch compare.Watch
	goal  atomic.Int64
}

// Now sums up; Records are those of the source, Bytes of both sides.
func (p *Progress) Now() chunk.Progress {
	return chunk.Progress{Records: p.watch.Records.Load(), Bytes: p.watch.Bytes.Load(), Done: p.watch.Passed.Load(),
		Goal: p.goal.Load()}
}

// Flow compares both sides record by record through the offset map, from where
// copying began, or as the options say, up to the progress that the ledger has now. It
// writes nothing, and reads as no group's member. A partition that cannot be compared
// says why, and makes the verdict incomplete; an error means that nothing could be.
func Flow(ctx context.Context, viewer *snapshot.Viewer, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	begun := time.Now()
	report, snap, err := planVerify(ctx, viewer, &o)
	if err != nil {
		return nil, err
	}
	jobs, err := verifyJobs(ctx, viewer, snap, &o)
	if err != nil {
		return nil, err
	}
	leftOut, closeClaims, err := leftOut(viewer)
	if err != nil {
		return nil, err
	}
	defer closeClaims()
	if err := compareAll(ctx, viewer, jobs, leftOut, &o); err != nil {
		return nil, err
	}
	for _, job := range jobs {
		report.add(job.report)
	}
	for _, err := range snap.Problems {
		report.Problems = append(report.Problems, inspect.ProblemStatusOf(err))
	}
	if report.Groups, err = inspect.GroupStatuses(ctx, viewer); err != nil {
		report.Groups = []inspect.GroupStatus{}
		report.Problems = append(report.Problems, inspect.ProblemStatus{Error: "group positions: " + err.Error(),
			Remedy: chunk.Remedy(err)})
	}
	if o.Topics != nil {
		for j := range report.Groups {
			report.Groups[j].Positions = slices.DeleteFunc(report.Groups[j].Positions,
				func(at inspect.PositionStatus) bool { return !o.Topics(at.Topic) })
		}
	}
	if err := verifyNames(ctx, viewer, report, snap, o.Topics); err != nil {
		return nil, err
	}
	report.Begun, report.Ended = begun.UTC(), time.Now().UTC()
	report.judge()
	return report, ctx.Err()
}

// planVerify takes the snapshot that everything goes by.
func planVerify(ctx context.Context, viewer *snapshot.Viewer, o *Options) (*Report, *snapshot.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	wanted := o.Topics
	if wanted == nil {
		wanted = func(string) bool { return true }
	}
	snap, err := viewer.Take(ctx, wanted, false)
	if err == nil && snap.LedgerErr == nil && madeMeanwhile(viewer, snap) {
		snap, err = viewer.Take(ctx, wanted, false)
	}
	if err == nil {
		err = snap.LedgerErr
	}
	if err != nil {
		return nil, nil, err
	}
	if o.Topics == nil {
		if err := viewer.FindHidden(ctx, snap); err != nil {
			return nil, nil, err
		}
	}
	if list, settled, err := viewer.Replicas(ctx); err == nil {
		snap.Work = snapshot.WorkOf(list, settled, len(snap.Books))
	}
	report := &Report{
		Version: ReportVersion, Program: o.Program, Flow: viewer.Flow.Name(), Delivery: viewer.Flow.Delivery,
		Incomplete: []Doubt{}, Filters: o.Filters, NeverRan: neverRan(snap), LeftOut: []inspect.LeftOut{},
		NotCompared: []inspect.LeftOut{},
		Ledger:      viewer.Flow.LedgerTopic(), Source: ClusterName{viewer.Flow.From, snap.Source.ID},
		Target: ClusterName{viewer.Flow.To, snap.Target.ID}, Taken: snap.Taken.UTC(),
		Unverified: map[string]int64{}, Partitions: []Partition{}, Problems: []inspect.ProblemStatus{},
	}
	if !o.Since.IsZero() {
		since := o.Since.UTC()
		report.Since = &since
	}
	return report, snap, nil
}

// neverRan says whether the ledger is missing, or knows of no partition.
func neverRan(snap *snapshot.Snapshot) bool {
	for i := range snap.Books {
		if len(snap.Books[i].Keys()) > 0 {
			return false
		}
	}
	return true
}

// verifyNames adds what the flow's patterns choose and is not among the partitions.
func verifyNames(ctx context.Context, viewer *snapshot.Viewer, report *Report, snap *snapshot.Snapshot,
	wanted func(topic string) bool) error {
	if snap.Away != nil {
		return nil // nobody tells
	}
	asking, cancel := snapshot.Bounded(ctx, viewer)
	defer cancel()
	names, err := viewer.Groups.Names(asking)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var held []groups.Held
	for _, g := range report.Groups {
		held = append(held, groups.Held{Group: g.Group})
	}
	if err != nil {
		names = nil // why not is among the problems
	}
	report.LeftOut = inspect.LeftOutNames(viewer, snap.Source, names, held)
	report.LeftOut = slices.DeleteFunc(report.LeftOut, func(l inspect.LeftOut) bool {
		return wanted != nil && l.Kind == policy.Topics && !wanted(l.Name)
	})
	report.NotCompared = inspect.NotCompared(viewer, snap, wanted)
	return nil
}

// madeMeanwhile says whether the ledger, which is looked at after the target, tells
// of records in a topic that was not there yet when the target was looked at.
func madeMeanwhile(viewer *snapshot.Viewer, snap *snapshot.Snapshot) bool {
	for _, view := range snap.Views() {
		if !view.Started() || view.TargetErr != nil || view.TargetThere {
			continue
		}
		if _, copied := view.State.Map.Last(); copied {
			return true
		}
	}
	return false
}

// job is one partition to compare.
type job struct {
	report         *Partition
	view           *snapshot.PartitionView
	partition      compare.Partition
	source, target compare.Remote
	next           compare.Remote // what the source holds behind what is compared
	topics         provenance.Topics
	failed         error // why there is nothing to compare
}

// verifyJobs says, for each partition, which ranges are compared.
func verifyJobs(ctx context.Context, viewer *snapshot.Viewer, snap *snapshot.Snapshot, o *Options) ([]*job, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	var compacts inspect.Compactions
	var err error
	if snap.Away == nil { // else nothing is compared
		if compacts, err = inspect.CompactedTopics(ctx, viewer, snap); err != nil {
			return nil, err
		}
	}
	begins := map[chunk.Partition]offsets.Source{}
	if !o.Since.IsZero() && snap.Away == nil {
		starts, err := viewer.SourceOffsets.At(ctx, snap.Topics, o.Since)
		if err != nil {
			return nil, err
		}
		for partition, listed := range starts {
			if listed.Err == nil {
				begins[partition] = offsets.Source(listed.Offset)
			}
		}
	}
	var jobs []*job
	for _, topic := range slices.Sorted(slices.Values(snap.Topics)) {
		for n := range snap.Source.Topics[topic].Partitions {
			view := snap.View(chunk.Partition{Topic: topic, Number: int32(n)})
			from, ok := o.From[view.Source]
			if !ok {
				from, ok = begins[view.Source]
			}
			if !ok && !o.Since.IsZero() && snap.Away == nil {
				view.Unknown = fmt.Errorf("the source does not tell where %s stands in the partition", o.Since)
			}
			snap.Problems = append(snap.Problems, inspect.Ahead(view)...)
			job := newJob(ctx, viewer, snap, view, from, o.OwnOnly)
			job.partition.SourceCompacts = compacts.Source[topic]
			job.partition.TargetCompacts = compacts.Target[view.Target.Topic]
			o.Progress.goal.Add(job.report.SourceTo - job.report.SourceFrom)
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// newJob fills in one partition, from a source offset on.
func newJob(ctx context.Context, viewer *snapshot.Viewer, snap *snapshot.Snapshot, view *snapshot.PartitionView,
	from offsets.Source,
	ownOnly bool) *job {
	status := inspect.PartitionStatusOf(snap, view)
	job := &job{view: view, report: &Partition{
		Holes: status.Holes, remedy: status.Remedy,
		Topic: view.Source.Topic, Partition: view.Source.Number, TargetTopic: view.Target.Topic, State: status.Phase,
		Reason: status.Reason, NotCopied: status.Behind, Unverified: map[string]int64{}, Differences: []compare.Difference{},
	}}
	switch {
	case snap.Away != nil:
		job.failed = errors.New("nothing is compared: " + inspect.KnownAlone(&status))
		return job
	case view.Unknown != nil:
		job.failed = view.Unknown
		return job
	case !view.Started():
		return job // NotCopied says it all
	case view.TargetErr != nil:
		job.failed = view.TargetErr
		return job
	case !view.TargetThere || !view.TargetSame:
		if _, copied := view.State.Map.Last(); copied {
			job.failed = &kafka.Problem{What: status.Reason, Fix: status.Remedy}
		} else { // started, and there is nothing to compare
			job.report.NotCopied = max(int64(view.Stable-view.Earliest), 0)
		}
		return job
	}
	view, own, err := viewer.BeforeCut(ctx, view)
	if err != nil {
		job.failed = err
		return job
	}
	begin, floor := min(view.State.Start, view.State.Progress), view.State.Floor
	if from > begin {
		begin = min(from, view.State.Progress)
		found, err := view.State.Map.Translate(begin, view.State.Progress, viewer.Segments(ctx, view))
		if err != nil {
			job.failed = err
			return job
		}
		floor = max(floor, found.Target)
	}
	end, settled, err := targetEnd(viewer, snap, view, floor)
	if ownOnly || view.Cut != nil {
		end = max(floor, own)
	}
	if err != nil {
		job.failed = err
		return job
	}
	job.report.SourceFrom, job.report.SourceTo = int64(begin), int64(view.State.Progress)
	job.report.KnownLost = lostFrom(status.Holes, int64(begin), begin > view.State.Start)
	job.giveUp(status.GivenUp, begin)
	job.report.TargetFrom, job.report.TargetTo = int64(floor), int64(end)
	walk := view.State.Map.Walk(begin)
	job.partition = compare.Partition{
		From: begin, GivenUp: job.partition.GivenUp, Foreign: view.State.Map.Foreign(), Left: view.State.Cuts.Left(),
		Settled: settled, Progress: view.State.Progress, Next: &job.next, SourceStart: int64(view.Earliest),
		TargetStart: int64(view.TargetEarliest), Repeats: viewer.Flow.Delivery == settings.AtLeastOnce, Most: verifyListed,
		Runs: func(ctx context.Context) ([]offsets.Run, error) { return walk.Next(viewer.Segments(ctx, view)) },
	}
	if viewer.Writers.CarriesBack(view.Target.Topic) {
		job.partition.Native = func(r *kgo.Record) bool { return !claimedBy(snap, r.ProducerID) }
	}
	job.readsFrom(viewer, snap, view, begin, floor, end)
	return job
}

// readsFrom says which parts of the logs are read.
func (j *job) readsFrom(viewer *snapshot.Viewer, snap *snapshot.Snapshot, view *snapshot.PartitionView,
	begin offsets.Source, floor, end offsets.Target) {
	j.topics = provenance.Topics{Source: snap.Source.Topics[view.Source.Topic].ID, Target: view.State.TargetTopic}
	j.source = compare.Remote{Cluster: viewer.SourceCluster, Topic: view.Source.Topic,
		ID: snap.Source.Topics[view.Source.Topic].ID, Number: view.Source.Number,
		From: int64(max(begin, view.Earliest)), To: int64(view.State.Progress)}
	j.next = j.source
	j.next.From, j.next.To = int64(max(view.State.Progress, view.Earliest)), int64(view.Stable)
	j.target = compare.Remote{Cluster: viewer.TargetCluster, Topic: view.Target.Topic, ID: view.State.TargetTopic,
		Number: view.Target.Number,
		From:   int64(max(floor, view.TargetEarliest)), To: int64(end)}
}

// claimedBy says whether the flow wrote under a producer id.
func claimedBy(snap *snapshot.Snapshot, producer int64) bool {
	return slices.ContainsFunc(snap.Books, func(b snapshot.Book) bool { return b.Shard != nil && b.Claims(producer) })
}

// giveUp notes what orders have left out of what is compared.
func (j *job) giveUp(list []inspect.GivenUp, begin offsets.Source) {
	for _, g := range list {
		if g = g.Within(int64(begin), g.To); g.From < g.To {
			j.report.GivenUp = append(j.report.GivenUp, g)
			j.report.KnownLost += g.Most()
			j.partition.GivenUp = append(j.partition.GivenUp,
				compare.Range{From: offsets.Source(g.From), To: offsets.Source(g.To)})
		}
	}
}

// lostFrom is how many records at most are in holes from a source offset on. Of all but
// the last only the sum is known.
func lostFrom(holes *inspect.HoleStatus, begin int64, some bool) int64 {
	switch {
	case holes == nil || holes.Last.To <= begin:
		return 0
	case some && (holes.Count == 1 || holes.Last.From <= begin):
		return holes.Last.To - max(holes.Last.From, begin)
	}
	return holes.Offsets
}

// targetEnd is how far the target is compared, and from where on what is outside the
// map may be ours all the same: without transactions records come before the ledger
// tells of them.
func targetEnd(viewer *snapshot.Viewer, snap *snapshot.Snapshot, view *snapshot.PartitionView,
	floor offsets.Target) (end, settled offsets.Target, err error) {
	_, mapped := view.State.Map.Last()
	own := max(floor, view.State.Expected())
	direction, err := handover.DirectionOf(view.Book.Shard)
	if err != nil {
		return 0, 0, err
	}
	handedOver, err := handedOver(snap, view)
	switch {
	case err != nil:
		return 0, 0, err
	case direction.Closed || handedOver > 0: // what came after the cutover is the applications'
		return max(own, handedOver), math.MaxInt64, nil
	case viewer.Flow.Delivery == settings.AtLeastOnce || view.Book.Unsettled || !view.State.MarkerFollows && mapped:
		return max(own, view.TargetStable), own, nil
	}
	return max(own, view.TargetStable), math.MaxInt64, nil
}

// handedOver is where the target ended when applications went over to it; 0: they did not.
func handedOver(snap *snapshot.Snapshot, view *snapshot.PartitionView) (offsets.Target, error) {
	var record handover.Record
	var topic handover.Topic
	err := errors.Join(handover.Decode(snap.Books[0].Note(handover.RecordName), &record),
		handover.Decode(snap.Books[0].Note(handover.TopicName(view.Source.Topic)), &topic))
	if err != nil || record.State != handover.Done || topic.ID != record.ID ||
		int(view.Source.Number) >= len(topic.TargetEnds) {
		return 0, err
	}
	return offsets.Target(max(topic.TargetEnds[view.Source.Number], 0)), nil
}

// leftOutTest says whether a record of the source is left out, of those topics.
type leftOutTest func(ctx context.Context, at chunk.Partition, r *kgo.Record, topics provenance.Topics) (bool, error)

// leftOut is the test whether the flow leaves out a record, by who wrote it; nil: it
// leaves out nothing.
func leftOut(viewer *snapshot.Viewer) (test leftOutTest, done func(), err error) {
	writers, err := provenance.OpenSourceWriters(&viewer.Flow, viewer.SourceCluster, viewer.TargetCluster)
	if writers == nil || err != nil {
		return nil, func() {}, err
	}
	seen := time.Now() // what is read was there before
	return func(ctx context.Context, at chunk.Partition, r *kgo.Record, topics provenance.Topics) (bool, error) {
		return writers.LeftOut(ctx, chunk.Written{Partition: at, Offset: r.Offset, Producer: r.ProducerID,
			Transactional: r.Attrs.IsTransactional(), Seen: seen}, topics)
	}, writers.Close, nil
}

// compareAll works on the jobs, several at a time, each over connections of its own.
func compareAll(ctx context.Context, viewer *snapshot.Viewer, jobs []*job,
	leftOut leftOutTest, o *Options) error {
	queue := make(chan *job)
	together, ctx := errgroup.WithContext(ctx)
	together.Go(func() error {
		defer close(queue)
		for _, job := range jobs {
			select {
			case queue <- job:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(verifyAtOnce, len(jobs)) {
		together.Go(func() error {
			source, err := kafka.NewFranz(viewer.SourceCluster)
			if err != nil {
				return err
			}
			defer source.Close()
			target, err := kafka.NewFranz(viewer.TargetCluster)
			if err != nil {
				return err
			}
			defer target.Close()
			for job := range queue {
				job.source.Client, job.next.Client, job.target.Client = source, source, target
				if leftOut != nil {
					job.partition.LeftOut = func(ctx context.Context, r *kgo.Record) (bool, error) {
						return leftOut(ctx, job.view.Source, r, job.topics)
					}
				}
				if err := job.compare(ctx, &o.Progress.watch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return together.Wait()
}

// compare fills in the report; an error is one of ctx.
func (j *job) compare(ctx context.Context, watch *compare.Watch) error {
	if j.failed == nil && j.partition.Runs != nil {
		j.partition.Watch = watch
		var found *compare.Result
		if found, j.failed = j.partition.Compare(ctx, &j.source, &j.target); j.failed == nil {
			j.report.take(found)
		}
	}
	if j.failed != nil {
		j.report.Error, j.report.Remedy = j.failed.Error(), chunk.Remedy(j.failed)
	}
	return ctx.Err()
}
