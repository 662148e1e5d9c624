package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// limit bounds a drill, but for how long groups may take to follow.
const limit = 5 * time.Minute

// Options say what is rehearsed.
type Options struct {
	Clusters map[string]kafka.Config // the flow's two at least
	Flow     settings.Config
	InFlight time.Duration // see [Report]
	Program  string        // the version that rehearses, for the report
	NoTopic  bool          // no test topic is made: what the target takes is not tried
	Began    func(does string)
}

// drill is one under way. It belongs to one goroutine.
type drill struct {
	o      Options
	viewer *snapshot.Viewer // nil until both clusters have answered
	snap   *snapshot.Snapshot
	views  map[chunk.Partition]*snapshot.PartitionView
	parts  []inspect.PartitionStatus // by topic and number
	trial  trial
	report *Report
}

// step is one of a drill.
type step struct {
	name, does string
	failover   bool // a failover takes it too
	needed     bool // without it nothing can be said
	do         func(context.Context) error
}

// Run rehearses. An error means that one of the clusters, or the flow's ledger, could not be asked: nothing is known
// then. Everything else that is not as it ought to be is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+o.InFlight)
	defer cancel()
	d := &drill{o: o, report: &Report{
		Version: ReportVersion, Program: o.Program, Flow: o.Flow.Name(), Ledger: o.Flow.LedgerTopic(),
		Begun: time.Now().UTC(), InFlight: o.InFlight.Seconds(), Reasons: []Reason{}, Groups: []Receipt{},
		Warnings: []inspect.ProblemStatus{}, Problems: []inspect.ProblemStatus{}, Missing: []preflight.MissingACL{},
		RPO: RPO{Topics: []TopicRPO{}},
	}}
	d.trial = trial{flow: &d.o.Flow, cluster: o.Clusters[o.Flow.To], warn: d.warn}
	defer d.close()
	for _, s := range d.steps() {
		if err := d.take(ctx, s); err != nil {
			return nil, err
		}
	}
	d.report.Topic = d.trial.name
	d.report.judge()
	return d.report, nil
}

// steps are what a drill consists of, in their order.
func (d *drill) steps() []step {
	from, to := d.o.Flow.From, d.o.Flow.To
	trial := []step{
		{"topic", fmt.Sprintf("a test topic is made on %s", to), false, false, d.trial.begin},
		{"fence", fmt.Sprintf("a fenced transaction for each of %d shards is written to it", d.o.Flow.Shards), true, false,
			d.trial.fence},
		{"read", "a new consumer reads it", true, false, d.trial.read},
		{"delete", "the test topic is deleted", false, false, d.trial.end},
	}
	if d.o.NoTopic {
		trial = nil
		d.warn(fmt.Sprintf("no test topic was made: whether %s takes what a failover writes was not tried, and rto lacks it",
			to), "")
	}
	return slices.Concat([]step{
		{"reach", fmt.Sprintf("%s and %s answer", from, to), true, true, d.reach},
		{"rights", "the rights that a failover and the applications need are there", false, false, d.rights},
		{"look", "the ledger is read, and where both sides stand", true, true, d.look},
		{"groups", "every position is translated", true, false, d.translate},
		{"rpo", "the oldest records that are not copied are looked at", false, false, d.measure},
		{"compare", "the last records of each partition are compared through the map", false, false, d.compare},
	}, trial, []step{{"follow", "the groups follow", false, false, d.follow}})
}

// take takes a step and its time.
func (d *drill) take(ctx context.Context, s step) error {
	if d.o.Began != nil {
		d.o.Began(s.does)
	}
	begun := time.Now()
	err := s.do(ctx)
	if errors.Is(err, errNothingToDo) {
		return nil
	}
	lasted := time.Since(begun).Seconds()
	d.report.RTO.Steps = append(d.report.RTO.Steps, Step{s.name, s.does, lasted, s.failover, err != nil})
	if s.failover {
		d.report.RTO.Seconds += lasted
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case s.needed:
		return err
	default:
		d.because(Reason{Why: fmt.Sprintf("step %s: %v", s.name, err), Remedy: chunk.Remedy(err)})
	}
	return nil
}

