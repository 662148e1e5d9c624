package answers

import (
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/topics"
)

// HandedOver is the answer of cutover and rollback.
type HandedOver struct {
	Flow  string           `json:"flow"`
	Done  bool             `json:"done"`            // applications may start
	On    string           `json:"on,omitempty"`    // on that cluster
	Steps []stepwise.State `json:"steps,omitempty"` // with --dry-run, as they were found
	Back  *WayBack         `json:"back,omitempty"`  // of a rollback
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

// WayBack is how far back is safe.
type WayBack struct {
	Records int64    `json:"records"` // at most that many were written on the target since the cutover
	Topics  int      `json:"topics"`
	Written []string `json:"written_topics"` // those of them that were written to
	Made    []string `json:"made_since"`
	GivenUp []string `json:"force_gives_up"`
}

// WayBackOf is that of a rollback.
func WayBackOf(s *cutover.BackState) *WayBack {
	return &WayBack{s.Records, s.Topics, Listed(s.Written), Listed(s.Made), Listed(s.GivenUp)}
}
