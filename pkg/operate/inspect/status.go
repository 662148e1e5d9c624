package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// FlowStatus is what both clusters tell about one flow at one moment. Its JSON is
// stable: fields may be added, none changes its name or meaning. Offsets and counts
// are numbers, times RFC 3339; what is not known or does not apply is null or left
// out, as each field says.
type FlowStatus struct {
	Flow     string            `json:"flow"`  // as old->new
	Taken    time.Time         `json:"taken"` // when the clusters were looked at
	Delivery settings.Delivery `json:"delivery"`
	Lane     settings.Lane     `json:"lane"` // batch or record, by this configuration
	LaneWhy  string            `json:"lane_why"`
	Ledger   string            `json:"ledger"` // the topic on the target
	Pair     []string          `json:"pair"`   // flows in the opposite direction: each leaves out what the other brought
	Shards   int               `json:"shards"` // partitions of the ledger; 0: there is none yet, the flow has never run
	// Replicas counts the processes that run the flow now; null: the target does not tell. With 0 nothing moves.
	Replicas *int               `json:"replicas"`
	Members  []snapshot.Replica `json:"members"` // these processes; null: the target does not tell
	// ClosedBy is the opposite flow, while a rollback has this one's records go the other way: it does not run. With
	// RolledBack, this flow was the way back of a rollback that was done then.
	ClosedBy   string     `json:"closed_by,omitempty"`
	RolledBack *time.Time `json:"rolled_back_at,omitempty"`
	// Failover is the one that has closed the flow, of which no replica goes on; null: none has.
	Failover *handover.Failover `json:"failover"`
	// Unowned are shards that no replica has: nothing of them moves. Null: not known, or being shared out.
	Unowned []int `json:"unowned_shards"`
	// CaughtUp: the flow has run and selects something, every partition is copied up to its source end, and every
	// group position stands right or is left alone for a reason that only people or consumers can change.
	CaughtUp bool  `json:"caught_up"`
	Behind   int64 `json:"records_behind"` // sum over the partitions whose end is known
	Stopped  int   `json:"stopped"`        // partitions
	// EndsUnknown counts the partitions of which the source does not tell where they end: how many records of them are
	// not on the target is not known.
	EndsUnknown int `json:"ends_unknown"`
	// SourceAway: the source does not answer at all. Partitions are those that the ledger knows, groups those of the
	// target, and nothing is known of what came to the source since LastSeen.
	SourceAway bool `json:"source_away"`
	// LastSeen sums up what the ledger noted of the partitions in EndsUnknown; null: there are none.
	LastSeen *SourceSeen `json:"last_seen"`
	// UnreadDeleted sums, over groups and partitions, the records that were deleted on the target before a group read
	// them, and that the source still holds.
	UnreadDeleted int64 `json:"unread_deleted"`
	// Cutover is the latest one, and what has happened since; null: there was none.
	Cutover    *CutoverStatus    `json:"cutover"`
	Partitions []PartitionStatus `json:"partitions"` // by topic and number
	Groups     []GroupStatus     `json:"groups"`     // those selected that have a position, by name
	Problems   []ProblemStatus   `json:"problems"`   // what could not be seen, or needs somebody
	Warnings   []ProblemStatus   `json:"warnings"`   // what may go wrong; patterns without a match
	LeftOut    []LeftOut         `json:"left_out"`   // what its patterns choose and a rule leaves out, topics first
}

// ProblemStatus is something that an operator has to know.
type ProblemStatus struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
	// Lasting: it stays however long one waits, whatever runs.
	Lasting bool `json:"lasting,omitempty"`
}

// ProblemStatusOf tells of an error, and of its remedy if it has one.
func ProblemStatusOf(err error) ProblemStatus {
	return ProblemStatus{err.Error(), chunk.Remedy(err), errors.As(err, new(*snapshot.Lasting))}
}