// errNothingToDo is a step that is left out, as one before it did not succeed.
var errNothingToDo = errors.New("there is nothing to do")

func (d *drill) because(r Reason) { d.report.Reasons = append(d.report.Reasons, r) }

func (d *drill) warn(what, remedy string) {
	d.report.Warnings = append(d.report.Warnings, inspect.ProblemStatus{Error: what, Remedy: remedy})
}

// close takes away what is left of a drill that was ended in the middle.
func (d *drill) close() {
	d.trial.abandon()
	if d.viewer != nil {
		d.viewer.Close()
	}
}

func (d *drill) reach(ctx context.Context) (err error) {
	if d.viewer, err = snapshot.Open(ctx, d.o.Clusters, d.o.Flow, nil); err != nil {
		return err
	}
	d.report.Source = Cluster{d.o.Flow.From, d.viewer.SourceID}
	d.report.Target = Cluster{d.o.Flow.To, d.viewer.TargetID}
	return nil
}

// rights asks for what a run needs, and so a failover, and for what applications may do on the source alone.
func (d *drill) rights(ctx context.Context) error {
	plan, err := preflight.Plan(ctx, d.viewer)
	if err != nil {
		return err
	}
	for _, problem := range plan.Problems {
		d.because(Reason{Why: problem.Error(), Remedy: chunk.Remedy(problem)})
	}
	for i := range plan.Topics {
		if stop := plan.Topics[i].Stop; stop != nil {
			d.because(Reason{Why: "topic " + plan.Topics[i].Source + ": " + stop.Reason, Remedy: stop.Remedy()})
		}
	}
	return d.rightsOnGroups(ctx, plan)
}

// look takes the snapshot that everything else is about.
func (d *drill) look(ctx context.Context) error {
	v := d.viewer
	snap, err := inspect.TakeRan(ctx, v, func(string) bool { return true }, true,
		"start it with 'replicator run': only what is copied can be failed over to")
	if err == nil {
		err = v.FindHidden(ctx, snap)
	}
	if err == nil {
		err = handover.NotClosed(snap.Books[0].Shard, snap.Books[0].Shard, v.FlowName())
	}
	if err != nil {
		return fmt.Errorf("flow %s: %w", v.FlowName(), err)
	}
	list, settled, err := v.Replicas(ctx)
	if err != nil {
		snap.Problems = append(snap.Problems, err)
	} else {
		snap.Work = snapshot.WorkOf(list, settled, len(snap.Books))
		snap.NoteOtherRules(list)
	}
	d.snap, d.views, d.report.Taken = snap, snap.Views(), snap.Taken.UTC()
	for at, view := range d.views {
		snap.Problems = append(snap.Problems, inspect.Ahead(view)...)
		d.parts = append(d.parts, inspect.PartitionStatusOf(snap, view))
		d.views[at] = view
	}
	slices.SortFunc(d.parts, func(a, b inspect.PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, problem := range snap.Problems {
		one := inspect.ProblemStatusOf(problem)
		d.report.Problems = append(d.report.Problems, one)
		d.because(Reason{Why: one.Error, Remedy: one.Remedy})
	}
	missing, warnings := preflight.MissingACLs(ctx, v, snap)
	d.report.Missing = append(d.report.Missing, missing...)
	d.report.Warnings = append(d.report.Warnings, warnings...)
	return nil
}

// judge draws the conclusion; a reason that was found twice is told once.
func (r *Report) judge() {
	told := map[string]bool{}
	r.Reasons = slices.DeleteFunc(r.Reasons, func(one Reason) bool {
		again := told[one.String()]
		told[one.String()] = true
		return again
	})
	r.Verdict = Ready
	if len(r.Reasons) > 0 {
		r.Verdict = NotReady
	}
	r.Ended = time.Now().UTC()
}

// client opens a client of a cluster for a step.
func client(cluster kafka.Config) (*kgo.Client, error) {
	return kafka.NewFranz(cluster, kgo.RequestRetries(3), kgo.RetryTimeout(kafka.AskLimit))
}
