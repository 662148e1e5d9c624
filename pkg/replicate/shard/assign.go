package shard

import (
	"context"
	"log/slog"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/quarantine"
	"replicator/pkg/replicate/topics"
)

// assigner decides which partitions of the shard are copied, and from where: by what the topology, the ledger and both
// clusters say of them.
type assigner struct {
	flow         *Flow
	shard        int
	log          *slog.Logger
	quarantine   *quarantine.Partitions
	signs        *signs
	published    *published.Shard
	book         *ledger.Shard
	assigned     *assignment
	intake       *intake
	transactions *transactions
	cuts         *cutFinder
}

// assign makes the session's assignment anew from the flow's topology. What it decides
// (where a partition starts, what it lost, why it stopped) is committed to the
// ledger before the first record is read.
func (a *assigner) assign(ctx context.Context, version uint64) error {
	a.expect()
	list := a.candidates()
	said, err := a.ask(ctx, list)
	if err != nil {
		return err
	}
	if err := a.refuseForeign(ctx, list); err != nil {
		return err
	}
	for _, c := range list {
		if err := a.decide(ctx, c, said); err != nil {
			return err
		}
	}
	if err := a.commitHeaders(ctx, list); err != nil {
		return err
	}
	if err := a.giveWay(ctx, list); err != nil {
		return err
	}
	return a.takeUp(list, version)
}

// takeUp has the session copy the candidates that nothing is in the way of, and publishes what has become of all.
func (a *assigner) takeUp(list []*candidate, version uint64) error {
	a.assigned.version, a.assigned.undecided = version, false
	a.assigned.routes = map[chunk.Partition]*route{}
	var positions []chunk.Position
	known := map[chunk.Partition]bool{}
	for _, c := range list {
		known[c.partition] = true
		if c.noted != nil {
			a.flow.Metrics.Cut(a.flow.Name, c.partition, c.noted)
		}
		state := c.becomes()
		a.isIn(c, state)
		a.published.Put(c.partition, func(r *published.Route) {
			if r.Key != c.key {
				r.Began, r.Records, r.Bytes, r.Newest = c.header.Progress, 0, 0, 0
			}
			r.Key, r.Target, r.Stop, r.State = c.key, c.topic.Target, c.stop, state
			r.Next = c.header.Progress
		})
		if state != partition.Copying {
			continue
		}
		a.assigned.routes[c.partition] = &route{
			key: c.key, topic: c.topic, next: c.header.Progress, epoch: c.header.Epoch, until: c.until,
		}
		positions = append(positions, chunk.Position{
			Partition: c.partition, Offset: c.header.Progress, Epoch: c.header.Epoch, Most: int(c.topic.TargetMaxBytes),
		})
	}
	a.published.Keep(known)
	return a.intake.assign(positions)
}

// isIn tells quarantine and log what state a candidate is in now.
func (a *assigner) isIn(c *candidate, state partition.State) {
	switch state {
	case partition.Truncated, partition.Paused:
		a.assigned.undecided = true
		a.quarantine.AwaitOrder(c.stop)
	case partition.Quarantined: // a topic that is stopped is the flow's to log, and to try again
		a.quarantine.Keep(c.stop)
	case partition.Copying:
		a.quarantine.GoesOn(c.partition)
	}
}

// expect names the topics that the ledger knows, so that one which may not be
// described is not taken for a deleted one.
func (a *assigner) expect() {
	var names []string
	for _, k := range a.book.Keys() {
		if target, verdict := a.flow.Policy.Topic(k.Partition.Topic); verdict.Selected && target != "" {
			names = append(names, k.Partition.Topic)
		}
	}
	if a.flow.Topics.Expect(names) {
		a.flow.Topology.Refresh()
	}
}

// candidates lists the partitions of the flow that belong to this shard.
func (a *assigner) candidates() []*candidate {
	var list []*candidate
	for _, t := range a.flow.Topology.Now() {
		for _, key := range a.partitionsOf(t) {
			p := key.Partition
			c := &candidate{partition: p, topic: t, key: key}
			if c.state = a.book.State(c.key); c.state != nil {
				c.header = c.state.Header
			}
			if key.Topic == (chunk.TopicID{}) {
				c.header.SourceTopic = t.SourceID
			}
			a.signs.keep(key, c.header.TargetTopic)
			if t.Stop != nil {
				stop := *t.Stop
				stop.Partition = p
				c.stop = &stop
			}
			if paused := ledger.PauseOf(a.book, p); c.stop == nil && paused != nil {
				c.stop = ledger.StopOf(p, paused)
			}
			if c.stop == nil {
				c.stop, c.until = a.quarantine.Check(p, c.progress())
			}
			c.waiting = t.Waits != "" || t.TargetID == (chunk.TopicID{}) || int(p.Number) >= t.TargetPartitions
			list = append(list, c)
		}
	}
	return list
}

// progress is what the ledger tells of the candidate; -1: nothing.
func (c *candidate) progress() offsets.Source {
	if c.state == nil {
		return -1
	}
	return c.header.Progress
}

// partitionsOf lists the topic's partitions that belong to this shard. Where the
// source does not describe the topic any more, the ledger tells which there were.
func (a *assigner) partitionsOf(t topics.Mirrored) []ledger.Key {
	var keys []ledger.Key
	for n := range t.Partitions {
		p := chunk.Partition{Topic: t.Source, Number: int32(n)}
		if p.Shard(a.flow.Cfg.Shards) == a.shard {
			keys = append(keys, a.book.KeyOf(t.SourceID, p))
		}
	}
	if t.Partitions == 0 {
		for _, k := range a.book.Keys() {
			if k.Partition.Topic == t.Source {
				keys = append(keys, k)
			}
		}
	}
	return keys
}
