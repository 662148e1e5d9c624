package replicate

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"replicator/pkg/replicate/peers"
)

// alone makes sure, before this process joins, that the group is not another flow's. A
// member that was killed is one until its session is over.
func (f *flow) alone(ctx context.Context) error {
	tick := time.NewTicker(aloneEvery)
	defer tick.Stop()
	for giveUp := time.Now().Add(f.Owner.Session() + aloneMore); ; {
		members, err := f.Owner.Members(ctx)
		if err == nil {
			if err = peers.Strangers(&f.Cfg, members); err == nil {
				return nil
			}
		}
		if !peers.AreStrangers(err) || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

const (
	aloneEvery = 250 * time.Millisecond
	aloneMore  = 2 * time.Second // what a coordinator takes to notice
)

// watchReplicas looks at the other members of the group: strangers end the flow, and other
// rules are told.
func (f *flow) watchReplicas(ctx context.Context) error {
	members, err := f.Owner.Members(ctx)
	if err != nil {
		return err
	}
	if err := peers.Strangers(&f.Cfg, members); err != nil {
		f.stop(err)
		return err
	}
	for i := range members {
		if !members[i].Told {
			return nil // shards are being shared out: what was seen last holds
		}
	}
	found := peers.CompareRules(members, peers.RulesOf(&f.Cfg))
	f.differing.Store(int32(found.Count))
	text := found.String()
	if text == f.toldDiffering {
		return nil
	}
	f.toldDiffering = text
	if text == "" {
		f.Log.Info("all replicas have the same rules again")
		return nil
	}
	f.Log.Error("replicas have different rules", "replicas", found.Count, "differ",
		strings.Join(slices.Sorted(maps.Keys(found.Keys)), " "), "hosts",
		strings.Join(slices.Sorted(maps.Keys(found.Hosts)), " "), "remedy", peers.MixedRemedy)
	return nil
}
