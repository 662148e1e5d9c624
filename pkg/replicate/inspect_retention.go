package replicate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/watermarks"
)

// keptBoth is how long both sides keep topics, as it was told a moment ago.
type keptBoth struct {
	asked          time.Time
	source, target map[string]watermarks.Kept // by the names of each
}

// warnOfRetention adds to a status what the target's retention is going to do: where it is shorter than the
// source's, and which groups it is near to.
func (i *Inspection) warnOfRetention(ctx context.Context, p *picture, status *FlowStatus) error {
	if err := i.askRetention(ctx, p); err != nil {
		return err
	}
	warn := func(remedy, format string, values ...any) {
		status.Warnings = append(status.Warnings, ProblemStatus{Error: fmt.Sprintf(format, values...), Remedy: remedy})
	}
	var hidden error
	for _, topic := range slices.Sorted(slices.Values(p.topics)) {
		name, _ := i.policy.Topic(topic)
		here, there := i.kept.target[name], i.kept.source[topic]
		_, known := i.kept.target[name]
		switch {
		case !known:
		case here.Err != nil:
			hidden = here.Err
		case there.Err == nil && here.Shorter(there):
			warn(fmt.Sprintf("raise retention.ms and retention.bytes of topic %s on %s", name, i.cfg.To),
				"topic %s is kept %s on %s, and %s on %s: what a group has not read by then is deleted there", name, here,
				i.cfg.To, there, i.cfg.From)
		}
	}
	if hidden != nil {
		warn(chunk.Remedy(hidden), "how long topics are kept on %s is not known, so nothing warns of what their retention "+
			"is about to delete: %v", i.cfg.To, hidden)
	}
	return i.warnOfGroups(ctx, status, warn)
}

// askRetention asks both sides, not more often than it is of use.
func (i *Inspection) askRetention(ctx context.Context, p *picture) (err error) {
	if time.Since(i.kept.asked) < retentionEvery {
		return nil
	}
	var targets []string
	for _, topic := range p.topics {
		if name, _ := i.policy.Topic(topic); p.target.topics[name].partitions > 0 {
			targets = append(targets, name)
		}
	}
	asked := keptBoth{asked: time.Now()}
	if asked.source, err = i.sourceMarks.Kept(ctx, p.topics); err != nil {
		return err
	}
	if asked.target, err = i.targetMarks.Kept(ctx, targets); err != nil {
		return err
	}
	i.kept = asked
	return nil
}

// warnBelow is the share of the target's retention below which a group is warned of.
const warnBelow = 0.5

// warnOfGroups fills in how long what a group has not read is kept, and warns where that is not long any more.
func (i *Inspection) warnOfGroups(ctx context.Context, status *FlowStatus,
	warn func(remedy, format string, values ...any)) error {
	ends := map[chunk.Partition]offsets.Target{}
	for j := range status.Partitions {
		if p := &status.Partitions[j]; p.TargetEnd != nil {
			ends[chunk.Partition{Topic: p.TargetTopic, Number: p.Partition}] = *p.TargetEnd
		}
	}
	var list []unreadAt
	positions := map[unreadAt]*PositionStatus{}
	for j := range status.Groups {
		for k := range status.Groups[j].Positions {
			at := &status.Groups[j].Positions[k]
			kind := groups.Kind(at.State)
			p := chunk.Partition{Topic: at.TargetTopic, Number: at.Partition}
			if at.Translation == nil || *at.Translation >= ends[p] || at.State != pending && !follows(kind) {
				continue
			}
			u := unreadAt{GroupTopic{status.Groups[j].Group, at.Topic}, p, *at.Translation}
			list, positions[u] = append(list, u), at
		}
	}
	found, err := shelves(ctx, i.targetMarks, i.kept.target, list, time.Now())
	if err != nil {
		return err
	}
	near := map[GroupTopic]unreadAt{}
	for u, s := range found {
		left := int64(s.Left() / time.Second)
		positions[u].KeptForAtLeast = &left
		if before, known := near[u.group]; s.Share < warnBelow && (!known || s.Share < found[before].Share) {
			near[u.group] = u
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(near), GroupTopic.compare) {
		u, s := near[g], found[near[g]]
		warn(fmt.Sprintf("raise retention.ms of topic %s on %s, or let the group read on", u.partition.Topic, i.cfg.To),
			"group %s has not read %s on %s from offset %d on, and topic %s is kept %s there: what comes next is kept at "+
				"least %s more, and may be deleted then", g.Group, u.partition, i.cfg.To, u.at, u.partition.Topic, s.Kept,
			s.Left())
	}
	return nil
}
