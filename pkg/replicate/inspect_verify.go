package replicate

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
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

const (
	// verifyAtOnce is how many partitions are compared at the same time; each holds up to six pages of 2 MiB as they
	// travel, and what they unpack to.
	verifyAtOnce = 4
	// verifyListed is how many differences of a partition are listed.
	verifyListed = 100
)

// VerifyOptions says what is compared.
type VerifyOptions struct {
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
	Progress *VerifyProgress
}

// VerifyProgress is how far Verify is.
type VerifyProgress struct {
	watch compare.Watch
	goal  atomic.Int64
}

// Look sums up; Records are those of the source, Bytes of both sides.
func (p *VerifyProgress) Look() Progress {
	return Progress{Records: p.watch.Records.Load(), Bytes: p.watch.Bytes.Load(), Done: p.watch.Passed.Load(),
		Goal: p.goal.Load()}
}

// Verify compares both sides record by record through the offset map, from where
// copying began, or as the options say, up to the progress that the ledger has now. It
// writes nothing, and reads as no group's member. A partition that cannot be compared
// says why, and makes the verdict incomplete; an error means that nothing could be.
func (i *Inspection) Verify(ctx context.Context, o VerifyOptions) (*Verification, error) {
	if o.Progress == nil {
		o.Progress = &VerifyProgress{}
	}
	begun := time.Now()
	v, p, err := i.planVerify(ctx, &o)
	if err != nil {
		return nil, err
	}
	jobs, err := i.verifyJobs(ctx, p, &o)
	if err != nil {
		return nil, err
	}
	leftOut, closeClaims, err := i.leftOut()
	if err != nil {
		return nil, err
	}
	defer closeClaims()
	if err := i.compareAll(ctx, jobs, leftOut, &o); err != nil {
		return nil, err
	}
	for _, job := range jobs {
		v.add(job.report)
	}
	for _, err := range p.problems {
		v.Problems = append(v.Problems, problemStatus(err))
	}
	if v.Groups, err = i.Groups(ctx); err != nil {
		v.Groups = []GroupStatus{}
		v.Problems = append(v.Problems, ProblemStatus{Error: "group positions: " + err.Error(), Remedy: chunk.Remedy(err)})
	}
	if o.Topics != nil {
		for j := range v.Groups {
			v.Groups[j].Positions = slices.DeleteFunc(v.Groups[j].Positions,
				func(at PositionStatus) bool { return !o.Topics(at.Topic) })
		}
	}
	if err := i.verifyNames(ctx, v, p, o.Topics); err != nil {
		return nil, err
	}
	v.Begun, v.Ended = begun.UTC(), time.Now().UTC()
	v.judge()
	return v, ctx.Err()
}

// planVerify takes the picture that everything goes by.
func (i *Inspection) planVerify(ctx context.Context, o *VerifyOptions) (*Verification, *picture, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	wanted := o.Topics
	if wanted == nil {
		wanted = func(string) bool { return true }
	}
	p, err := i.look(ctx, wanted, false)
	if err == nil && p.ledgerErr == nil && i.madeMeanwhile(p) {
		p, err = i.look(ctx, wanted, false)
	}
	if err == nil {
		err = p.ledgerErr
	}
	if err != nil {
		return nil, nil, err
	}
	if o.Topics == nil {
		if err := i.lookForHidden(ctx, p); err != nil {
			return nil, nil, err
		}
	}
	if list, settled, err := i.members(ctx); err == nil {
		p.work = workOf(list, settled, len(p.books))
	}
	v := &Verification{
		Version: VerificationVersion, Program: o.Program, Flow: i.cfg.Name(), Delivery: i.cfg.Delivery,
		Incomplete: []Doubt{}, Filters: o.Filters, NeverRan: p.neverRan(), LeftOut: []LeftOut{}, NotCompared: []LeftOut{},
		Ledger: i.cfg.LedgerTopic(), Source: ClusterName{i.cfg.From, p.source.id},
		Target: ClusterName{i.cfg.To, p.target.id}, Taken: p.taken.UTC(),
		Unverified: map[string]int64{}, Partitions: []VerifiedPartition{}, Problems: []ProblemStatus{},
	}
	if !o.Since.IsZero() {
		since := o.Since.UTC()
		v.Since = &since
	}
	return v, p, nil
}

// neverRan says whether the ledger is missing, or knows of no partition.
func (p *picture) neverRan() bool {
	for i := range p.books {
		if len(p.books[i].Keys()) > 0 {
			return false
		}
	}
	return true
}

