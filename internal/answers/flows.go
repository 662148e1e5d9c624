package answers

import (
	"errors"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/await"
	"replicator/pkg/operate/drill"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
)

// Status is what --json prints.
type Status struct {
	Flows  []*inspect.FlowStatus `json:"flows"`            // those that could be looked at
	Failed []Failed              `json:"failed,omitempty"` // those that could not, or not on all of both sides
}

// StatusOf is the answer about flows, of which some could not be looked at.
func StatusOf(seen []*inspect.FlowStatus, failed []error) Status {
	s := Status{Flows: seen}
	for _, err := range failed {
		one := Failed{Error: err.Error(), Remedy: chunk.Remedy(err)}
		var of *inspect.FlowError
		if errors.As(err, &of) {
			one.Flow = of.Flow
		}
		s.Failed = append(s.Failed, one)
	}
	return s
}

// Verified is the document of --json and --report.
type Verified struct {
	Flows  []*verify.Report `json:"flows"`  // those that could be looked at
	Failed []Failed         `json:"failed"` // those that could not
	// SignedBy is the key that has signed the file of --report: the SHA-256 of the public key.
	SignedBy string `json:"signed_by,omitempty"`
}

// Rehearsed is the document of drill's --json and --report.
type Rehearsed struct {
	Drills   []*drill.Report `json:"drills"` // of the flows that could be looked at
	Failed   []Failed        `json:"failed"`
	SignedBy string          `json:"signed_by,omitempty"`
}

// Kept is what the documents of --report have in common.
type Kept struct {
	Flows    []Concluded `json:"flows"`  // of verify
	Drills   []Concluded `json:"drills"` // of drill
	Failed   []Failed    `json:"failed"`
	SignedBy string      `json:"signed_by"`
}

// Concluded is what a report says of a flow in a word.
type Concluded struct {
	Flow    string    `json:"flow"`
	Verdict string    `json:"verdict"`
	Taken   time.Time `json:"taken"`
}

// Signed is the answer of report verify.
type Signed struct {
	Report   string `json:"report"`
	Holds    bool   `json:"holds"` // it is what was signed
	SignedBy string `json:"signed_by,omitempty"`
	Why      string `json:"why,omitempty"` // it does not hold
}

// Failed is a flow of which nothing is known.
type Failed struct {
	Flow   string `json:"flow"`
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

// MadeTopics is the answer of topics about one flow.
type MadeTopics struct {
	Flow    string         `json:"flow"`
	Right   int            `json:"right"` // topics that are as they are to be
	Stopped []StoppedTopic `json:"stopped"`
}

// StoppedTopic is a topic that cannot be copied, and why.
type StoppedTopic struct {
	Topic  string `json:"topic"` // on the source
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// Translated is the answer of offsets.
type Translated struct {
	Flow      string         `json:"flow"`
	Topic     string         `json:"topic"`
	Target    string         `json:"target_topic"`
	Partition int32          `json:"partition"`
	Inverse   bool           `json:"inverse"` // from target to source
	At        offsets.Source `json:"source_offset"`
	Is        offsets.Target `json:"target_offset"`
	Rule      string         `json:"rule"`
	Why       string         `json:"why"`
	Progress  offsets.Source `json:"progress"`
	SourceEnd offsets.Source `json:"source_end"`
	TargetEnd offsets.Target `json:"target_end"`
	// EndsUnknown: the source does not tell where it ends, and source_end is 0 and means nothing; LastSeen is what was
	// noted of it.
	EndsUnknown bool              `json:"ends_unknown,omitempty"`
	LastSeen    *inspect.LastSeen `json:"last_seen,omitempty"`
	Foreign     []inspect.Range   `json:"foreign"` // stretches of the target that the flow did not write
	// GivenUp is the stretch around the source's offset that an order of resume has left out; SourceLost: what stands
	// at the target's offset, from which was asked, was copied before the source lost it.
	GivenUp    *inspect.GivenUp `json:"given_up,omitempty"`
	SourceLost bool             `json:"source_lost,omitempty"`
	// BothMaps: in a pair the maps of both flows led to it. OneMap says why only one did, and what may be wrong for it.
	BothMaps bool           `json:"both_maps,omitempty"`
	OneMap   string         `json:"one_map,omitempty"`
	Skips    *inspect.Skips `json:"skips,omitempty"` // what a reader from there on will not read on the target
}

// TranslatedOf is the answer about one translated position.
func TranslatedOf(t *inspect.Translation) Translated {
	one := Translated{t.Flow, t.Topic, t.TargetTopic, t.Partition, t.Inverse, t.Source, t.Target, t.RuleCode, t.Words(),
		t.Progress, t.SourceEnd, t.TargetEnd, t.EndsUnknown, t.LastSeen, []inspect.Range{}, t.GivenUp, t.SourceLost,
		t.ByBoth, t.OneMap, t.Skips}
	for _, f := range t.Foreign {
		one.Foreign = append(one.Foreign, inspect.Range{From: int64(f.From), To: int64(f.To)})
	}
	return one
}

// Waited is the answer of wait.
type Waited struct {
	Holds        bool              `json:"holds"`
	Missing      string            `json:"missing,omitempty"`       // what does not hold
	Never        bool              `json:"never,omitempty"`         // waiting does not bring it about
	ByTimestamps []string          `json:"by_timestamps,omitempty"` // topics of which that is all that tells
	LeftOut      []inspect.LeftOut `json:"left_out,omitempty"`      // groups of which nothing is known
}

// WaitedOf is the answer to what waiting has ended with; false if there is none, for want of news from the clusters.
func WaitedOf(w *await.Waiter, err error) (Waited, bool) {
	answer := Waited{Holds: err == nil, ByTimestamps: w.ByTimestamps, LeftOut: w.LeftOut}
	var notYet *await.NotYetError
	var never *await.NeverError
	switch {
	case errors.As(err, &notYet):
		answer.Missing = notYet.Missing
	case errors.As(err, &never):
		answer.Missing, answer.Never = never.Missing, true
	case err != nil:
		return answer, false
	}
	return answer, true
}
