package shard

import (
	"fmt"
	"slices"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/topics"
)

// assignment is the partitions that a session copies now, how far each was read, and what of that is not committed yet.
// The session has one, which the assigner fills anew whenever topics or partitions have changed.
type assignment struct {
	version   uint64 // of the topology that it was made from
	routes    map[chunk.Partition]*route
	moved     map[chunk.Partition]bool // progress noted, but not committed
	undecided bool                     // a partition waits for an order
}

// route is one partition that a session copies.
type route struct {
	key     ledger.Key
	topic   topics.Mirrored
	next    offsets.Source // progress, including what is not committed yet
	epoch   int32
	until   *chunk.Stop // the target has refused its record: end before that
	stopAt  *chunk.Stop // a record that cannot pass stands at next
	written bool        // the open transaction has records of it

	newest int64 // timestamp of the last record written, ms
	bytes  int64 // that the open transaction has of it
}

func newAssignment() *assignment {
	return &assignment{routes: map[chunk.Partition]*route{}, moved: map[chunk.Partition]bool{}}
}

// reached says whether a one-off copy has nothing more to wait for here; nil goals are not known yet.
func (a *assignment) reached(goals map[chunk.Partition]offsets.Source) bool {
	if len(goals) == 0 {
		return false
	}
	for p, r := range a.routes {
		if r.next < goals[p] {
			return false
		}
	}
	return true
}

// advance notes the progress that a part makes.
func (a *assignment) advance(r *route, part *chunk.Part) {
	r.next, r.epoch = part.Next, part.Epoch
	a.moved[part.Partition] = true
}

// interrupts says whether a chunk has records of a partition over a new connection, of
// which the open transaction holds some from before: those are in no map yet.
func (a *assignment) interrupts(c chunk.Chunk) bool {
	return slices.ContainsFunc(c.Parts, func(p chunk.Part) bool {
		r := a.routes[p.Partition]
		return p.Anew && r != nil && r.written
	})
}

// stopAt is why some partition ended before a record, if one did: the session ends, so that it is read without it.
func (a *assignment) stopAt() error {
	for _, r := range a.routes {
		if r.stopAt != nil {
			return r.stopAt
		}
	}
	return nil
}

// endBeforeRefused ends a part before the record that the target has refused, if that is
// still there.
func (r *route) endBeforeRefused(part *chunk.Part) {
	if r.until == nil || part.Next <= r.until.At {
		return
	}
	at := r.until.At
	for i := range part.Records {
		if found := part.Records[i].Offset; found >= at {
			if found == at {
				part.Records, part.Next, r.stopAt = part.Records[:i], at, r.until
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
				part.Batches, part.Next, r.stopAt = part.Batches[:i], b.First, r.until
			}
			break
		}
	}
	r.until = nil // the epoch stays the part's: a source that was cut before that began says so
}

// endBeforeUncarried ends a part before the first record that the lane would change.
func (r *route) endBeforeUncarried(part *chunk.Part) {
	for i := range part.Records {
		why := sink.Carries(&part.Records[i])
		if why == nil {
			continue
		}
		at := part.Records[i].Offset
		r.stopAt = &chunk.Stop{
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
