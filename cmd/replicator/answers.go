package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// What --json prints, where no other file says it. Fields may be added, none changes
// its name or meaning.

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON, whose fields are stable")
}

// checkedFile is the answer of check.
type checkedFile struct {
	File  string        `json:"file"`
	Flows []checkedFlow `json:"flows"`
	HTTP  string        `json:"http"` // host:port; "": nothing is served
}

// checkedFlow is what the file asks for.
type checkedFlow struct {
	Flow          string            `json:"flow"`
	Topics        []string          `json:"topics"`
	ExcludeTopics []string          `json:"exclude_topics"`
	Groups        []string          `json:"groups"`
	ExcludeGroups []string          `json:"exclude_groups"`
	Naming        policy.Naming     `json:"naming"`
	Delivery      settings.Delivery `json:"delivery"`
	Start         string            `json:"start"`
	Lane          settings.Lane     `json:"lane"`
	LaneWhy       string            `json:"lane_why"`
	Ledger        string            `json:"ledger"`
	Shards        int               `json:"shards"`
}

func checkedOf(f *settings.Config) checkedFlow {
	lane, why := f.LaneInUse()
	return checkedFlow{f.Name(), listed(f.Topics), listed(f.ExcludeTopics), listed(f.Groups), listed(f.ExcludeGroups),
		f.Naming, f.Delivery, string(f.Start), lane, why, f.LedgerTopic(), f.Shards}
}

// listed is a list that JSON shows as one, also if it is empty.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// plannedFlow is the answer of check --connect about one flow.
type plannedFlow struct {
	Flow     string                  `json:"flow"`
	Source   plannedCluster          `json:"source"`
	Target   plannedCluster          `json:"target"`
	Ledger   plannedLedger           `json:"ledger"`
	Topics   []plannedTopic          `json:"topics"`   // selected ones, by name
	Skipped  []inspect.LeftOut       `json:"skipped"`  // all other topics, each with the rule
	Groups   []plannedGroup          `json:"groups"`   // selected ones with a position, by name
	LeftOut  []inspect.LeftOut       `json:"left_out"` // what the patterns choose and a rule leaves out
	Warnings []string                `json:"warnings"`
	InTheWay []inspect.ProblemStatus `json:"in_the_way"`
}

type plannedCluster struct {
	Name    string `json:"name"`
	ID      string `json:"cluster_id"`
	Brokers int    `json:"brokers"`
}

type plannedLedger struct {
	Topic  string `json:"topic"`
	Exists bool   `json:"exists"`
	Shards int    `json:"shards"`
}

type plannedTopic struct {
	Topic   string                  `json:"topic"`
	Target  string                  `json:"target_topic"`
	Action  string                  `json:"action"` // create, alter, as_is or stop
	From    int                     `json:"partitions_now"`
	To      int                     `json:"partitions"`
	Records int64                   `json:"records_to_copy"` // offsets: no more records than that
	Set     map[string]string       `json:"set"`
	Stops   []inspect.ProblemStatus `json:"stops"`
}

type plannedGroup struct {
	Group     string         `json:"group"`
	Target    string         `json:"target_group"`
	Positions int            `json:"positions"`
	Alone     map[string]int `json:"left_alone"` // positions, by reason
	Error     string         `json:"error,omitempty"`
}

func plannedOf(plan *preflight.FlowPlan) plannedFlow {
	flow := plannedFlow{
		Flow: plan.Flow, Source: plannedCluster(plan.Source), Target: plannedCluster(plan.Target),
		Ledger: plannedLedger(plan.Ledger), Topics: []plannedTopic{}, Skipped: []inspect.LeftOut{},
		Groups: []plannedGroup{}, LeftOut: listed(plan.LeftOut), Warnings: listed(plan.Warnings),
		InTheWay: problems(plan.InTheWay()),
	}
	actions := map[string]string{"STOP": "stop", "STOP part": "stop", "as is": "as_is"}
	for i := range plan.Topics {
		t := &plan.Topics[i]
		one := plannedTopic{Topic: t.Source, Target: t.Target, Action: verdict(t), From: t.PartitionsFrom, To: t.PartitionsTo,
			Records: t.Behind, Set: t.Set, Stops: []inspect.ProblemStatus{}}
		if word := actions[one.Action]; word != "" {
			one.Action = word
		}
		if t.Stop != nil {
			one.Stops = append(one.Stops, inspect.ProblemStatus{Error: t.Stop.Reason, Remedy: t.Stop.Remedy()})
		}
		for _, s := range t.Stops {
			one.Stops = append(one.Stops, inspect.ProblemStatus{Error: s.Error(), Remedy: s.Remedy()})
		}
		flow.Topics = append(flow.Topics, one)
	}
	for _, s := range plan.Skipped {
		flow.Skipped = append(flow.Skipped, inspect.LeftOut{Kind: policy.Topics, Name: s.Topic, Why: s.Why})
	}
	for i := range plan.Groups {
		g := &plan.Groups[i]
		one := plannedGroup{Group: g.Group, Target: g.Target, Positions: g.Positions, Alone: g.Alone}
		if g.Err != nil {
			one.Error = g.Err.Error()
		}
		flow.Groups = append(flow.Groups, one)
	}
	return flow
}

