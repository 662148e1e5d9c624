package groups

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Presence is whether a group is in use on a cluster.
type Presence struct {
	State   string // as "Empty" or "Stable"; "" when the cluster has no such group or does not show it
	Members int
}

// OnSource tells which groups have members on the source, by name there.
func (g *Groups) OnSource(ctx context.Context, names []string) (map[string]Presence, error) {
	return present(ctx, g.source, g.cfg.Source, names)
}

// present asks a cluster for groups. Most are empty, which the list tells already;
// only the others are described.
func present(ctx context.Context, client *kgo.Client, cluster kafka.Config,
	names []string) (map[string]Presence, error) {
	admin := kadm.NewClient(client)
	list, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", cluster.Explain(err))
	}
	all := make(map[string]Presence, len(names))
	var busy []string
	for _, name := range names {
		all[name] = Presence{State: list[name].State}
		switch list[name].State {
		case "", "Empty", "Dead":
		default:
			busy = append(busy, name)
		}
	}
	if len(busy) == 0 {
		return all, nil
	}
	classic, err := admin.DescribeGroups(ctx, busy...)
	if err != nil && len(classic) == 0 {
		return nil, fmt.Errorf("describe groups: %w", cluster.Explain(err))
	}
	var newer []string // of the consumer protocol of KIP-848
	for _, name := range busy {
		switch group := classic[name]; {
		case errors.Is(group.Err, kerr.GroupIDNotFound) || group.State == "Dead":
			newer = append(newer, name)
		default:
			all[name] = Presence{all[name].State, len(group.Members)}
		}
	}
	if len(newer) == 0 {
		return all, nil
	}
	described, err := admin.DescribeConsumerGroups(ctx, newer...)
	if err != nil && len(described) == 0 {
		return nil, fmt.Errorf("describe groups: %w", cluster.Explain(err))
	}
	for _, name := range newer {
		all[name] = Presence{all[name].State, len(described[name].Members)}
	}
	return all, nil
}

// Handed is a position on the target that the flow takes over: that of a group which
// stood there when records began to come the other way.
type Handed struct {
	Partition      chunk.Partition // on the target
	Source, Target int64           // the same place on both sides
}

// TakeOver makes positions of a group on the target the flow's own to move: what is
// committed there stays, and is marked as the flow's. A position that is not the one
// that was handed over any more is left as it is; it is among those returned.
func (g *Groups) TakeOver(ctx context.Context, group string, handed []Handed) (moved []Handed, err error) {
	admin := kadm.NewClient(g.target.client)
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, g.target.unread(group, err)
	}
	var marked kadm.Offsets
	for _, h := range handed {
		now, ok := committed.Lookup(h.Partition.Topic, h.Partition.Number)
		switch {
		case ok && Ours(g.cfg.Flow, g.Own(Committed{now.At, now.Metadata})):
			continue // it may have been moved on since
		case !ok || now.At != h.Target:
			moved = append(moved, h)
			continue
		}
		mark := Mark{Flow: g.cfg.Flow, Source: offsets.Source(h.Source), Target: offsets.Target(h.Target)}.Format()
		marked.Add(kadm.Offset{Topic: h.Partition.Topic, Partition: h.Partition.Number, At: h.Target, LeaderEpoch: -1,
			Metadata: mark})
	}
	if len(marked) == 0 {
		return moved, nil
	}
	answers, err := admin.CommitOffsets(ctx, group, marked)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return moved, problem(g.cfg.Target, "Read", group, "", err)
	}
	return moved, nil
}
