package handover

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Version is the version of the notes; one that is higher is refused.
const Version = 1

// The states of a Record.
const (
	Begun      = "begun"       // the command is at work, or was killed
	Done       = "done"        // applications may run on the target
	RolledBack = "rolled_back" // applications are back on the source
	Undone     = "undone"      // an operator took it back before anybody made use of it
	FailedBack = "failed_back" // of a Failover: the flow is open again
)

// Record is what is known of a flow's latest cutover, kept as JSON in its ledger.
type Record struct {
	Version    int       `json:"version"`
	ID         string    `json:"id"`
	Flow       string    `json:"flow"` // as old->new
	State      string    `json:"state"`
	Begun      time.Time `json:"begun"`
	Ended      time.Time `json:"ended,omitzero"` // when it was done
	Partitions int       `json:"partitions"`
	Groups     int       `json:"groups"`
	GivenUp    []string  `json:"given_up,omitempty"`   // what --force gave up, and orders of resume before
	TakesBack  string    `json:"takes_back,omitempty"` // the cutover that this one undoes
	// Others are topics of the target, by their names on the source, that the flow's rules choose and that it did not
	// copy: they are the target's own. What is made there later is the applications'.
	Others []string `json:"others,omitempty"`
}

// Topic is where both logs ended when the cutover was done, by partition: last stable
// offsets, -1 where a cluster did not tell.
type Topic struct {
	ID         string  `json:"id"`
	Topic      string  `json:"topic"`
	Target     string  `json:"target"`
	SourceEnds []int64 `json:"source_ends"`
	TargetEnds []int64 `json:"target_ends"`
}

// Group is where a group stood on both sides.
type Group struct {
	ID        string     `json:"id"`
	Ended     time.Time  `json:"ended,omitzero"` // when it was moved: a cutover may go on in stages
	Group     string     `json:"group"`
	Target    string     `json:"target"`
	Positions []Position `json:"positions"`
}

// Position is a group's next offset on both sides in one partition, by its source topic.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Source    int64  `json:"source"`
	Target    int64  `json:"target"`
	// Unread counts the records from Source on that the target had deleted before the group read them: Target is
	// behind them.
	Unread int64 `json:"unread_deleted,omitempty"`
}

// Direction says, in each partition of a ledger, which way the flow runs.
type Direction struct {
	Cutover string `json:"cutover"` // the id of the cutover that led to this
	Closed  bool   `json:"closed"`  // no replica may work on the shard: records come the other way
	By      string `json:"by"`      // the flow that has taken its place, or had it
	// Failover is the id of the failover that led to this; then no flow has taken its place.
	Failover string `json:"failover,omitempty"`
}

// NewID is that of a cutover or a failover: it begins with the time, for people, and is never given twice.
func NewID() string {
	return time.Now().UTC().Format("20060102T150405Z-") + strings.ToLower(rand.Text()[:8])
}

// The names of the notes.
const (
	RecordName    = "cutover"
	DirectionName = "direction"
	topicPrefix   = "cutover/topic/"
	groupPrefix   = "cutover/group/"
)

// TopicName is the name of the note about a topic of the source.
func TopicName(topic string) string { return topicPrefix + topic }

// GroupName is the name of the note about a group of the source.
func GroupName(group string) string { return groupPrefix + group }

// Encode writes a note.
func Encode(note any) []byte {
	text, err := json.Marshal(note)
	if err != nil {
		panic(fmt.Sprintf("handover: %T cannot be written as JSON: %v", note, err))
	}
	return text
}

// Decode reads a note; a nil text leaves it as it is.
func Decode(text []byte, note any) error {
	if text == nil {
		return nil
	}
	if err := json.Unmarshal(text, note); err != nil {
		return fmt.Errorf("note %s of the ledger: %w", text, err)
	}
	switch r := note.(type) {
	case *Record:
		return known("cutover", r.Version)
	case *Failover:
		return known("failover", r.Version)
	}
	return nil
}

// known refuses a record that a later release has written.
func known(verb string, version int) error {
	if version > Version {
		return &VersionError{Verb: verb, Got: version}
	}
	return nil
}

// VersionError reports a record that a later release has written.
type VersionError struct {
	Verb string // that left it
	Got  int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the ledger's record of a %s has version %d, this release knows version %d", e.Verb, e.Got, Version)
}

// Remedy tells what to do.
func (e *VersionError) Remedy() string {
	return "go on with the release that began the " + e.Verb + ", or a later one"
}