// verifyNames adds what the flow's patterns choose and is not among the partitions.
func (i *Inspection) verifyNames(ctx context.Context, v *Verification, p *picture,
	wanted func(topic string) bool) error {
	names, err := i.groups.Names(ctx)
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
	v.LeftOut = slices.DeleteFunc(i.leftOutNames(p.source, names, held), func(l LeftOut) bool {
		return wanted != nil && l.Kind == policy.Topics && !wanted(l.Name)
	})
	v.NotCompared = i.notCompared(p, wanted)
	return nil
}

// madeMeanwhile says whether the ledger, which is looked at after the target, tells
// of records in a topic that was not there yet when the target was looked at.
func (i *Inspection) madeMeanwhile(p *picture) bool {
	for _, s := range i.spots(p) {
		if !s.started() || s.targetErr != nil || s.targetThere {
			continue
		}
		if _, copied := s.state.Map.Last(); copied {
			return true
		}
	}
	return false
}

// verifyJob is one partition to compare.
type verifyJob struct {
	report         *VerifiedPartition
	spot           *spot
	partition      compare.Partition
	source, target compare.Remote
	next           compare.Remote // what the source holds behind what is compared
	failed         error          // why there is nothing to compare
}

// verifyJobs says, for each partition, which ranges are compared.
func (i *Inspection) verifyJobs(ctx context.Context, p *picture, o *VerifyOptions) ([]*verifyJob, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	compacts, err := i.compacted(ctx, p)
	if err != nil {
		return nil, err
	}
	begins := map[chunk.Partition]offsets.Source{}
	if !o.Since.IsZero() {
		marks, err := i.sourceMarks.At(ctx, p.topics, o.Since)
		if err != nil {
			return nil, err
		}
		for partition, mark := range marks {
			if mark.Err == nil {
				begins[partition] = offsets.Source(mark.Offset)
			}
		}
	}
	var jobs []*verifyJob
	for _, topic := range slices.Sorted(slices.Values(p.topics)) {
		for n := range p.source.topics[topic].partitions {
			s := i.spotOf(p, chunk.Partition{Topic: topic, Number: int32(n)})
			from, ok := o.From[s.partition]
			if !ok {
				from, ok = begins[s.partition]
			}
			if !ok && !o.Since.IsZero() {
				s.unknown = fmt.Errorf("the source does not tell where %s stands in the partition", o.Since)
			}
			job := i.verifyJob(ctx, p, s, from, o.OwnOnly)
			job.partition.SourceCompacts, job.partition.TargetCompacts = compacts.source[topic], compacts.target[s.at.Topic]
			o.Progress.goal.Add(job.report.SourceTo - job.report.SourceFrom)
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// verifyJob fills in one partition, from a source offset on.
func (i *Inspection) verifyJob(ctx context.Context, p *picture, s *spot, from offsets.Source,
	ownOnly bool) *verifyJob {
	status := i.partitionStatus(p, s)
	job := &verifyJob{spot: s, report: &VerifiedPartition{
		Holes: status.Holes, remedy: status.Remedy,
		Topic: s.partition.Topic, Partition: s.partition.Number, TargetTopic: s.at.Topic, State: status.Phase,
		Reason: status.Reason, NotCopied: status.Behind, Unverified: map[string]int64{}, Differences: []compare.Difference{},
	}}
	switch {
	case s.unknown != nil:
		job.failed = s.unknown
		return job
	case !s.started():
		return job // NotCopied says it all
	case s.targetErr != nil:
		job.failed = s.targetErr
		return job
	case !s.targetThere || !s.targetSame:
		if _, copied := s.state.Map.Last(); copied {
			job.failed = &kafka.Problem{What: status.Reason, Fix: status.Remedy}
		} else { // started, and there is nothing to compare
			job.report.NotCopied = max(int64(s.stable-s.earliest), 0)
		}
		return job
	}
	s, own, err := i.beforeCut(ctx, s)
	if err != nil {
		job.failed = err
		return job
	}
	begin, floor := min(s.state.Start, s.state.Progress), s.state.Floor
	if from > begin {
		begin = min(from, s.state.Progress)
		found, err := s.state.Map.Translate(begin, s.state.Progress, i.segments(ctx, s))
		if err != nil {
			job.failed = err
			return job
		}
		floor = max(floor, found.Target)
	}
	end, settled, err := i.targetEnd(p, s, floor)
	if ownOnly || s.cut != nil {
		end = max(floor, own)
	}
	if err != nil {
		job.failed = err
		return job
	}
	job.report.SourceFrom, job.report.SourceTo = int64(begin), int64(s.state.Progress)
	job.report.KnownLost = lostFrom(status.Holes, int64(begin), begin > s.state.Start)
	job.giveUp(status.GivenUp, begin)
	job.report.TargetFrom, job.report.TargetTo = int64(floor), int64(end)
	walk := s.state.Map.Walk(begin)
	job.partition = compare.Partition{
		From: begin, GivenUp: job.partition.GivenUp, Foreign: s.state.Map.Foreign(), Left: s.state.Cuts.Left(),
		Settled: settled, Progress: s.state.Progress, Next: &job.next, SourceStart: int64(s.earliest),
		TargetStart: int64(s.targetEarliest), Repeats: i.cfg.Delivery == AtLeastOnce, Most: verifyListed,
		Runs: func(ctx context.Context) ([]offsets.Run, error) { return walk.Next(i.segments(ctx, s)) },
	}
	job.source = compare.Remote{Cluster: i.sourceCluster, Topic: s.partition.Topic,
		ID: p.source.topics[s.partition.Topic].id, Number: s.partition.Number,
		From: int64(max(begin, s.earliest)), To: int64(s.state.Progress)}
	job.next = job.source
	job.next.From, job.next.To = int64(max(s.state.Progress, s.earliest)), int64(s.stable)
	job.target = compare.Remote{Cluster: i.targetCluster, Topic: s.at.Topic, ID: s.state.TargetTopic, Number: s.at.Number,
		From: int64(max(floor, s.targetEarliest)), To: int64(end)}
	return job
}

// giveUp notes what orders have left out of what is compared.
func (j *verifyJob) giveUp(list []GivenUp, begin offsets.Source) {
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
func lostFrom(holes *HoleStatus, begin int64, some bool) int64 {
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
func (i *Inspection) targetEnd(p *picture, s *spot, floor offsets.Target) (end, settled offsets.Target, err error) {
	_, mapped := s.state.Map.Last()
	own := max(floor, s.state.Expected())
	direction, err := directionOf(s.book.Shard)
	if err != nil {
		return 0, 0, err
	}
	handedOver, err := p.handedOver(s)
	switch {
	case err != nil:
		return 0, 0, err
	case direction.Closed || handedOver > 0: // what came after the cutover is the applications'
		return max(own, handedOver), math.MaxInt64, nil
	case i.cfg.Delivery == AtLeastOnce || s.book.unsettled || !s.state.Marked && mapped:
		return max(own, s.targetEarlyEnd), own, nil
	}
	return max(own, s.targetEarlyEnd), math.MaxInt64, nil
}

// handedOver is where the target ended when applications went over to it; 0: they did not.
func (p *picture) handedOver(s *spot) (offsets.Target, error) {
	var record handover.Record
	var topic handover.Topic
	err := errors.Join(handover.Decode(p.books[0].Note(handover.RecordName), &record),
		handover.Decode(p.books[0].Note(handover.TopicName(s.partition.Topic)), &topic))
	if err != nil || record.State != handover.Done || topic.ID != record.ID ||
		int(s.partition.Number) >= len(topic.TargetEnds) {
		return 0, err
	}
	return offsets.Target(max(topic.TargetEnds[s.partition.Number], 0)), nil
}

// segments reads sealed parts of a partition's map.
func (i *Inspection) segments(ctx context.Context, s *spot) offsets.Load {
	return func(head offsets.Head) ([]offsets.Run, error) { return i.ledger.Segment(ctx, int32(s.shard), head) }
}

// leftOut is the test whether the flow leaves out what a producer id wrote; nil: it
// leaves out nothing.
func (i *Inspection) leftOut() (test func(context.Context, int64) (bool, error), done func(), err error) {
	lane, _ := i.cfg.LaneInUse()
	opposite := i.cfg.OppositeLedger()
	if lane != LaneBatch || opposite == "" {
		return nil, func() {}, nil
	}
	claims, err := ledger.OpenClaims(i.sourceCluster, opposite)
	if err != nil {
		return nil, nil, err
	}
	seen := time.Now() // what is read was there before
	return func(ctx context.Context, producer int64) (bool, error) { return claims.Claimed(ctx, producer, seen) },
		claims.Close, nil
}

// compareAll works on the jobs, several at a time, each over connections of its own.
func (i *Inspection) compareAll(ctx context.Context, jobs []*verifyJob,
	leftOut func(context.Context, int64) (bool, error), o *VerifyOptions) error {
	queue := make(chan *verifyJob)
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
			source, err := kafka.NewFranz(i.sourceCluster)
			if err != nil {
				return err
			}
			defer source.Close()
			target, err := kafka.NewFranz(i.targetCluster)
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
func (j *verifyJob) compare(ctx context.Context, watch *compare.Watch) error {
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
