package inspect

import (
	"context"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
)

// LastSeen is where a log of the source was last seen to end, by the flow's ledger, where the source does not tell.
type LastSeen struct {
	Seen       time.Time      `json:"seen"`           // when the source told it
	SourceEnd  offsets.Source `json:"source_end"`     // its last stable offset then
	SourceOpen int64          `json:"source_open"`    // offsets that an open transaction held then
	Behind     int64          `json:"records_behind"` // from progress to source_end: at most that many were not copied
	// Since is a time that everything which was not copied is younger than; null: not known.
	Since *time.Time `json:"since"`
}

// SourceSeen sums up what was last seen of the source, of the partitions whose ends it does not tell.
type SourceSeen struct {
	Seen   *time.Time `json:"seen"`           // the earliest of all that were ever seen; null: none was
	Behind int64      `json:"records_behind"` // at most that many records were not copied; more may have come since
	Open   int64      `json:"source_open"`    // offsets that open transactions held
	Since  *time.Time `json:"since"`          // everything that was not copied is younger; null: not known, or nothing was
	Never  int        `json:"never_seen"`     // partitions of which nothing was ever noted
}

// lastSeenOf is what the ledger says of a partition; nil: nothing.
func lastSeenOf(view *snapshot.PartitionView) *LastSeen {
	if !view.Last.Known() {
		return nil
	}
	one := &LastSeen{Seen: view.Last.Seen, SourceEnd: view.Last.Stable, SourceOpen: view.Last.Held()}
	progress := offsets.Source(0)
	if view.Started() {
		progress = view.State.Progress
	}
	one.Behind = view.Last.Beyond(progress)
	if !view.Last.Since.IsZero() {
		one.Since = &view.Last.Since
	}
	return one
}

// add takes a partition into account.
func (s *SourceSeen) add(one *LastSeen) {
	if one == nil {
		s.Never++
		return
	}
	if s.Seen == nil || one.Seen.Before(*s.Seen) {
		s.Seen = &one.Seen
	}
	s.Behind, s.Open = s.Behind+one.Behind, s.Open+one.SourceOpen
	if one.Behind > 0 && one.Since != nil && (s.Since == nil || one.Since.Before(*s.Since)) {
		s.Since = one.Since
	}
}

// CarriedOver is the state of a position where the flow has put it, while the source does not tell where the group
// stands there by now.
const CarriedOver = "carried_over"

// standing tells of the groups by the target alone.
func standing(ctx context.Context, v *snapshot.Viewer, views map[chunk.Partition]*snapshot.PartitionView) (
	list []GroupStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	found, err := v.Groups.Standing(ctx)
	list = []GroupStatus{}
	for i := range found {
		s := &found[i]
		g := GroupStatus{Group: s.Group, Target: s.Target, Members: s.Members, Positions: []PositionStatus{}}
		if s.Err != nil {
			g.Error, g.Remedy = s.Err.Error(), chunk.Remedy(s.Err)
		}
		for j := range s.Positions {
			if view := views[s.Positions[j].Partition]; view != nil {
				g.Positions = append(g.Positions, stands(ctx, v, &s.Positions[j], s.Members, view))
			}
		}
		if g.Error != "" || len(g.Positions) > 0 {
			list = append(list, g)
		}
	}
	return list, err
}

// stands tells of one position by the target alone.
func stands(ctx context.Context, v *snapshot.Viewer, at *groups.Stand, members int,
	view *snapshot.PartitionView) PositionStatus {
	target := offsets.Target(at.Committed.Offset)
	one := PositionStatus{Topic: view.Source.Topic, Partition: view.Source.Number, TargetTopic: view.Target.Topic,
		SourceUnknown: true, Target: &target}
	if view.TargetThere {
		lag := max(int64(view.TargetStable-target), 0)
		one.TargetLag = &lag
	}
	switch {
	case members > 0:
		one.State, one.Why = string(groups.Active), "the group has active members on the target"
	case at.Mark == nil:
		one.State, one.Why = string(groups.ForeignCommit), "a consumer on the target committed the position"
	default:
		one.State = CarriedOver
		one.Why = "it was carried over so; whether the group went on on the source is not known"
	}
	if at.Mark == nil {
		return one
	}
	one.Source = at.Mark.Source
	answer := translated(ctx, v, view, one.Source, groups.Place{At: &target})
	if one.Rule = ruleCode(answer.Rule); answer.Ready {
		one.Translation = &answer.Exact
	}
	return one
}
