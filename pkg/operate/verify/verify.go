package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

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
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

const (
	// verifyAtOnce is how many partitions are compared at the same time; each holds up to six pages of 2 MiB as they
	// travel, and what they unpack to.
	verifyAtOnce = 4
	// verifyListed is how many differences of a partition are listed.
	verifyListed = 100
)

// VerifyOptions says what is compared.
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
	// Progress, when not nil, is kept up to date; it may be looked at meanwhile.
	Progress *Progress
}

// VerifyProgress is how far Verify is.
type Progress struct {
	watch compare.Watch
	goal  atomic.Int64
}

// Look sums up; Records are those of the source, Bytes of both sides.
func (p *Progress) Look() chunk.Progress {
	return chunk.Progress{Records: p.watch.Records.Load(), Bytes: p.watch.Bytes.Load(), Done: p.watch.Passed.Load(),
		Goal: p.goal.Load()}
}

// Verify compares both sides record by record through the offset map, from where
// copying began, or as the options say, up to the progress that the ledger has now. It
// writes nothing, and reads as no group's member. A partition that cannot be compared
// says why, and makes the verdict incomplete; an error means that nothing could be.
func Verify(ctx context.Context, i *snapshot.Viewer, o Options) (*Verification, error) {
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	begun := time.Now()
	v, p, err := planVerify(ctx, i, &o)
	if err != nil {
		return nil, err
	}
	jobs, err := verifyJobs(ctx, i, p, &o)
	if err != nil {
		return nil, err
	}
	leftOut, closeClaims, err := leftOut(i)
	if err != nil {
		return nil, err
	}
	defer closeClaims()
	if err := compareAll(ctx, i, jobs, leftOut, &o); err != nil {
		return nil, err
	}
	for _, job := range jobs {
		v.add(job.report)
	}
	for _, err := range p.Problems {
		v.Problems = append(v.Problems, inspect.ProblemOf(err))
	}
	if v.Groups, err = inspect.Groups(ctx, i); err != nil {
		v.Groups = []inspect.GroupStatus{}
		v.Problems = append(v.Problems, inspect.ProblemStatus{Error: "group positions: " + err.Error(),
			Remedy: chunk.Remedy(err)})
	}
	if o.Topics != nil {
		for j := range v.Groups {
			v.Groups[j].Positions = slices.DeleteFunc(v.Groups[j].Positions,
				func(at inspect.PositionStatus) bool { return !o.Topics(at.Topic) })
		}
	}
	if err := verifyNames(ctx, i, v, p, o.Topics); err != nil {
		return nil, err
	}
	v.Begun, v.Ended = begun.UTC(), time.Now().UTC()
	v.judge()
	return v, ctx.Err()
}

// planVerify takes the picture that everything goes by.
func planVerify(ctx context.Context, i *snapshot.Viewer, o *Options) (*Verification, *snapshot.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.LookLimit)
	defer cancel()
	wanted := o.Topics
	if wanted == nil {
		wanted = func(string) bool { return true }
	}
	p, err := i.Take(ctx, wanted, false)
	if err == nil && p.LedgerErr == nil && madeMeanwhile(i, p) {
		p, err = i.Take(ctx, wanted, false)
	}
	if err == nil {
		err = p.LedgerErr
	}
	if err != nil {
		return nil, nil, err
	}
	if o.Topics == nil {
		if err := i.FindHidden(ctx, p); err != nil {
			return nil, nil, err
		}
	}
	if list, settled, err := i.Replicas(ctx); err == nil {
		p.Work = snapshot.WorkOf(list, settled, len(p.Books))
	}
	v := &Verification{
		Version: VerificationVersion, Program: o.Program, Flow: i.Flow.Name(), Delivery: i.Flow.Delivery,
		Incomplete: []Doubt{}, Filters: o.Filters, NeverRan: neverRan(p), LeftOut: []inspect.LeftOut{},
		NotCompared: []inspect.LeftOut{},
		Ledger:      i.Flow.LedgerTopic(), Source: ClusterName{i.Flow.From, p.Source.Id},
		Target: ClusterName{i.Flow.To, p.Target.Id}, Taken: p.Taken.UTC(),
		Unverified: map[string]int64{}, Partitions: []VerifiedPartition{}, Problems: []inspect.ProblemStatus{},
	}
	if !o.Since.IsZero() {
		since := o.Since.UTC()
		v.Since = &since
	}
	return v, p, nil
}

// neverRan says whether the ledger is missing, or knows of no partition.
func neverRan(p *snapshot.Snapshot) bool {
	for i := range p.Books {
		if len(p.Books[i].Keys()) > 0 {
			return false
		}
	}
	return true
}

