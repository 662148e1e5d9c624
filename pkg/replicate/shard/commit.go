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
	"replicator/pkg/replicate/topics"
)

// sameTopics makes sure, between the last record read and the commit, that the
// topics of the transaction are still the ones that the routes were made for. A
// topic that was deleted and created again is silent otherwise: its records are
// read on from the old position, as if nothing had happened.
func (s *session) sameTopics(ctx context.Context, acked []sink.Acked) error {
	sources, targets := map[string]chunk.TopicID{}, map[string]chunk.TopicID{}
	for _, l := range acked {
		topic := s.routes[l.Partition].topic
		sources[topic.Source], targets[topic.Target] = topic.SourceID, topic.TargetID
	}
	for _, side := range []struct {
		ask  func(context.Context, []string) (map[string]chunk.TopicID, error)
		want map[string]chunk.TopicID
		what string
	}{
		{s.flow.SourceOffsets.TopicIDs, sources, "source"},
		{s.flow.TargetOffsets.TopicIDs, targets, "target"},
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
				s.log.Warn(side.what+" topic is another one than before", "topic", name, "id", got, "was", want)
				return s.flow.Topology.refreshAndWait(ctx, s.seen)
			}
		}
	}
	return nil
}

// commit puts the map and the progress of a chunk into its transaction and
// commits it.
func (s *session) commit(ctx context.Context, acked []sink.Acked) error {
	runs := make(map[chunk.Partition][]offsets.Run, len(acked))
	for _, l := range acked {
		runs[l.Partition] = l.Runs
	}
	changes := make([]ledger.Change, 0, len(s.moved))
	for p := range s.moved {
		r := s.routes[p]
		if r.landed && len(runs[p]) == 0 {
			return fmt.Errorf("%s: records were written, but none was acknowledged", p)
		}
		c, err := s.change(ctx, p, r, runs[p])
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	p, err := s.book.Prepare(changes)
	if err != nil {
		return err
	}
	if err := s.send(ctx, p); err != nil {
		return err
	}
	for p, list := range runs {
		if r := s.routes[p]; r.until == nil && r.cut == nil { // else it is put aside again
			delete(s.quarantined, p)
			delete(s.troubled, p)
			s.goesOn(p)
		}
		count := int64(0)
		for _, run := range list {
			count += run.Count
		}
		s.flow.Metrics.Copied(s.flow.Name, p, count, s.routes[p].newest, time.Now())
		s.flow.Copied.Add(count)
	}
	return nil
}

// change is what a commit does to one partition.
func (s *session) change(ctx context.Context, p chunk.Partition, r *route, runs []offsets.Run) (ledger.Change, error) {
	state := s.book.State(r.key)
	header := state.Header
	header.Progress, header.Epoch = r.next, r.epoch
	if len(runs) > 0 {
		header.Marked = s.flow.exactlyOnce() // else the transaction is the ledger's alone
	}
	c := ledger.Change{Key: r.key, Header: header, Runs: runs}
	if last, mapped := state.Map.Last(); mapped && len(runs) > 0 && runs[0].Target < last.TargetEnd() {
		return ledger.Change{}, &belowError{p, runs[0].Target, last.TargetEnd()}
	}
	end := state.Expected()
	for i, run := range runs {
		if i == 0 && (run.Target == end || state.Marked && run.Target == end+1) {
			end = run.TargetEnd() // end+1: one offset is our own commit marker
			continue
		}
		if run.Target > end {
			foreign, err := s.foreignAt(ctx, r.key, r.topic, end, run.Target, i == 0)
			if err != nil {
				return c, err
			}
			c.Foreign = append(c.Foreign, foreign...)
		}
		end = run.TargetEnd()
	}
	return c, nil
}

// foreignAt looks whether [from,to) of the target, which our own markers do not
// explain, holds records that somebody else wrote. Before the transaction's
// first record a committed reader tells; among its records only an uncommitted
// one can read, and what it sees counts even if it is aborted later: a group
// then stops too early rather than too late.
func (s *session) foreignAt(ctx context.Context, key ledger.Key, topic topics.Mirrored,
	from, to offsets.Target, before bool) ([]offsets.Stretch, error) {
	p := key.Partition
	if before && !s.flow.exactlyOnce() && !s.settled[key] {
		return nil, nil // after a crash these may be our own records: at least once, they are there twice
	}
	if before { // below an open transaction of somebody else a committed reader sees nothing yet
		stable, err := s.flow.targetEnd(ctx, topic.Target, p.Number)
		if err != nil {
			return nil, err
		}
		if stable < to {
			return s.foreignFound(p, topic.Target, max(stable, from), to), nil
		}
	}
	first, end, found, err := s.flow.Scan.Stretch(ctx, topic.Target, p.Number, from, to, before)
	if err != nil {
		return nil, fmt.Errorf("look for foreign records in %s/%d [%d,%d): %w", topic.Target, p.Number, from, to, err)
	}
	if !found {
		return nil, nil
	}
	return s.foreignFound(p, topic.Target, first, end), nil
}

// foreignFound reports a stretch of somebody else's records.
func (s *session) foreignFound(p chunk.Partition, target string, first, end offsets.Target) []offsets.Stretch {
	s.log.Warn("target partition holds records of somebody else", "partition", p, "target", target,
		"from", first, "to", end,
		"remedy", "find out who writes to the target; groups stop before these records and say so in status")
	s.flow.Metrics.Foreign(s.flow.Name, p)
	return []offsets.Stretch{{From: first, To: end}}
}

// begin starts a transaction for records. The first one under a producer id comes
// after the claim of that id is committed; the target may hand out another id with
// every commit (KIP-890).
func (s *session) begin(ctx context.Context) error {
	for id := s.out.ProducerID(); id >= 0 && !s.book.Claims(id); id = s.out.ProducerID() {
		if err := s.out.Begin(); err != nil {
			return err
		}
		if err := s.put(ctx, s.book.PrepareClaim(id, time.Now())); err != nil {
			return err
		}
	}
	return s.out.Begin()
}

// send commits prepared ledger records, with all that was written since Begin, and
// with the progress that was noted.
func (s *session) send(ctx context.Context, p *ledger.Prepared) error {
	if err := s.put(ctx, p); err != nil {
		return err
	}
	for p := range s.moved {
		if r := s.routes[p]; r != nil {
			if r.landed {
				s.settled[r.key], r.landed = true, false
			}
			s.Published.progress(p, r.next)
		}
	}
	clear(s.moved)
	s.rested = time.Now()
	notify(s.flow.Notify)
	return nil
}

// put commits prepared ledger records.
func (s *session) put(ctx context.Context, p *ledger.Prepared) error {
	records := make([]sink.LedgerRecord, len(p.Records))
	for i, r := range p.Records {
		records[i] = sink.LedgerRecord{Key: r.Key, Value: r.Value}
	}
	if err := s.Published.enter(ctx); err != nil {
		return err
	}
	defer s.Published.leave()
	begun := time.Now()
	at, err := s.out.Commit(ctx, records)
	if err != nil {
		return s.flow.Target.Explain(err)
	}
	s.Published.apply(p, at)
	if n := len(at); n > 0 {
		s.written = at[n-1] + 2 // and the transaction's marker
	}
	s.flow.Metrics.Commit(s.flow.Name, time.Since(begun))
	return nil
}

// rest commits progress that came without records.
func (s *session) rest(ctx context.Context) error {
	s.rested, s.trailing = time.Now(), false
	if err := s.askEpochs(ctx); err != nil {
		return err
	}
	if len(s.moved) == 0 {
		return nil
	}
	if err := s.out.Begin(); err != nil {
		return err
	}
	return s.commit(ctx, nil)
}

// askEpochs asks the source for the leader epoch of progress where no record tells
// it: what it calls its end is past markers and aborted records. By that epoch a
// truncation is noticed later. It is the epoch of what stands there, which is not
// always that of the leader: one that came and went without writing leaves nothing.
func (s *session) askEpochs(ctx context.Context) error {
	var vague []string
	for p, r := range s.routes {
		if r.epoch < 0 && r.next > 0 && r.cut == nil {
			vague = append(vague, p.Topic)
		}
	}
	if len(vague) == 0 {
		return nil
	}
	slices.Sort(vague)
	stable, err := s.flow.SourceOffsets.Stable(ctx, slices.Compact(vague))
	if err != nil {
		return err
	}
	var before []chunk.Position // with the epoch before the leader's
	for p, r := range s.routes {
		mark, ok := stable[p]
		if ok && r.epoch < 0 && mark.Err == nil && mark.Epoch >= 0 && mark.Offset == int64(r.next) {
			before = append(before, chunk.Position{Partition: p, Offset: r.next, Epoch: mark.Epoch - 1})
		}
	}
	ends, err := s.flow.SourceOffsets.EpochEnds(ctx, before)
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
		s.routes[at.Partition].epoch = epoch
		s.moved[at.Partition] = true
	}
	return nil
}

