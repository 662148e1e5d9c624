package failback

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/groups"
)

// takeGroups makes the positions that groups had on the source before it died the opposite flow's to move, of those
// that consumers have moved on the target since: there the groups live now. Those at work on the source are left as
// they are, and answered. Without an opposite flow nothing moves positions on the source, and none is touched.
func (f *Failback) takeGroups(ctx context.Context) (left []string, err error) {
	if f.viewer.Flow.OppositeLedger() == "" {
		return nil, nil
	}
	standing, err := f.viewer.Groups.Standing(ctx)
	if err != nil {
		return nil, err
	}
	moved := map[string][]groups.Stand{}
	var names []string
	for _, g := range standing {
		if f.viewer.Policy.Shared(g.Group) {
			continue // it follows whichever side it is used on
		}
		for _, at := range g.Positions {
			if at.Mark == nil {
				moved[g.Group] = append(moved[g.Group], at)
			}
		}
		if moved[g.Group] != nil {
			names = append(names, g.Group)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	present, err := f.viewer.Groups.OnSource(ctx, names)
	if err != nil {
		return nil, err
	}
	admin, flow := kadm.NewClient(f.viewer.SourceClient), &f.o.Flow
	back, err := groups.Open(groups.Config{Source: f.viewer.TargetCluster, Target: f.viewer.SourceCluster,
		Policy: f.viewer.Policy, Flow: flow.To + "->" + flow.From, Log: f.o.Log})
	if err != nil {
		return nil, err
	}
	defer back.Close()
	for _, name := range names {
		if present[name].Members > 0 {
			left = append(left, name)
			continue
		}
		held, err := admin.FetchOffsets(ctx, name)
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue // it began its way on the target
		}
		if err != nil {
			return nil, f.viewer.SourceCluster.Explain(err)
		}
		var handed []groups.Handed
		for _, at := range moved[name] {
			if was, ok := held.Lookup(at.Partition.Topic, at.Partition.Number); ok && was.At >= 0 {
				handed = append(handed, groups.Handed{Partition: at.Partition, Source: at.Committed.Offset, Target: was.At})
			}
		}
		if _, err := back.TakeOver(ctx, name, handed); err != nil {
			return nil, err
		}
	}
	slices.Sort(left)
	return left, nil
}