// verifyNames adds what the flow's patterns choose and is not among the partitions.
func verifyNames(ctx context.Context, i *snapshot.Viewer, v *Verification, p *snapshot.Snapshot,
	wanted func(topic string) bool) error {
	names, err := i.Groups.Names(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var held []groups.Held
	for _, g := range v.Groups {
		held = append(held, groups.Held{Group: g.Group})
	}
	if err != nil {
		names = nil // why not is among the problems
	}
	v.LeftOut = slices.DeleteFunc(inspect.LeftOutNames(i, p.Source, names, held), func(l inspect.LeftOut) bool {
		return wanted != nil && l.Kind == policy.Topics && !wanted(l.Name)
	})
	v.NotCompared = inspect.NotCompared(i, p, wanted)
	return nil
}

// madeMeanwhile says whether the ledger, which is looked at after the target, tells
// of records in a topic that was not there yet when the target was looked at.
func madeMeanwhile(i *snapshot.Viewer, p *snapshot.Snapshot) bool {
	for _, s := range i.Views(p) {
		if !s.Started() || s.TargetErr != nil || s.TargetThere {
			continue
		}
		if _, copied := s.State.Map.Last(); copied {
			return true
		}
	}
	return false
}

// verifyJob is one partition to compare.
type job struct {
	report         *VerifiedPartition
	spot           *snapshot.PartitionView
	partition      compare.Partition
	source, target compare.Remote
	next           compare.Remote // what the source holds behind what is compared
	failed         error          // why there is nothing to compare
}

// verifyJobs says, for each partition, which ranges are compared.
func verifyJobs(ctx context.Context, i *snapshot.Viewer, p *snapshot.Snapshot, o *Options) ([]*job, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.LookLimit)
	defer cancel()
	compacts, err := inspect.Compacted(ctx, i, p)
	if err != nil {
		return nil, err
	}
	begins := map[chunk.Partition]offsets.Source{}
	if !o.Since.IsZero() {
		marks, err := i.SourceOffsets.At(ctx, p.Topics, o.Since)
		if err != nil {
			return nil, err
		}
		for partition, mark := range marks {
			if mark.Err == nil {
				begins[partition] = offsets.Source(mark.Offset)
			}
		}
	}
	var jobs []*job
	for _, topic := range slices.Sorted(slices.Values(p.Topics)) {
		for n := range p.Source.Topics[topic].Partitions {
			s := i.View(p, chunk.Partition{Topic: topic, Number: int32(n)})
			from, ok := o.From[s.Source]
			if !ok {
				from, ok = begins[s.Source]
			}
			if !ok && !o.Since.IsZero() {
				s.Unknown = fmt.Errorf("the source does not tell where %s stands in the partition", o.Since)
			}
			job := newJob(ctx, i, p, s, from, o.OwnOnly)
			job.partition.SourceCompacts, job.partition.TargetCompacts = compacts.Source[topic], compacts.Target[s.Target.Topic]
			o.Progress.goal.Add(job.report.SourceTo - job.report.SourceFrom)
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// verifyJob fills in one partition, from a source offset on.
func newJob(ctx context.Context, i *snapshot.Viewer, p *snapshot.Snapshot, s *snapshot.PartitionView,
	from offsets.Source,
	ownOnly bool) *job {
	status := inspect.PartitionOf(i, p, s)
	job := &job{spot: s, report: &VerifiedPartition{
		Holes: status.Holes, remedy: status.Remedy,
		Topic: s.Source.Topic, Partition: s.Source.Number, TargetTopic: s.Target.Topic, State: status.Phase,
		Reason: status.Reason, NotCopied: status.Behind, Unverified: map[string]int64{}, Differences: []compare.Difference{},
	}}
	switch {
	case s.Unknown != nil:
		job.failed = s.Unknown
		return job
	case !s.Started():
		return job // NotCopied says it all
	case s.TargetErr != nil:
		job.failed = s.TargetErr
		return job
	case !s.TargetThere || !s.TargetSame:
		if _, copied := s.State.Map.Last(); copied {
			job.failed = &kafka.Problem{What: status.Reason, Fix: status.Remedy}
		} else { // started, and there is nothing to compare
			job.report.NotCopied = max(int64(s.Stable-s.Earliest), 0)
		}
		return job
	}
	s, own, err := i.BeforeCut(ctx, s)
	if err != nil {
		job.failed = err
		return job
	}
	begin, floor := min(s.State.Start, s.State.Progress), s.State.Floor
	if from > begin {
		begin = min(from, s.State.Progress)
		found, err := s.State.Map.Translate(begin, s.State.Progress, i.Segments(ctx, s))
		if err != nil {
			job.failed = err
			return job
		}
		floor = max(floor, found.Target)
	}
	end, settled, err := targetEnd(i, p, s, floor)
	if ownOnly || s.Cut != nil {
		end = max(floor, own)
	}
	if err != nil {
		job.failed = err
		return job
	}
	job.report.SourceFrom, job.report.SourceTo = int64(begin), int64(s.State.Progress)
	job.report.KnownLost = lostFrom(status.Holes, int64(begin), begin > s.State.Start)
	job.giveUp(status.GivenUp, begin)
	job.report.TargetFrom, job.report.TargetTo = int64(floor), int64(end)
	walk := s.State.Map.Walk(begin)
	job.partition = compare.Partition{
		From: begin, GivenUp: job.partition.GivenUp, Foreign: s.State.Map.Foreign(), Left: s.State.Cuts.Left(),
		Settled: settled, Progress: s.State.Progress, Next: &job.next, SourceStart: int64(s.Earliest),
		TargetStart: int64(s.TargetEarliest), Repeats: i.Flow.Delivery == settings.AtLeastOnce, Most: verifyListed,
		Runs: func(ctx context.Context) ([]offsets.Run, error) { return walk.Next(i.Segments(ctx, s)) },
	}
	job.source = compare.Remote{Cluster: i.SourceCluster, Topic: s.Source.Topic,
		ID: p.Source.Topics[s.Source.Topic].Id, Number: s.Source.Number,
		From: int64(max(begin, s.Earliest)), To: int64(s.State.Progress)}
	job.next = job.source
	job.next.From, job.next.To = int64(max(s.State.Progress, s.Earliest)), int64(s.Stable)
	job.target = compare.Remote{Cluster: i.TargetCluster, Topic: s.Target.Topic, ID: s.State.TargetTopic,
		Number: s.Target.Number,
		From:   int64(max(floor, s.TargetEarliest)), To: int64(end)}
	return job
}

// giveUp notes what orders have left out of what is compared.
func (j *job) giveUp(list []inspect.GivenUp, begin offsets.Source) {
	for _, g := range list {
		if g.From = max(g.From, int64(begin)); g.From < g.To {
			j.report.GivenUp = append(j.report.GivenUp, g)
			j.report.KnownLost += g.To - g.From
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
func targetEnd(i *snapshot.Viewer, p *snapshot.Snapshot, s *snapshot.PartitionView, floor offsets.Target) (end,
	settled offsets.Target, err error) {
	_, mapped := s.State.Map.Last()
	own := max(floor, s.State.Expected())
	direction, err := handover.DirectionOf(s.Book.Shard)
	if err != nil {
		return 0, 0, err
	}
	handedOver, err := handedOver(p, s)
	switch {
	case err != nil:
		return 0, 0, err
	case direction.Closed || handedOver > 0: // what came after the cutover is the applications'
		return max(own, handedOver), math.MaxInt64, nil
	case i.Flow.Delivery == settings.AtLeastOnce || s.Book.Unsettled || !s.State.Marked && mapped:
		return max(own, s.TargetEarlyEnd), own, nil
	}
	return max(own, s.TargetEarlyEnd), math.MaxInt64, nil
}

// handedOver is where the target ended when applications went over to it; 0: they did not.
func handedOver(p *snapshot.Snapshot, s *snapshot.PartitionView) (offsets.Target, error) {
	var record handover.Record
	var topic handover.Topic
	err := errors.Join(handover.Decode(p.Books[0].Note(handover.RecordName), &record),
		handover.Decode(p.Books[0].Note(handover.TopicName(s.Source.Topic)), &topic))
	if err != nil || record.State != handover.Done || topic.ID != record.ID ||
		int(s.Source.Number) >= len(topic.TargetEnds) {
		return 0, err
	}
	return offsets.Target(max(topic.TargetEnds[s.Source.Number], 0)), nil
}

// leftOut is the test whether the flow leaves out what a producer id wrote; nil: it
// leaves out nothing.
func leftOut(i *snapshot.Viewer) (test func(context.Context, int64) (bool, error), done func(), err error) {
	lane, _ := i.Flow.LaneInUse()
	opposite := i.Flow.OppositeLedger()
	if lane != settings.LaneBatch || opposite == "" {
		return nil, func() {}, nil
	}
	claims, err := ledger.OpenClaims(i.SourceCluster, opposite)
	if err != nil {
		return nil, nil, err
	}
	seen := time.Now() // what is read was there before
	return func(ctx context.Context, producer int64) (bool, error) { return claims.Claimed(ctx, producer, seen) },
		claims.Close, nil
}

// compareAll works on the jobs, several at a time, each over connections of its own.
func compareAll(ctx context.Context, i *snapshot.Viewer, jobs []*job,
	leftOut func(context.Context, int64) (bool, error), o *Options) error {
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
			source, err := kafka.NewFranz(i.SourceCluster)
			if err != nil {
				return err
			}
			defer source.Close()
			target, err := kafka.NewFranz(i.TargetCluster)
			if err != nil {
				return err
			}
			defer target.Close()
			for job := range queue {
				job.source.Client, job.next.Client, job.target.Client = source, source, target
				job.partition.LeftOut = leftOut
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
