package page

import (
	"time"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
)

// Status is the answer of /api/v1/status.
type Status struct {
	answers.Status                         // what status --json prints
	LookedAt       time.Time               `json:"looked_at"`    // when the look began: no answer in it is older
	LookSeconds    float64                 `json:"look_seconds"` // how long it took
	AgainSeconds   float64                 `json:"again_after_seconds"`
	Problems       []inspect.ProblemStatus `json:"problems"` // why flows could not be looked at, or not on both sides
	Remarks        []answers.Remark        `json:"remarks"`  // of each flow, in its order
	Timeline       []Event                 `json:"timeline"` // what both clusters keep; oldest first
}

// Event is something that happened once.
type Event struct {
	At    time.Time `json:"at"`
	Flow  string    `json:"flow"`
	Kind  string    `json:"kind"`
	Where string    `json:"where,omitempty"` // a partition or a topic; left out: the flow
	What  string    `json:"what"`
}

// History is the answer of /api/v1/history: what this process has measured since it began, at most some hours of it.
type History struct {
	EverySeconds float64       `json:"every_seconds"`
	Times        []time.Time   `json:"times"` // of all lists below; oldest first
	Flows        []FlowHistory `json:"flows"`
	Events       []Event       `json:"events"` // oldest first
}

// FlowHistory is what this process has measured of a flow, of the shards that it owned. Null: not known then.
type FlowHistory struct {
	Flow          string     `json:"flow"`
	Partitions    []*float64 `json:"partitions"` // that this process copied
	Lag           []*float64 `json:"lag_records"`
	Records       []*float64 `json:"records_per_second"`
	Bytes         []*float64 `json:"bytes_per_second"`
	CommitSeconds []*float64 `json:"commit_seconds"` // on average, of the commits since the time before
}

// Version is the answer of /api/v1/version.
type Version struct {
	Version string `json:"version"`
}

// Refusal is the answer where there is none.
type Refusal struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}
