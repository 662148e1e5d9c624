package answers

import (
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
)

// FailedBack is the answer of failback.
type FailedBack struct {
	Flow    string          `json:"flow"`
	Done    bool            `json:"done"`             // the flow is open: replicas may run
	Before  bool            `json:"before,omitempty"` // it was done by a command before this one
	Choice  failback.Choice `json:"choice,omitempty"` // what becomes of orphans
	Orphans *orphans.Kept   `json:"orphans"`          // null: they were not looked for
	// HadRead are groups that had read some of them on the source: where these are appended they read them again.
	HadRead []failback.HadRead `json:"had_read,omitempty"`
	// Left are groups at work on the source, whose positions there are left as they are.
	Left   []string          `json:"left_as_they_are,omitempty"`
	Record handover.Failover `json:"record"`
	// With --return: the record of the way back, and its steps with --dry-run.
	Back  *handover.Record `json:"back,omitempty"`
	Steps []stepwise.State `json:"steps,omitempty"`
}
