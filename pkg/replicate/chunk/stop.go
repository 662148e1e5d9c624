package chunk

import (
	"errors"
	"fmt"

	"replicator/pkg/offsets"
)

// Stop is why one partition is not copied while the others go on. It is an
// error, it is kept in the ledger, and it is what an operator reads.
type Stop struct {
	Partition Partition
	Kind      string         // one of the Stop kinds below: a bounded label for metrics
	Reason    string         // a fact
	Fix       string         // an instruction
	Err       error          // what the cluster said, may be nil
	At        offsets.Source // of the record that is refused: those before it were not
}

// The kinds of Stop.
const (
	StopUnauthorized    = "unauthorized"        // a right is missing
	StopForeign         = "foreign_records"     // the target holds records that we did not write
	StopTaken           = "target_taken"        // another flow fills the target topic
	StopPartitions      = "partition_count"     // the target topic has more partitions
	StopTooLarge        = "record_too_large"    // the target refuses the record's size
	StopUncarried       = "record_not_carried"  // the record lane cannot carry the record unchanged
	StopRefused         = "record_refused"      // the target refuses the record for another reason
	StopSourceTruncated = "source_truncated"    // the source lost records that were copied
	StopTargetTruncated = "target_truncated"    // the target lost records that were copied
	StopMissing         = "topic_missing"       // the topic is not there (any more)
	StopTopic           = "target_topic_failed" // the target topic cannot be created or altered
	StopUnreadable      = "source_unreadable"   // the source's log is damaged, or the source refuses to read it
	StopUnavailable     = "unavailable"         // its leader is away, or too few replicas are in sync
	StopPaused          = "paused"              // somebody has paused it
)

// StopKinds returns all kinds.
func StopKinds() []string {
	return []string{StopUnauthorized, StopForeign, StopTaken, StopPartitions, StopTooLarge, StopUncarried, StopRefused,
		StopSourceTruncated, StopTargetTruncated, StopMissing, StopTopic, StopUnreadable, StopUnavailable, StopPaused}
}

// Waits says whether the partition waits for the order of an operator.
func (s *Stop) Waits() bool { return s.Kind == StopSourceTruncated || s.Kind == StopTargetTruncated }

// Error tells the partition and the reason.
func (s *Stop) Error() string {
	if s.Err != nil {
		return fmt.Sprintf("%s: %s: %v", s.Partition, s.Reason, s.Err)
	}
	return fmt.Sprintf("%s: %s", s.Partition, s.Reason)
}

// Remedy tells what to do.
func (s *Stop) Remedy() string { return s.Fix }

// Unwrap gives what the cluster said.
func (s *Stop) Unwrap() error { return s.Err }

// Trouble is an error of one partition that may pass by itself, such as an
// election. Where it stays, the partition is quarantined with [Trouble.Stop].
type Trouble struct {
	Partition Partition
	Err       error
}

func (t *Trouble) Error() string { return t.Err.Error() }
func (t *Trouble) Unwrap() error { return t.Err }

// Stop is what becomes of a trouble that stays.
func (t *Trouble) Stop() *Stop {
	return &Stop{Partition: t.Partition, Kind: StopUnavailable, Err: t.Err,
		Reason: "the partition could not be moved for a while",
		Fix: "see whether the partition's leader is up and enough of its replicas are in sync (min.insync.replicas), on " +
			"the side that the error names; copying goes on by itself"}
}

// Remedy finds the instruction that an error carries, or "".
func Remedy(err error) string {
	var r interface{ Remedy() string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return ""
}

// OpenRemedy is what to do about a transaction that does not end.
const OpenRemedy = "'replicator plan' names open transactions, and who has them open; the broker ends one at its " +
	"time-out"
