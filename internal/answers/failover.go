package answers

import (
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
)

// FailedOver is the answer of failover. What is not known is -1 in lists of offsets.
type FailedOver struct {
	Flow   string                `json:"flow"`
	Done   bool                  `json:"done"`             // applications may start
	On     string                `json:"on,omitempty"`     // on that cluster
	Before bool                  `json:"before,omitempty"` // it was done by a command before this one
	Steps  []stepwise.State      `json:"steps,omitempty"`  // with --dry-run, as they were found
	Record *handover.Failover    `json:"record,omitempty"`
	Topics []handover.LostTopic  `json:"topics"`
	Groups []handover.StoodGroup `json:"groups"`
}
