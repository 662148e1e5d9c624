package shard

import (
	"context"
	"fmt"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/sink"
)

// move copies one chunk, which begins with what has arrived already.
func (s *session) move(ctx, finish context.Context, c chunk.Chunk) error {
	begun := time.Now()
	var total chunk.Chunk
	err := s.transact(ctx, finish, c, &total)
	if err != nil && finish.Err() == nil {
		s.smaller(total.Bytes, time.Since(begun), err)
	}
	return err
}

// transact is one transaction; total is what it holds so far.
func (s *session) transact(ctx, finish context.Context, c chunk.Chunk, total *chunk.Chunk) error {
	begun := time.Now()
	deadline := begun.Add(s.flow.Cfg.CommitInterval)
	if err := s.begin(finish); err != nil {
		return err
	}
	onlyWaits := s.atGoal() // for others: there is no end to hurry to
	var err error
	for {
		c = s.room(c, total.Bytes)
		total.Records += c.Records
		total.Bytes += c.Bytes
		if err := s.write(finish, c); err != nil {
			return err
		}
		left := time.Until(deadline)
		if total.Bytes < littleBytes { // no backlog that a longer transaction would make cheaper
			left -= s.flow.Cfg.CommitInterval / 2
		}
		if total.Records >= s.chunkRecords || total.Bytes >= chunkBytes || left <= 0 || ctx.Err() != nil ||
			len(s.later.Parts) > 0 || s.most > 0 && total.Bytes >= s.most ||
			s.flow.CatchUp && (c.Records == 0 || !onlyWaits && s.atGoal()) {
			break
		}
		limit := s.take
		limit.Wait = min(left, idleWait)
		if c, err = s.in.Next(ctx, limit); err != nil {
			return err
		}
		if s.interrupts(c) {
			s.later = c
			break
		}
		if err = s.compareLast(finish, c); err != nil { // records are written by now: at least once, they stay there
			return err
		}
	}
	acked, err := s.out.Settle(finish)
	if err != nil {
		return s.flow.Target.Explain(err)
	}
	if err := s.sameTopics(finish, acked); err != nil {
		return err
	}
	if err := s.commit(finish, acked); err != nil {
		return err
	}
	s.trailing = true
	s.larger(total.Bytes, time.Since(begun))
	s.flow.Metrics.Committed(s.flow.Name, *total, time.Since(begun))
	s.flow.CopiedBytes.Add(int64(total.Bytes))
	s.retry.Reset()
	return s.stopCut()
}

// write sends a chunk's records on, and notes the progress that they make.
func (s *session) write(ctx context.Context, c chunk.Chunk) error {
	for _, part := range c.Parts {
		r := s.routes[part.Partition]
		if r == nil || r.cut != nil {
			continue
		}
		r.cutRefused(&part)
		s.cutUncarried(r, &part)
		if !part.Empty() {
			if err := s.out.Write(ctx, part, r.topic.Target); err != nil {
				return err
			}
			r.landed = true
			r.newest = part.Newest
		}
		r.next, r.epoch = part.Next, part.Epoch
		s.moved[part.Partition] = true
	}
	return s.out.Push(ctx)
}

// cutRefused ends a part before the record that the target has refused, if that is
// still there.
func (r *route) cutRefused(part *chunk.Part) {
	if r.until == nil || part.Next <= r.until.At {
		return
	}
	at := r.until.At
	for i := range part.Records {
		if found := part.Records[i].Offset; found >= at {
			if found == at {
				part.Records, part.Next, r.cut = part.Records[:i], at, r.until
				if i > 0 {
					part.Newest = part.Records[i-1].Timestamp
				}
			}
			break
		}
	}
	for i := range part.Batches {
		if b := &part.Batches[i]; b.End() > at {
			if b.First <= at {
				part.Batches, part.Next, r.cut = part.Batches[:i], b.First, r.until
			}
			break
		}
	}
	r.until = nil // the epoch stays the part's: a source that was cut before that began says so
}

// cutUncarried ends a part before the first record that the lane would change.
func (s *session) cutUncarried(r *route, part *chunk.Part) {
	for i := range part.Records {
		why := sink.Carries(&part.Records[i])
		if why == nil {
			continue
		}
		at := part.Records[i].Offset
		r.cut = &chunk.Stop{
			Partition: part.Partition, Kind: chunk.StopUncarried,
			Reason: fmt.Sprintf("the record at source offset %d cannot be carried unchanged: %v", at, why),
			Fix: "exclude the topic, or let the record age out of the source; everything before it is on the target, " +
				"and copying goes on by itself once the record is gone",
		}
		part.Records, part.Next = part.Records[:i], at
		if i > 0 {
			part.Newest = part.Records[i-1].Timestamp
		}
		return
	}
}

// stopCut ends the session if a partition was cut, so that it is read without it.
func (s *session) stopCut() error {
	for _, r := range s.routes {
		if r.cut != nil {
			return r.cut
		}
	}
	return nil
}

// note takes over progress that comes without records.
func (s *session) note(c chunk.Chunk) {
	for _, part := range c.Parts {
		if r := s.routes[part.Partition]; r != nil && r.cut == nil {
			r.next, r.epoch = part.Next, part.Epoch
			s.moved[part.Partition] = true
			s.Published.progress(part.Partition, part.Next)
		}
	}
}
