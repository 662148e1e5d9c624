package replicate

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/wait"
)

// replicas watches the other members of the group.
type replicas struct {
	flow      *shard.Flow
	differing atomic.Int32        // those with other rules than this one's
	logged    wait.Logged[string] // which they are, by the group; belongs to round
}

const (
	aloneEvery = 250 * time.Millisecond
	aloneMore  = 2 * time.Second // what a coordinator takes to notice
)

// alone makes sure, before this process joins, that the group is not another flow's. A
// member that was killed is one until its session is over.
func (r *replicas) alone(ctx context.Context) error {
	giveUp := time.Now().Add(r.flow.Owner.Session() + aloneMore)
	return wait.Until(ctx, aloneEvery, func() (bool, error) {
		members, err := r.flow.Owner.Members(ctx)
		if err == nil {
			err = peers.ForeignMembers(&r.flow.Cfg, members)
		}
		if peers.AreForeignMembers(err) && time.Now().Before(giveUp) {
			return false, nil
		}
		return err == nil, err
	})
}

// round sees who is in the group: members of another flow are its error, and other rules are logged.
func (r *replicas) round(ctx context.Context) error {
	members, err := r.flow.Owner.Members(ctx)
	if err != nil {
		return err
	}
	if err := peers.ForeignMembers(&r.flow.Cfg, members); err != nil {
		return err
	}
	for i := range members {
		if !members[i].Known {
			return nil // shards are being shared out: what was seen last holds
		}
	}
	found := peers.CompareRules(members, peers.RulesOf(&r.flow.Cfg))
	r.differing.Store(int32(found.Count))
	group := r.flow.Cfg.GroupID()
	switch {
	case found.Count == 0 && r.logged.Over(group):
		r.flow.Log.Info("all replicas have the same rules again")
	case found.Count > 0 && r.logged.IsNews(group, found.String()):
		r.flow.Log.Error("replicas have different rules", "replicas", found.Count, "differ",
			strings.Join(slices.Sorted(maps.Keys(found.Keys)), " "), "hosts",
			strings.Join(slices.Sorted(maps.Keys(found.Hosts)), " "), "remedy", peers.MixedRemedy)
	}
	return nil
}
