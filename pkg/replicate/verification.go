package replicate

import (
	"time"

	"replicator/pkg/replicate/verify"
)

// VerificationVersion is the version of a report's JSON.
const VerificationVersion = 1

// Verdict is what a verification comes to.
type Verdict string

// The verdicts.
const (
	Equal      Verdict = "equal"      // no difference among all that could be checked
	Different  Verdict = "different"  // at least one difference
	Incomplete Verdict = "incomplete" // no difference seen, but some partition could not be compared at all
)

// Verification is the report of one comparison of both sides. Its JSON is stable:
// fields may be added, none changes its name or meaning while Version stays.
type Verification struct {
	Version  int         `json:"version"`
	Flow     string      `json:"flow"` // as old->new
	Verdict  Verdict     `json:"verdict"`
	Source   ClusterName `json:"source"`
	Target   ClusterName `json:"target"`
	Delivery Delivery    `json:"delivery"`
	Ledger   string      `json:"ledger"` // the topic on the target that the map was read from
	Begun    time.Time   `json:"begun"`
	Taken    time.Time   `json:"taken"` // when progress and ends were asked for: what came later was not compared
	Ended    time.Time   `json:"ended"`
	Since    *time.Time  `json:"since"` // what is older was not compared; null: all was
	VerifiedCounts
	Unverified map[string]int64    `json:"unverified"` // records that could not be checked, by reason
	NotCopied  int64               `json:"not_copied"` // source offsets beyond progress, when progress was taken
	Partitions []VerifiedPartition `json:"partitions"` // by topic and number
	Groups     []GroupStatus       `json:"groups"`     // as status shows them, when the comparison had ended
	Problems   []ProblemStatus     `json:"problems"`   // what could not be seen
}

// ClusterName tells a cluster by its name in the configuration and its own id.
type ClusterName struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// VerifiedCounts are records.
type VerifiedCounts struct {
	Compared   int64 `json:"compared"` // on both sides at their places, equal or not
	Missing    int64 `json:"missing"`
	Changed    int64 `json:"changed"`
	Extra      int64 `json:"extra"`   // on the target, and not explained by the map
	Foreign    int64 `json:"foreign"` // the same, where the flow has noted that somebody else wrote
	OutOfOrder int64 `json:"out_of_order"`
}

// Differences is the sum of all but the compared ones.
func (c *VerifiedCounts) Differences() int64 {
	return c.Missing + c.Changed + c.Extra + c.Foreign + c.OutOfOrder
}

// VerifiedPartition is one source partition in a Verification.
type VerifiedPartition struct {
	Topic       string `json:"topic"` // of the source
	Partition   int32  `json:"partition"`
	TargetTopic string `json:"target_topic"`
	State       Phase  `json:"state"`            // as status shows it
	Reason      string `json:"reason,omitempty"` // with stopped and waiting
	// The ranges, half open; the last source offset is progress.
	SourceFrom int64 `json:"source_from"`
	SourceTo   int64 `json:"source_to"`
	TargetFrom int64 `json:"target_from"`
	TargetTo   int64 `json:"target_to"`
	NotCopied  int64 `json:"not_copied"` // source offsets from source_to to the last stable offset
	VerifiedCounts
	Unverified map[string]int64 `json:"unverified"`
	// Differences are the first ones; the counts are of all.
	Differences []verify.Difference `json:"differences"`
	// The digests are equal where there is no difference. "": nothing was compared.
	SourceDigest string `json:"source_digest"`
	TargetDigest string `json:"target_digest"`
	// Error and Remedy: why the partition could not be compared; its counts are 0 then.
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// take fills in what a comparison found.
func (p *VerifiedPartition) take(found *verify.Result) {
	p.VerifiedCounts = VerifiedCounts{found.Compared, found.Missing, found.Changed, found.Extra, found.Foreign,
		found.OutOfOrder}
	p.Unverified = found.Unverified
	p.Differences = append(p.Differences, found.Listed...)
	p.SourceDigest, p.TargetDigest = found.SourceDigest, found.TargetDigest
}

// add adds a partition to the report.
func (v *Verification) add(p *VerifiedPartition) {
	v.Partitions = append(v.Partitions, *p)
	v.Compared += p.Compared
	v.Missing += p.Missing
	v.Changed += p.Changed
	v.Extra += p.Extra
	v.Foreign += p.Foreign
	v.OutOfOrder += p.OutOfOrder
	v.NotCopied += p.NotCopied
	for reason, n := range p.Unverified {
		v.Unverified[reason] += n
	}
	switch {
	case v.VerifiedCounts.Differences() > 0:
		v.Verdict = Different
	case p.Error != "":
		v.Verdict = Incomplete
	}
}