// PartitionStatus is one source partition.
type PartitionStatus struct {
	Topic       string          `json:"topic"`
	Partition   int32           `json:"partition"`
	TargetTopic string          `json:"target_topic"`
	Shard       int             `json:"shard"`
	Phase       partition.Phase `json:"state"`
	// Reason and Remedy go with stopped and waiting; StoppedSince with stopped.
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Lasting: the flow does not try by itself; what the remedy says has to be done.
	Lasting      bool       `json:"lasting,omitempty"`
	StoppedSince *time.Time `json:"stopped_since,omitempty"`

	// EndsUnknown: the source does not tell where the partition begins and ends; source_start, source_end, source_open and
	// records_behind are 0 then, and mean nothing.
	EndsUnknown bool           `json:"ends_unknown,omitempty"`
	LastSeen    *LastSeen      `json:"last_seen,omitempty"` // with EndsUnknown; left out: it was never noted
	SourceStart offsets.Source `json:"source_start"`        // first offset of the source's log
	SourceEnd   offsets.Source `json:"source_end"`          // its last stable offset: committed readers see all below
	// SourceOpen counts offsets from source_end to the high watermark: an open transaction holds them back.
	SourceOpen int64           `json:"source_open"`
	Progress   *offsets.Source `json:"progress"` // next source offset to copy; null: not started
	// Behind counts the source offsets from progress (or from where it will start) to source_end: at most
	// that many records are not on the target yet.
	Behind      int64           `json:"records_behind"`
	TargetStart *offsets.Target `json:"target_start"` // null: the target has no such partition
	TargetEnd   *offsets.Target `json:"target_end"`   // last stable offset; null: as before

	Cuts    *CutStatus  `json:"cuts,omitempty"`     // of the source's log, of what had been copied; left out: none
	GivenUp []GivenUp   `json:"given_up,omitempty"` // what orders of 'resume' and failbacks left out; left out: nothing
	Holes   *HoleStatus `json:"holes,omitempty"`    // what was deleted before it was copied; left out: nothing
	Foreign []Range     `json:"foreign,omitempty"`  // target offsets that hold records of somebody else
}

// HoleStatus sums up the holes of a partition.
type HoleStatus struct {
	Count   int64 `json:"count"`
	Offsets int64 `json:"offsets"` // in all of them: at most that many records were lost
	Last    Range `json:"last"`    // source offsets
}

// Range is [from,to) of a log.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// GroupStatus is one consumer group.
type GroupStatus struct {
	Group   string `json:"group"`          // by its name on the source
	Target  string `json:"target_group"`   // its name on the target
	State   string `json:"target_state"`   // as Empty or Stable; "" when the target has no such group or does not show it
	Members int    `json:"target_members"` // active on the target
	// Of a shared group: on which side it lives (source, target, both, unknown), and its members on the source. Left out
	// for others.
	Side          groups.Side `json:"side,omitempty"`
	SourceMembers int         `json:"source_members,omitempty"`
	// ReadAgain sums up would_read_again of the positions: what the group would read again that went on at the target now.
	// Left out where the flow has no opposite, where a position has no answer, and where the group lives on the target.
	ReadAgain *int64 `json:"would_read_again,omitempty"`
	// Error and Remedy: why the group could not be read; it has no positions then.
	Error     string           `json:"error,omitempty"`
	Remedy    string           `json:"remedy,omitempty"`
	Positions []PositionStatus `json:"positions"` // by topic and partition
	// Nowhere are positions in partitions that the source does not have: nothing is read there, and nothing carried over.
	Nowhere []NowherePosition `json:"without_partition,omitempty"`
}

// NowherePosition is a position in a partition that is not there.
type NowherePosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Source    int64  `json:"source_offset"`
}