// trim forgets the segments of maps that lie wholly below what both logs still
// hold: nobody can ask for them.
func (s *session) trim(ctx context.Context) error {
	s.trimmed = time.Now()
	var sources, targets []string
	for p, r := range s.routes {
		if len(s.book.State(r.key).Map.Heads()) > 0 {
			sources, targets = append(sources, p.Topic), append(targets, r.topic.Target)
		}
	}
	slices.Sort(sources)
	slices.Sort(targets)
	source, err := s.flow.SourceOffsets.Earliest(ctx, slices.Compact(sources))
	if err != nil {
		return err
	}
	target, err := s.flow.TargetOffsets.Earliest(ctx, slices.Compact(targets))
	if err != nil {
		return err
	}
	var changes []ledger.Change
	for p, r := range s.routes {
		state := s.book.State(r.key)
		from, ok := source[p]
		to, known := target[chunk.Partition{Topic: r.topic.Target, Number: p.Number}]
		if !ok || !known || from.Err != nil || to.Err != nil {
			continue
		}
		starts := &ledger.LogStarts{Source: offsets.Source(from.Offset), Target: offsets.Target(to.Offset)}
		if len(state.Map.Clone().Trim(starts.Source, starts.Target)) > 0 {
			changes = append(changes, ledger.Change{Key: r.key, Header: state.Header, Trim: starts})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	prepared, err := s.book.Prepare(changes)
	if err != nil {
		return err
	}
	if err := s.out.Begin(); err != nil {
		return err
	}
	return s.put(ctx, prepared)
}
