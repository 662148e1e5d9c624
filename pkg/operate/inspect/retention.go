package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/retention"
)

// warnOfRetention adds to a status what the target's retention is going to do: where it is shorter than the
// source's, and which groups it is near to.
func warnOfRetention(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot, status *FlowStatus) error {
	keeps, err := v.Retention(ctx, snap)
	if err != nil {
		return err
	}
	warn := func(remedy, format string, values ...any) {
		status.Warnings = append(status.Warnings, ProblemStatus{Error: fmt.Sprintf(format, values...), Remedy: remedy})
	}
	var hidden error
	for _, topic := range slices.Sorted(slices.Values(snap.Topics)) {
		name, _ := v.Policy.Topic(topic)
		here, there := keeps.Target[name], keeps.Source[topic]
		_, known := keeps.Target[name]
		switch {
		case !known:
		case here.Err != nil:
			hidden = here.Err
		case there.Err == nil && here.Shorter(there):
			warn(fmt.Sprintf("raise retention.ms and retention.bytes of topic %s on %s", name, v.Flow.To),
				"topic %s is kept %s on %s, and %s on %s: what a group has not read by then is deleted there", name, here,
				v.Flow.To, there, v.Flow.From)
		}
	}
	if hidden != nil {
		warn(chunk.Remedy(hidden), "how long topics are kept on %s is not known, so nothing warns of what their retention "+
			"is about to delete: %v", v.Flow.To, hidden)
	}
	return warnOfGroups(ctx, v, keeps, status, warn)
}

// warnBelow is the share of the target's retention below which a group is warned of.
const warnBelow = 0.5

// warnOfGroups fills in how long what a group has not read is kept, and warns where that is not long any more.
func warnOfGroups(ctx context.Context, v *snapshot.Viewer, keeps snapshot.Retention, status *FlowStatus,
	warn func(remedy, format string, values ...any)) error {
	ends := map[chunk.Partition]offsets.Target{}
	for j := range status.Partitions {
		if p := &status.Partitions[j]; p.TargetEnd != nil {
			ends[chunk.Partition{Topic: p.TargetTopic, Number: p.Partition}] = *p.TargetEnd
		}
	}
	var list []retention.Unread
	positions := map[retention.Unread]*PositionStatus{}
	for j := range status.Groups {
		for k := range status.Groups[j].Positions {
			at := &status.Groups[j].Positions[k]
			kind := groups.Kind(at.State)
			p := chunk.Partition{Topic: at.TargetTopic, Number: at.Partition}
			if at.Translation == nil || *at.Translation >= ends[p] || at.State != Pending && !retention.Follows(kind) {
				continue
			}
			u := retention.Unread{
				Group: retention.GroupTopic{Group: status.Groups[j].Group, Topic: at.Topic}, Partition: p, At: *at.Translation,
			}
			list, positions[u] = append(list, u), at
		}
	}
	found, err := retention.LeftOf(ctx, v.TargetOffsets, keeps.Target, list, time.Now())
	if err != nil {
		return err
	}
	near := map[retention.GroupTopic]retention.Unread{}
	for u, s := range found {
		left := int64(s.Time() / time.Second)
		positions[u].KeptForAtLeast = &left
		if before, known := near[u.Group]; s.Share < warnBelow && (!known || s.Share < found[before].Share) {
			near[u.Group] = u
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(near), retention.GroupTopic.Compare) {
		u, s := near[g], found[near[g]]
		warn(fmt.Sprintf("raise retention.ms of topic %s on %s, or let the group read on", u.Partition.Topic, v.Flow.To),
			"group %s has not read %s on %s from offset %d on, and topic %s is kept %s there: what comes next is kept at "+
				"least %s more, and may be deleted then", g.Group, u.Partition, v.Flow.To, u.At, u.Partition.Topic, s.Kept,
			s.Time())
	}
	return nil
}
