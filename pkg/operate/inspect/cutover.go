package inspect

import (
	"context"
	"slices"
	"strings"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/provenance"
	announce "replicator/pkg/versions"
)

// CutoverStatus is the flow's latest cutover, and what has happened since.
type CutoverStatus struct {
	ID         string       `json:"id"`
	State      string       `json:"state"` // begun, done, rolled_back or undone
	Begun      time.Time    `json:"begun"`
	Ended      *time.Time   `json:"ended"` // null: it has not been done
	Partitions int          `json:"partitions"`
	Groups     []MovedGroup `json:"groups"`             // those that were moved, by name
	GivenUp    []string     `json:"given_up,omitempty"` // by --force
	// TakesBack is the cutover of the opposite flow that a rollback takes back by this one; left out: none.
	TakesBack string `json:"takes_back,omitempty"`
	// Since it was done, at most that many records: written to the source, and to the target by somebody else. -1: not
	// known, as the source does not answer. Topics of a pair do not count: what is written on one side comes to the other.
	Written int64 `json:"written_to_source_since"`
	Used    int64 `json:"written_to_target_since"`
}

// MovedGroup is a group that a cutover has moved.
type MovedGroup struct {
	Group    string     `json:"group"` // by its name on the source
	Ended    *time.Time `json:"ended"` // when it was moved; null: not noted
	OnSource bool       `json:"at_work_on_source_since"`
	OnTarget bool       `json:"at_work_on_target_since"`
}

// cutoverStatus compares the ledger's record with what is there now.
func cutoverStatus(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot,
	views map[chunk.Partition]*snapshot.PartitionView,
	status *FlowStatus) (*CutoverStatus, error) {
	if len(snap.Books) == 0 {
		return nil, nil
	}
	book := snap.Books[0].Shard
	record, err := handover.RecordOf(book)
	if err != nil || record.State == "" {
		return nil, err
	}
	c := &CutoverStatus{ID: record.ID, State: record.State, Begun: record.Begun, Partitions: record.Partitions,
		GivenUp: record.GivenUp, Groups: []MovedGroup{}, TakesBack: record.TakesBack}
	if !record.Ended.IsZero() {
		c.Ended = &record.Ended
	}
	held, err := handover.GroupsOf(book, record.ID)
	if err != nil {
		return nil, err
	}
	for j := range held {
		c.Groups = append(c.Groups, movedGroup(&held[j], status.Groups))
	}
	slices.SortFunc(c.Groups, func(a, b MovedGroup) int { return strings.Compare(a.Group, b.Group) })
	switch {
	case record.State != handover.Done:
		return c, nil
	case snap.Away != nil:
		c.Written, c.Used = -1, -1
		return c, nil
	}
	comesBack, err := provenance.CarriedBack(&v.Flow)
	if err != nil {
		return nil, err
	}
	for j := range status.Partitions {
		one := &status.Partitions[j]
		if comesBack(one.TargetTopic) {
			continue
		}
		view := views[chunk.Partition{Topic: one.Topic, Number: one.Partition}]
		source, target, err := endsThen(snap, view, record.ID)
		if err != nil {
			return nil, err
		}
		c.Written += max(int64(view.Stable-max(source, view.Earliest)), 0)
		if one.Topic != announce.Meta { // the cutover itself writes there
			c.Used += usedSince(ctx, v, view, target)
		}
	}
	return c, ctx.Err()
}

// movedGroup says where a group has been at work since it was moved.
func movedGroup(then *handover.Group, now []GroupStatus) MovedGroup {
	m := MovedGroup{Group: then.Group}
	if !then.Ended.IsZero() {
		m.Ended = &then.Ended
	}
	for j := range now {
		g := &now[j]
		if g.Group != then.Group {
			continue
		}
		m.OnTarget = g.Members > 0
		for k := range g.Positions {
			at := &g.Positions[k]
			was := slices.IndexFunc(then.Positions, func(p handover.Position) bool {
				return p.Topic == at.Topic && p.Partition == at.Partition
			})
			m.OnSource = m.OnSource || !at.SourceUnknown && (was < 0 || then.Positions[was].Source != int64(at.Source))
			elsewhere := was < 0 || then.Positions[was].Target != handover.OffsetOrNone(at.Target)
			kind := groups.Kind(at.State)
			m.OnTarget = m.OnTarget || (kind == groups.ForeignCommit || kind == groups.Active) && elsewhere
		}
	}
	return m
}

// endsThen is where a partition ended on both sides when a cutover was done; 0 and -1: it was not there.
func endsThen(snap *snapshot.Snapshot, view *snapshot.PartitionView, id string) (source offsets.Source,
	target offsets.Target, err error) {
	var topic handover.Topic
	err = handover.Decode(snap.Books[0].Note(handover.TopicName(view.Source.Topic)), &topic)
	n := int(view.Source.Number)
	if err != nil || topic.ID != id || n >= len(topic.SourceEnds) || n >= len(topic.TargetEnds) {
		return 0, -1, err
	}
	return offsets.Source(topic.SourceEnds[n]), offsets.Target(topic.TargetEnds[n]), nil
}

// usedSince counts what somebody else has written to a target partition that ended there, at most. What cannot be told
// apart counts: nothing is copied behind it without a word.
func usedSince(ctx context.Context, v *snapshot.Viewer, view *snapshot.PartitionView, then offsets.Target) int64 {
	if !view.TargetThere {
		return 0
	}
	all := max(int64(view.TargetStable-max(then, view.TargetEarliest)), 0)
	standing, err := view.Standing()
	if err != nil {
		return all
	}
	end, err := v.Translator.Translate(ctx, standing, max(view.State.Progress, 0), groups.Place{})
	if err != nil || end.Rule != offsets.AtEnd {
		return all
	}
	used := max(int64(view.TargetStable-max(end.Exact, then)), 0)
	for _, f := range view.State.Map.Foreign() {
		used += max(int64(min(f.To, end.Exact)-max(f.From, then)), 0)
	}
	return used
}
