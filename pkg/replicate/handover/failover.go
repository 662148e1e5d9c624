package handover

import (
	"time"

	"replicator/pkg/replicate/ledger"
)

// The names of the notes about a failover, all in partition 0.
const (
	FailoverName        = "failover"
	failoverTopicPrefix = "failover/topic/"
	failoverGroupPrefix = "failover/group/"
)

// FailoverTopicName is the name of the note about a topic of the source.
func FailoverTopicName(topic string) string { return failoverTopicPrefix + topic }

// FailoverGroupName is the name of the note about a group of the source.
func FailoverGroupName(group string) string { return failoverGroupPrefix + group }

// Answer is what the source said when a flow failed over.
type Answer string

// The answers.
const (
	Silent  Answer = "silent"  // nothing
	Partly  Answer = "partly"  // some of its partitions have no leader that answers
	Whole   Answer = "whole"   // all that it was asked
	Another Answer = "another" // a cluster with another id answers in its place
)

// Failover is what is known of a flow's latest failover, kept as JSON in its ledger. What is not known is null.
type Failover struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Flow    string    `json:"flow"`  // as old->new
	State   string    `json:"state"` // begun, done or failed_back
	Begun   time.Time `json:"begun"`
	Ended   time.Time `json:"ended,omitzero"` // when it was done
	Source  Answer    `json:"source"`
	// Why is why the source, or a part of it, did not answer.
	Why string `json:"source_why,omitempty"`
	// SourceIsDead: an operator said so, and nobody was asked who writes there.
	SourceIsDead bool `json:"source_is_dead,omitempty"`
	// Open are transactions of others on the target, at which readers wait.
	Open       []string `json:"open_on_target,omitempty"`
	Partitions int      `json:"partitions"`
	Groups     int      `json:"groups"`
	// NotCopied sums, over the partitions whose end on the source was seen, the offsets behind progress: at most that
	// many records of what was seen are not on the target. EndsUnknown counts the other partitions.
	NotCopied   int64 `json:"records_not_copied"`
	EndsUnknown int   `json:"ends_unknown"`
	// Opposite is the flow in the opposite direction, as new->old: what it brought counts in NotCopied, and is no loss.
	Opposite string `json:"opposite,omitempty"`
	// SeenAt is the earliest of all topics: what came to one of them later nobody may have seen. Left out: none was ever.
	SeenAt time.Time `json:"seen_at,omitzero"`
	// NotCopiedSince is the earliest of all topics.
	NotCopiedSince time.Time `json:"not_copied_since,omitzero"`
	// FailedBack is when the flow was opened again; Orphans what then became of the records that were never copied, of
	// which there were so many: append, export, abandon, or none.
	FailedBack   time.Time `json:"failed_back,omitzero"`
	Orphans      string    `json:"orphans,omitempty"`
	OrphansFound int64     `json:"orphans_found,omitempty"`
	// Returned is when the applications were back on the source.
	Returned time.Time `json:"returned,omitzero"`
}

// LostTopic is what is known of a topic when a flow failed over, by partition; -1 where it is not known.
type LostTopic struct {
	ID         string  `json:"id"`
	Topic      string  `json:"topic"`
	Target     string  `json:"target"`
	Progress   []int64 `json:"progress"`    // the next source offset that would have been copied
	TargetEnds []int64 `json:"target_ends"` // last stable offsets
	SeenEnds   []int64 `json:"seen_ends"`   // where the source's logs ended when they were last seen
	SeenOpen   []int64 `json:"seen_open"`   // of them the offsets that open transactions held back from readers
	// SeenAt is when the ends were seen, of the partition that was seen longest ago; left out: never.
	SeenAt time.Time `json:"seen_at,omitzero"`
	// What was not copied is younger than NotCopiedSince; left out: nothing was seen that was not copied, or not known.
	NotCopiedSince time.Time `json:"not_copied_since,omitzero"`
}

// NotCopied sums what readers of the source were seen to have and the target has not, in offsets; unknown counts the
// partitions of which that is not known.
func (t *LostTopic) NotCopied() (records int64, unknown int) {
	for n, progress := range t.Progress {
		if t.SeenEnds[n] < 0 {
			unknown++
			continue
		}
		records += max(t.SeenEnds[n]-max(t.SeenOpen[n], 0)-max(progress, 0), 0)
	}
	return records, unknown
}

// Open sums the offsets that open transactions of the source held back.
func (t *LostTopic) Open() (records int64) {
	for _, open := range t.SeenOpen {
		records += max(open, 0)
	}
	return records
}

// StoodGroup is where a group stood on the target when a flow failed over.
type StoodGroup struct {
	ID        string          `json:"id"`
	Group     string          `json:"group"`
	Target    string          `json:"target"`
	Members   int             `json:"target_members"`
	Positions []StoodPosition `json:"positions"` // by topic and partition
	// Nowhere are partitions of topics that it reads, as topic/number, in which it has no position: what a consumer reads
	// there its auto.offset.reset decides.
	Nowhere []string `json:"without_position,omitempty"`
	// Error is why its positions could not be read.
	Error string `json:"error,omitempty"`
}

// StoodPosition is a position on the target, by its topic on the source.
type StoodPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Target    int64  `json:"target_offset"`
	Lag       int64  `json:"target_lag"` // to the last stable offset; -1: not known
	// Source is the position on the source that it is the translation of; -1: a consumer on the target committed it.
	Source int64 `json:"source_offset"`
}

// Lag sums what the group has to read on the target; unknown counts the positions of which that is not known.
func (g *StoodGroup) Lag() (records int64, unknown int) {
	for _, p := range g.Positions {
		if p.Lag < 0 {
			unknown++
			continue
		}
		records += p.Lag
	}
	return records, unknown
}

// FailoverOf is the latest failover that a ledger knows; State "": none.
func FailoverOf(first *ledger.Shard) (f Failover, err error) {
	return f, Decode(first.Note(FailoverName), &f)
}

// LostTopics lists what a failover noted of topics, in no order.
func LostTopics(first *ledger.Shard, id string) ([]LostTopic, error) {
	return notesOf(first, failoverTopicPrefix, func(t *LostTopic) bool { return t.ID == id })
}

// StoodGroups lists what a failover noted of groups, in no order.
func StoodGroups(first *ledger.Shard, id string) ([]StoodGroup, error) {
	return notesOf(first, failoverGroupPrefix, func(g *StoodGroup) bool { return g.ID == id })
}
