package ledger

import (
	"encoding/json"
	"fmt"

	"replicator/pkg/policy"
)

// RulesName is the name of the note, in partition 0, by which other flows can tell what
// this one chooses, and where records come from that it copies.
const RulesName = "rules"

const rulesVersion = 1

// Rules are what a flow chooses now, written before it is copied by. They change with
// the configuration.
type Rules struct {
	Version       int      `json:"version"`
	Topics        []string `json:"topics"` // patterns, by names without the cluster's prefix
	ExcludeTopics []string `json:"exclude_topics,omitempty"`
	SharedGroups  []string `json:"shared_groups,omitempty"`
	policy.Habits
	// Withdrawn: the flow has found that it would carry records in a circle, before it
	// copied anything.
	Withdrawn bool `json:"withdrawn,omitempty"`
	// Upstream are other flows, as far as they are known, by which records come to the source.
	Upstream []Upstream `json:"upstream,omitempty"`
}

// Upstream is a flow that carries records to the source of another, at once or by the
// way of more flows, as its own ledger describes it.
type Upstream struct {
	Ledger        string   `json:"ledger"`
	LedgerID      string   `json:"ledger_id,omitempty"` // of the ledger topic
	Begun         bool     `json:"begun"`               // it has taken up its partitions
	Identity      Identity `json:"flow"`
	Topics        []string `json:"topics"`
	ExcludeTopics []string `json:"exclude_topics,omitempty"`
	SharedGroups  []string `json:"shared_groups,omitempty"`
	policy.Habits
}

// EncodeRules is the text of the note.
func EncodeRules(r Rules) []byte {
	r.Version = rulesVersion
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("ledger: rules cannot be written as JSON: %v", err))
	}
	return text
}

// Rules are what the flow of the shard's ledger partition chooses, noted in the first one; nil: nothing is noted.
func (s *Shard) Rules() (*Rules, error) { return decodeRules(s.notes[RulesName]) }

// decodeRules reads the text of the note; nil gives nil.
func decodeRules(text []byte) (*Rules, error) {
	if text == nil {
		return nil, nil
	}
	var r Rules
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("note %s of the ledger: %w", RulesName, err)
	}
	if r.Version > rulesVersion {
		return nil, &VersionError{What: "the note " + RulesName, Got: byte(min(r.Version, 255))}
	}
	return &r, nil
}