// PositionStatus is where a group stands in one partition.
type PositionStatus struct {
	Topic       string         `json:"topic"` // of the source
	Partition   int32          `json:"partition"`
	TargetTopic string         `json:"target_topic"`
	Source      offsets.Source `json:"source_offset"` // committed on the source: what is read next
	SourceLag   int64          `json:"source_lag"`    // to the source's last stable offset
	// SourceUnknown: the source does not answer. source_offset is then the one that the target's position was translated
	// from, 0 where the flow has not put it there; source_lag is 0 and means nothing.
	SourceUnknown bool `json:"source_unknown,omitempty"`
	// Translation is the exact translation of source_offset, null while there is none; Rule is what gave it:
	// in_run, in_gap, before_first, at_end, not_yet, or in a pair first_unread.
	Translation *offsets.Target `json:"translation"`
	Rule        string          `json:"rule,omitempty"`
	Target      *offsets.Target `json:"target_offset"` // committed on the target; null: nothing
	TargetLag   *int64          `json:"target_lag"`    // to the target's last stable offset; null: nothing is committed
	// State: right; pending (the next sync moves it); not_copied_yet; no_answer; active; foreign_commit;
	// stopped_before_foreign; unread_deleted; beyond_source_end; on_both_sides; refused; retried; carried_over (the flow
	// has put it there; where the group stands on the source is not known). Why says it in words, with all but right;
	// Remedy what to do, where nothing but a person can change it.
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// UnreadDeleted counts the records from the position on that were copied, and deleted on the target while the
	// source still holds them: the translation, at the beginning of the target's log, skips them.
	// UnreadDeletedOnBoth counts those that the source has deleted as well: the group would skip them there too.
	UnreadDeleted       int64 `json:"unread_deleted,omitempty"`
	UnreadDeletedOnBoth int64 `json:"unread_deleted_on_both,omitempty"`
	// Skips is what the group passes by on the target, wherever it stands right; null: nothing.
	Skips *Skips `json:"skips,omitempty"`
	// KeptForAtLeast is how long, in whole seconds, the target keeps what the group reads next, at least; left out where
	// it has read all, where records are kept for ever, and where a consumer on the target goes its own way.
	KeptForAtLeast *int64 `json:"kept_for_at_least_seconds,omitempty"`
	// Unused: the source's position is one that the opposite flow has put there, and nobody has read from since.
	Unused bool `json:"-"`
	// AgainKnown: WouldReadAgain was counted by both maps.
	AgainKnown bool `json:"-"`
	// With stopped_before_foreign: the stretch of the target in the way, how many of our records the group
	// would read again where it stops, and how many of somebody else's it would skip if it were moved on. Where the flow
	// has an opposite, WouldReadAgain is how many records the group would read again that went on at the translation now.
	Foreign        *Range `json:"foreign,omitempty"`
	WouldReadAgain int64  `json:"would_read_again,omitempty"`
	WouldSkip      int64  `json:"would_skip,omitempty"`
}

// Status tells of all of the flow. An error means that a cluster does not answer; where the viewer is tolerant, the
// target.
func Status(ctx context.Context, v *snapshot.Viewer) (*FlowStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := v.Take(ctx, func(string) bool { return true }, true)
	switch {
	case err != nil:
	case errors.As(snap.LedgerErr, new(*snapshot.Lasting)): // it is gone, and the rest can be told
		snap.Problems = append(snap.Problems, snap.LedgerErr)
	default:
		err = snap.LedgerErr
	}
	if err != nil {
		return nil, err
	}
	status := &FlowStatus{
		Flow: v.Flow.Name(), Taken: snap.Taken, Delivery: v.Flow.Delivery, Ledger: v.Flow.LedgerTopic(),
		Shards: len(snap.Books), SourceAway: snap.Away != nil,
		Partitions: []PartitionStatus{}, Groups: []GroupStatus{}, Problems: []ProblemStatus{},
		CaughtUp: len(snap.Books) > 0 && len(snap.Topics) > 0, // else there is nothing that could be
	}
	status.Lane, status.LaneWhy = v.Flow.LaneInUse()
	if status.Pair = []string{}; v.Around != nil {
		status.Pair = v.Around.Pair()
	}
	if err := v.FindHidden(ctx, snap); err != nil {
		return nil, err
	}
	var closed *handover.ClosedError
	if err := closedOf(snap, v.Flow.Name()); errors.As(err, &closed) {
		status.ClosedBy, status.Failover, status.CaughtUp = closed.By, closed.Failover, false
		if !closed.Ended.IsZero() {
			status.RolledBack = &closed.Ended
		}
	} else if err != nil {
		return nil, err
	}
	statusReplicas(ctx, v, snap, status)
	views := snap.Views()
	statusPartitions(v, snap, views, status)
	if closed == nil { // else it copies nothing, and no record goes round
		snap.Problems = append(snap.Problems, v.CheckCircle(ctx)...)
	}
	if err := statusGroups(ctx, v, snap, views, status); err != nil {
		return nil, err
	}
	if status.SourceAway {
		status.Warnings, status.LeftOut = []ProblemStatus{}, []LeftOut{}
	} else if err := statusSource(ctx, v, snap, status); err != nil {
		return nil, err
	}
	if status.Cutover, err = cutoverStatus(ctx, v, snap, views, status); err != nil {
		return nil, err
	}
	for _, err := range snap.Problems {
		status.Problems = append(status.Problems, ProblemStatusOf(err))
		status.CaughtUp = false
	}
	return status, ctx.Err()
}

