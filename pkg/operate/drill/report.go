package drill

import (
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
)

// ReportVersion is the version of a report's JSON.
const ReportVersion = 1

// Verdict is what a drill comes to.
type Verdict string

// The verdicts.
const (
	Ready    Verdict = "ready"     // a failover now loses nothing but what is in flight, and every group stands exactly
	NotReady Verdict = "not_ready" // each reason is told
)

// Report is that of one drill. Its JSON is stable: fields may be added, none changes its name or meaning while Version
// stays. Offsets and counts are numbers, times RFC 3339, durations seconds; null is not known.
type Report struct {
	Version  int                     `json:"version"`
	Program  string                  `json:"program"` // the version that rehearsed
	Flow     string                  `json:"flow"`    // as old->new
	Verdict  Verdict                 `json:"verdict"`
	Reasons  []Reason                `json:"reasons"`  // why it is not ready; none with ready
	Warnings []inspect.ProblemStatus `json:"warnings"` // what else somebody ought to know
	Source   Cluster                 `json:"source"`
	Target   Cluster                 `json:"target"`
	Ledger   string                  `json:"ledger"`
	Begun    time.Time               `json:"begun"`
	Taken    time.Time               `json:"taken"` // the moment that "now" is about
	Ended    time.Time               `json:"ended"`
	// InFlight is how old a record that is not copied may be, or that a group would read again, and how long a group may
	// take to follow, to count as in flight.
	InFlight float64                 `json:"in_flight_seconds"`
	RPO      RPO                     `json:"rpo"`
	RTO      RTO                     `json:"rto"`
	Compared Compared                `json:"compared"`
	Groups   []Receipt               `json:"groups"` // by name, topic and partition
	Topic    string                  `json:"test_topic"`
	Missing  []preflight.MissingACL  `json:"missing_acls"` // of applications
	Problems []inspect.ProblemStatus `json:"problems"`     // what could not be seen
}

// Cluster tells a cluster by its name in the configuration and its own id.
type Cluster struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Reason is why a failover now would not be right.
type Reason struct {
	Group     string `json:"group,omitempty"`
	Topic     string `json:"topic,omitempty"` // of the source
	Partition *int32 `json:"partition,omitempty"`
	Why       string `json:"why"`
	Remedy    string `json:"remedy,omitempty"`
}

func (r *Reason) String() string {
	text := r.Why
	if r.Topic != "" && r.Partition != nil {
		text = fmt.Sprintf("%s/%d: %s", r.Topic, *r.Partition, r.Why)
	}
	if r.Group != "" {
		text = fmt.Sprintf("group %s in %s", r.Group, text)
	}
	return text
}

// RPO is what a failover now would lose.
type RPO struct {
	Seconds float64    `json:"seconds"` // age of the oldest record that is not copied, by its timestamp; 0: there is none
	Records int64      `json:"records"` // at most that many are not copied
	Open    int64      `json:"open_records"`
	Topics  []TopicRPO `json:"topics"` // by name
}

// TopicRPO is that of one topic.
type TopicRPO struct {
	Topic   string  `json:"topic"` // of the source
	Seconds float64 `json:"seconds"`
	Records int64   `json:"records"`
	// Open counts offsets behind the first open transaction: what is in them is copied once they are committed.
	Open    int64 `json:"open_records"`
	Unknown int   `json:"partitions_not_known"` // of which the source does not tell where they end
}

// RTO is how long a failover takes, as far as its steps can be taken without one.
type RTO struct {
	Seconds float64 `json:"seconds"` // the sum of those that a failover takes
	Steps   []Step  `json:"steps"`   // all that the drill took, in their order
}

// Step is one step of a drill.
type Step struct {
	Step     string  `json:"step"`
	Does     string  `json:"does"`
	Seconds  float64 `json:"seconds"`
	Failover bool    `json:"failover"` // a failover takes it as well
	Failed   bool    `json:"failed"`
}

// Compared says what became of the last records of each partition: one after the other is looked up through the map.
type Compared struct {
	Alike   int64 `json:"alike"`
	Unknown int64 `json:"not_known"` // one side does not hold it any more
	Differs int64 `json:"different"`
}

// Receipt is where a group would stand in one partition.
type Receipt struct {
	Group     string          `json:"group"`
	Target    string          `json:"target_group"`
	Topic     string          `json:"topic"` // of the source
	Partition int32           `json:"partition"`
	Source    offsets.Source  `json:"source_offset"` // committed on the source: what it reads next there
	Exact     *offsets.Target `json:"exact"`         // the exact translation of that; null: there is none
	Stands    *offsets.Target `json:"target_offset"` // where it stands on the target; null: nowhere
	State     string          `json:"state"`         // as in status
	Why       string          `json:"why,omitempty"`
	// ReadAgain and Lost are the records that it would read again, and skip, from where it stands.
	ReadAgain *int64 `json:"read_again"`
	Lost      *int64 `json:"lost"`
	// AgainSeconds is how old the oldest record is that it would read again; left out: not known, or nothing is.
	AgainSeconds *float64 `json:"read_again_seconds,omitempty"`
	// Exactly: it stands at its translation, or where it would read nothing again and lose nothing. At a translation over
	// the logs of a pair, whose orders differ, it may read again what came meanwhile. InFlight: it does not, but what it
	// would read again is young enough to be in flight, or it came to its translation while that would.
	Exactly  bool `json:"exactly"`
	InFlight bool `json:"in_flight"`

	remedy string
	left   bool // it does not follow by itself
}