// problems are errors with their remedies.
func problems(list []error) []inspect.ProblemStatus {
	all := []inspect.ProblemStatus{}
	for _, err := range list {
		all = append(all, inspect.ProblemStatus{Error: err.Error(), Remedy: chunk.Remedy(err)})
	}
	return all
}

// translated is the answer of offsets.
type translated struct {
	Flow      string          `json:"flow"`
	Topic     string          `json:"topic"`
	Target    string          `json:"target_topic"`
	Partition int32           `json:"partition"`
	Inverse   bool            `json:"inverse"` // from target to source
	At        offsets.Source  `json:"source_offset"`
	Is        offsets.Target  `json:"target_offset"`
	Rule      string          `json:"rule"`
	Why       string          `json:"why"`
	Progress  offsets.Source  `json:"progress"`
	SourceEnd offsets.Source  `json:"source_end"`
	TargetEnd offsets.Target  `json:"target_end"`
	Foreign   []inspect.Range `json:"foreign"` // stretches of the target that the flow did not write
	// GivenUp is the stretch around the source's offset that an order of resume has left out; SourceLost: what stands
	// at the target's offset, from which was asked, was copied before the source lost it.
	GivenUp    *inspect.GivenUp `json:"given_up,omitempty"`
	SourceLost bool             `json:"source_lost,omitempty"`
	Skips      *inspect.Skips   `json:"skips,omitempty"` // what a reader from there on will not read on the target
}

func translatedOf(t *inspect.Translation) translated {
	one := translated{t.Flow, t.Topic, t.TargetTopic, t.Partition, t.Inverse, t.Source, t.Target, t.RuleCode, sentence(t),
		t.Progress, t.SourceEnd, t.TargetEnd, []inspect.Range{}, t.GivenUp, t.SourceLost, t.Skips}
	for _, f := range t.Foreign {
		one.Foreign = append(one.Foreign, inspect.Range{From: int64(f.From), To: int64(f.To)})
	}
	return one
}

// handedOver is the answer of cutover and rollback.
type handedOver struct {
	Flow  string           `json:"flow"`
	Done  bool             `json:"done"`            // applications may start
	On    string           `json:"on,omitempty"`    // on that cluster
	Steps []stepwise.State `json:"steps,omitempty"` // with --dry-run, as they were found
	Back  *backJSON        `json:"back,omitempty"`  // of a rollback
	// Left are groups that were used since, whose positions are left as they are.
	Left []string `json:"left_as_they_are,omitempty"`
	// LeftOut are groups that the patterns choose, and that cannot be moved, as they have no position.
	LeftOut  []inspect.LeftOut `json:"left_out,omitempty"`
	Settings []topics.Back     `json:"settings,omitempty"` // what became of those that the flow had set
	// Before is the cutover before, as status tells it, and Verdict what is done about it: first (there is none that
	// counts), go_on, nothing (is to be done), stage or anew. Undone: it is forgotten, with --undo.
	Before  *inspect.CutoverStatus `json:"before,omitempty"`
	Verdict cutover.Verdict        `json:"verdict,omitempty"`
	Undone  bool                   `json:"undone,omitempty"`
	Record  *handover.Record       `json:"record,omitempty"`
}

// backJSON is how far back is safe.
type backJSON struct {
	Records int64    `json:"records"` // at most that many were written on the target since the cutover
	Topics  int      `json:"topics"`
	Written []string `json:"written_topics"` // those of them that were written to
	Made    []string `json:"made_since"`
	GivenUp []string `json:"force_gives_up"`
}

// errAsked: JSON is for those who cannot be asked.
var errAsked = errors.New("--json needs --yes to go on, or --dry-run to look")

// tellSteps prints a plan, or keeps it for the answer.
func (f *handoverFlags) tellSteps(w io.Writer, states []stepwise.State, h procedure) {
	if f.asJSON {
		f.answer.Steps, f.answer.LeftOut = states, h.LeftOut()
		return
	}
	printSteps(w, states)
	(&printer{w: w}).leftOut(h.LeftOut())
}

// errorsOf is what could not be printed, else what there is to tell.
func errorsOf(printing, told error) error {
	if printing != nil {
		return printing
	}
	return told
}

// looked ends a command that only looks.
func (f *handoverFlags) looked(w io.Writer, err error) error {
	if f.asJSON && f.dry {
		err = errorsOf(printJSON(w, f.answer, true), err)
	}
	return err
}

// ended says what may start.
func (f *handoverFlags) ended(w io.Writer, h procedure, back []topics.Back, r handover.Record, cluster string) error {
	if f.asJSON {
		f.answer.LeftOut = h.LeftOut()
		f.answer.Done, f.answer.On, f.answer.Settings, f.answer.Record = true, cluster, back, &r
		return printJSON(w, f.answer, true)
	}
	if err := printBacks(w, back, cluster); err != nil {
		return err
	}
	(&printer{w: w}).leftOut(h.LeftOut())
	return printDone(w, r, cluster)
}

// madeTopics is the answer of topics about one flow.
type madeTopics struct {
	Flow    string         `json:"flow"`
	Right   int            `json:"right"` // topics that are as they are to be
	Stopped []stoppedTopic `json:"stopped"`
}

type stoppedTopic struct {
	Topic  string `json:"topic"` // on the source
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}