// statusGroups fills in the groups: by both sides, or where the source tells of none, by the target alone.
func statusGroups(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot,
	views map[chunk.Partition]*snapshot.PartitionView, status *FlowStatus) (err error) {
	if snap.Alone {
		status.Groups, err = standing(ctx, v, views)
		return err
	}
	for j := range snap.Held {
		one, settled := GroupStatusOf(ctx, v, &snap.Held[j], views)
		status.Groups = append(status.Groups, one)
		for k := range one.Positions {
			status.UnreadDeleted += one.Positions[k].UnreadDeleted
		}
		status.CaughtUp = status.CaughtUp && settled
	}
	return nil
}

// statusSource fills in what only a source that answers tells.
func statusSource(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, status *FlowStatus) error {
	if err := statusNames(ctx, v, snap, status); err != nil {
		return err
	}
	return warnOfRetention(ctx, v, snap, status)
}

// Closed is why the flow does not run; nil: it is not closed.
func (s *FlowStatus) Closed() *handover.ClosedError {
	if s.ClosedBy == "" && s.Failover == nil {
		return nil
	}
	closed := &handover.ClosedError{Flow: s.Flow, By: s.ClosedBy, Failover: s.Failover, SourceAnswers: !s.SourceAway}
	if s.RolledBack != nil {
		closed.Ended = *s.RolledBack
	}
	return closed
}

