package shard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/wait"
)

// sameTopics makes sure, between the last record read and the commit, that the
// topics of the transaction are still the ones that the routes were made for. A
// topic that was deleted and created again is silent otherwise: its records are
// read on from the old position, as if nothing had happened.
func (c *copier) sameTopics(ctx context.Context, acked []sink.Acked) error {
	sources, targets := map[string]chunk.TopicID{}, map[string]chunk.TopicID{}
	for _, l := range acked {
		topic := c.assigned.routes[l.Partition].topic
		sources[topic.Source], targets[topic.Target] = topic.SourceID, topic.TargetID
	}
	for _, side := range []struct {
		ask  func(context.Context, []string) (map[string]chunk.TopicID, error)
		want map[string]chunk.TopicID
		what string
	}{
		{c.flow.SourceOffsets.TopicIDs, sources, "source"},
		{c.flow.TargetOffsets.TopicIDs, targets, "target"},
	} {
		names := make([]string, 0, len(side.want))
		for name := range side.want {
			names = append(names, name)
		}
		if len(names) == 0 {
			continue
		}
		ids, err := side.ask(ctx, names)
		if err != nil {
			return err
		}
		for name, want := range side.want {
			if got := ids[name]; got != want {
				c.log.Warn(side.what+" topic is another one than before", "topic", name, "id", got, "was", want)
				return c.flow.refreshTopics(ctx, c.assigned.version)
			}
		}
	}
	return nil
}

// refreshTopics ends a session whose topics are not those of the version that it
// has seen, once the change is known to all; perhaps it is already.
func (f *Flow) refreshTopics(ctx context.Context, seen uint64) error {
	f.Topology.Refresh()
	f.Topology.Await(ctx, seen, grace)
	return errAgain
}

// commit puts the map and the progress of a chunk into its transaction and
// commits it.
func (c *copier) commit(ctx context.Context, acked []sink.Acked) error {
	runs := make(map[chunk.Partition][]offsets.Run, len(acked))
	for _, l := range acked {
		runs[l.Partition] = l.Runs
	}
	changes := make([]ledger.Change, 0, len(c.assigned.moved))
	for p := range c.assigned.moved {
		r := c.assigned.routes[p]
		if r.written && len(runs[p]) == 0 {
			return fmt.Errorf("%s: records were written, but none was acknowledged", p)
		}
		change, err := c.change(ctx, r, runs[p])
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	p, err := c.book.Prepare(changes)
	if err != nil {
		return err
	}
	if err := c.transactions.commit(ctx, p); err != nil {
		return err
	}
	c.markCommitted()
	for p, list := range runs {
		if r := c.assigned.routes[p]; r.until == nil && r.stopAt == nil { // else it is in quarantine again
			c.quarantine.Copied(p)
		}
		count := int64(0)
		for _, run := range list {
			count += run.Count
		}
		r := c.assigned.routes[p]
		c.published.Copied(p, count, r.bytes, r.newest)
		r.bytes = 0
		c.flow.Metrics.Copied(c.flow.Name, p, count, r.newest, time.Now())
		c.flow.Copied.Add(count)
	}
	return nil
}

// change is what a commit does to one partition.
func (c *copier) change(ctx context.Context, r *route, runs []offsets.Run) (ledger.Change, error) {
	state := c.book.State(r.key)
	header := state.Header
	header.Progress, header.Epoch = r.next, r.epoch
	if len(runs) > 0 {
		header.MarkerFollows = c.flow.exactlyOnce() // else the transaction is the ledger's alone
	}
	change := ledger.Change{Key: r.key, Header: header, Runs: runs}
	if last, mapped := state.Map.Last(); mapped && len(runs) > 0 && runs[0].Target < last.TargetEnd() {
		return ledger.Change{}, &belowError{r.key, r.topic.TargetID, runs[0].Target, last.TargetEnd()}
	}
	end := state.Expected()
	for i, run := range runs {
		if i == 0 && (run.Target == end || state.MarkerFollows && run.Target == end+1) {
			end = run.TargetEnd() // end+1: one offset is our own commit marker
			continue
		}
		if run.Target > end {
			foreign, err := c.foreign.between(ctx, r.key, r.topic, end, run.Target, i == 0)
			if err != nil {
				return change, err
			}
			change.Foreign = append(change.Foreign, foreign...)
		}
		end = run.TargetEnd()
	}
	return change, nil
}

// markCommitted takes up what is committed now: the progress that was noted, and the records that were written.
func (c *copier) markCommitted() {
	for p := range c.assigned.moved {
		r := c.assigned.routes[p]
		if r.written {
			c.foreign.committed[r.key], r.written = true, false
		}
		c.published.Progress(p, r.next)
	}
	clear(c.assigned.moved)
	c.committed = time.Now()
	wait.Notify(c.flow.Notify)
}

// progressDue says whether it is time to commit progress that came without records.
func (c *copier) progressDue() bool {
	due := progressEvery
	if c.trailing {
		due = progressSoon
	}
	return time.Since(c.committed) >= due || c.flow.CatchUp
}

// commitProgress commits progress that came without records.
func (c *copier) commitProgress(ctx context.Context) error {
	c.committed, c.trailing = time.Now(), false
	if err := c.learnEpochs(ctx); err != nil {
		return err
	}
	if len(c.assigned.moved) == 0 {
		return nil
	}
	if err := c.transactions.out.Begin(); err != nil {
		return err
	}
	return c.commit(ctx, nil)
}

// learnEpochs asks the source for the leader epoch of progress where no record tells
// it: what it calls its end is past markers and aborted records. By that epoch a
// truncation is noticed later. It is the epoch of what stands there, which is not
// always that of the leader: one that came and went without writing leaves nothing.
func (c *copier) learnEpochs(ctx context.Context) error {
	var vague []string
	for p, r := range c.assigned.routes {
		if r.epoch < 0 && r.next > 0 && r.stopAt == nil {
			vague = append(vague, p.Topic)
		}
	}
	if len(vague) == 0 {
		return nil
	}
	slices.Sort(vague)
	stable, err := c.flow.SourceOffsets.Stable(ctx, slices.Compact(vague))
	if err != nil {
		return err
	}
	var before []chunk.Position // with the epoch before the leader's
	for p, r := range c.assigned.routes {
		listed, ok := stable[p]
		if ok && r.epoch < 0 && listed.Err == nil && listed.Epoch >= 0 && listed.Offset == int64(r.next) {
			before = append(before, chunk.Position{Partition: p, Offset: r.next, Epoch: listed.Epoch - 1})
		}
	}
	ends, err := c.flow.SourceOffsets.EpochEnds(ctx, before)
	if err != nil {
		return err
	}
	for _, at := range before {
		epoch := at.Epoch + 1
		if end, asked := ends[at.Partition]; asked && (end.Err != nil || end.Offset < 0) {
			continue // it stays unknown
		} else if asked && end.Offset >= int64(at.Offset) {
			epoch = end.Epoch
		}
		c.assigned.routes[at.Partition].epoch = epoch
		c.assigned.moved[at.Partition] = true
	}
	return nil
}
