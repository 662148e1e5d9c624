package answers

import (
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
)

// File is the answer of check.
type File struct {
	File  string `json:"file"`
	Flows []Flow `json:"flows"`
	HTTP  string `json:"http"` // host:port; "": nothing is served
	// Open: other machines are answered there, whoever asks.
	Open bool `json:"http_open"`
}

// FileOf is the answer about a file.
func FileOf(path, listen string, open bool, flows []settings.Config) File {
	answer := File{path, []Flow{}, listen, open}
	for i := range flows {
		answer.Flows = append(answer.Flows, flowOf(&flows[i]))
	}
	return answer
}

// Flow is what the file asks for.
type Flow struct {
	Flow          string            `json:"flow"`
	Topics        []string          `json:"topics"`
	ExcludeTopics []string          `json:"exclude_topics"`
	Groups        []string          `json:"groups"`
	ExcludeGroups []string          `json:"exclude_groups"`
	SharedGroups  []string          `json:"shared_groups"`
	Naming        policy.Naming     `json:"naming"`
	Delivery      settings.Delivery `json:"delivery"`
	Start         string            `json:"start"`
	Lane          settings.Lane     `json:"lane"`
	LaneWhy       string            `json:"lane_why"`
	Ledger        string            `json:"ledger"`
	Shards        int               `json:"shards"`
}

func flowOf(f *settings.Config) Flow {
	lane, why := f.LaneInUse()
	return Flow{f.Name(), Listed(f.Topics), Listed(f.ExcludeTopics), Listed(f.Groups), Listed(f.ExcludeGroups),
		Listed(f.SharedGroups), f.Naming, f.Delivery, string(f.Start), lane, why, f.LedgerTopic(), f.Shards}
}

// Planned is the answer of check --connect about one flow.
type Planned struct {
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

// PlannedOf is the answer about the plan of one flow.
func PlannedOf(plan *preflight.FlowPlan) Planned {
	flow := Planned{
		Flow: plan.Flow, Source: plannedCluster(plan.Source), Target: plannedCluster(plan.Target),
		Ledger: plannedLedger(plan.Ledger), Topics: []plannedTopic{}, Skipped: []inspect.LeftOut{},
		Groups: []plannedGroup{}, LeftOut: Listed(plan.LeftOut), Warnings: Listed(plan.Warnings),
		InTheWay: problems(plan.InTheWay()),
	}
	actions := map[string]string{"STOP": "stop", "STOP part": "stop", "as is": "as_is"}
	for i := range plan.Topics {
		t := &plan.Topics[i]
		one := plannedTopic{Topic: t.Source, Target: t.Target, Action: t.Verdict(), From: t.PartitionsFrom,
			To:      t.PartitionsTo,
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