// statusPartitions fills in all partitions, and what they come to.
func statusPartitions(v *snapshot.Viewer, snap *snapshot.Snapshot, views map[chunk.Partition]*snapshot.PartitionView,
	status *FlowStatus) {
	for _, topic := range slices.Sorted(slices.Values(snap.Topics)) {
		for n := range snap.Source.Topics[topic].Partitions {
			view := views[chunk.Partition{Topic: topic, Number: int32(n)}]
			snap.Problems = append(snap.Problems, Ahead(view)...)
			status.Partitions = append(status.Partitions, PartitionStatusOf(snap, view))
		}
	}
	status.Partitions = append(status.Partitions, hiddenStatus(v, snap)...)
	slices.SortStableFunc(status.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for j := range status.Partitions {
		one := &status.Partitions[j]
		status.Behind += one.Behind
		if one.Phase == partition.PhaseStopped {
			status.Stopped++
		}
		if one.EndsUnknown {
			if status.EndsUnknown++; status.LastSeen == nil {
				status.LastSeen = &SourceSeen{}
			}
			status.LastSeen.add(one.LastSeen)
		}
		status.CaughtUp = status.CaughtUp && one.Phase.Free() && one.Behind == 0 && !one.EndsUnknown
	}
}

// Ahead are the problems of one partition that nobody has noted yet: an order of resume that cannot be read, and a hole
// that shows as soon as copying goes on.
func Ahead(view *snapshot.PartitionView) (problems []error) {
	if view.OrderErr != nil {
		problems = append(problems, view.OrderErr)
	}
	if hole := view.Verdict.Hole; view.State != nil && hole.Offsets() > 0 && view.Unknown == nil {
		problems = append(problems, lostAhead(view.Source, hole))
	}
	return problems
}

// PartitionStatusOf tells of one partition; what nobody has noted yet tells [Ahead].
func PartitionStatusOf(snap *snapshot.Snapshot, view *snapshot.PartitionView) PartitionStatus {
	one := PartitionStatus{
		Topic: view.Source.Topic, Partition: view.Source.Number, TargetTopic: view.Target.Topic, Shard: view.Shard,
		SourceStart: view.Earliest, SourceEnd: view.Stable, SourceOpen: max(int64(view.High-view.Stable), 0),
	}
	one.Behind = max(int64(view.Stable-view.Next()), 0)
	if view.Unknown != nil {
		one.EndsUnknown, one.SourceStart, one.SourceEnd, one.SourceOpen, one.Behind = true, 0, 0, 0, 0
		one.LastSeen = lastSeenOf(view)
	}
	if view.TargetThere {
		one.TargetStart, one.TargetEnd = &view.TargetEarliest, &view.TargetStable
	}
	if view.Started() {
		one.Progress = &view.State.Progress
	}
	one.Cuts = CutStatusOf(view)
	state := partition.StateOf(view.Facts, !snap.Work.Rests(view.Shard))
	one.Phase = state.Phase()
	switch state {
	case partition.TopicStopped:
		one.Reason, one.Remedy, one.Lasting = view.Blocked, policy.BlockedFix, true
	case partition.Truncated:
		one.StoppedSince, one.Lasting = one.Cuts.Seen, one.Cuts.Undecided()
		one.Reason, one.Remedy = view.CutWords()
	case partition.Quarantined:
		stop := view.Stop()
		one.Reason, one.Remedy, one.StoppedSince = stop.Reason, stop.Fix, &stop.Since
		one.Lasting = stop.Kind == chunk.StopPaused
	case partition.SourceSilent:
		if snap.Away != nil { // that is said once
			break
		}
		one.Reason = "the source does not tell where the partition ends: " + view.Unknown.Error()
		one.Remedy = "see whether its leader is up; copying goes on by itself"
	case partition.TargetHidden:
		one.Reason, one.Remedy = view.TargetErr.Error(), chunk.Remedy(view.TargetErr)
	case partition.TargetDeleted:
		one.Reason = "the target topic was deleted, with all that was copied to it"
		one.Remedy = "nothing to do while the flow runs: it is created, and filled anew"
	case partition.TargetReplaced:
		one.Reason = "the target topic is another one than was copied to"
		one.Remedy = "nothing to do while the flow runs: it is filled anew"
	case partition.TargetAway:
		one.Reason = "the target partition is not there, or its leader is not"
		one.Remedy = "nothing to do while the flow runs and the target's brokers are up: it is created, or found"
	}
	if view.State == nil {
		return one
	}
	if view.State.Holes > 0 {
		last := view.State.LastHole
		one.Holes = &HoleStatus{view.State.Holes, view.State.Lost, Range{int64(last.From), int64(last.To)}}
	}
	one.GivenUp = givenUp(view)
	for _, f := range view.State.Map.Foreign() {
		one.Foreign = append(one.Foreign, Range{int64(f.From), int64(f.To)})
	}
	return one
}

// lostAhead tells of a hole that nobody has noted yet.
func lostAhead(p chunk.Partition, hole chunk.Hole) error {
	return &chunk.Stop{
		Partition: p,
		Reason:    fmt.Sprintf("the source has deleted offsets [%d,%d) before they were copied", hole.From, hole.To),
		Fix: "raise retention on the source; what was deleted cannot be copied, and is noted as a hole when copying goes " +
			"on",
	}
}
