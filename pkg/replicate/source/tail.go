package source

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// tail is one partition from where it is read on.
type tail struct {
	partition     chunk.Partition
	topicID       [16]byte
	leaderEpoch   int32 // of its leader today
	next          offsets.Source
	epoch         int32          // of what stands before next
	stable        offsets.Source // by the last answer, or unknownOffset
	asked         position       // by the last request that named it
	emptyUpTo     offsets.Source // the stable offset that an answer without any bytes told of, just before; 0: none
	most          int            // bytes of the largest batch that the target takes; 0: not known
	anew          bool           // nothing has come since a connection to its broker was made
	wasLost       bool           // it was lost, and was not read since
	leaderOnly    bool           // only its leader is to be asked
	followerSince time.Time      // since when a replica nearer than the leader is read; zero: the leader is
}

// unknownOffset is the stable offset of a partition that its broker has said nothing of.
const unknownOffset offsets.Source = -1

// unfinished says whether there may be something left to read now.
func (t *tail) unfinished() bool { return t.stable == unknownOffset || t.stable > t.next }

// position is where the partition is read on.
func (t *tail) position() position { return position{t.next, t.epoch} }

// request names the partition, and how many bytes of an answer it gets.
func (t *tail) request(bytes int32) kmsg.FetchRequestTopicPartition {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = t.partition.Number
	p.CurrentLeaderEpoch = t.leaderEpoch
	p.FetchOffset = int64(t.next)
	p.LastFetchedEpoch = t.epoch // KIP-595: a log that was cut answers where it was
	p.LogStartOffset = -1
	p.PartitionMaxBytes = bytes
	return p
}

// callbacks are those who hear of single batches, or are asked about them.
type callbacks struct {
	rebuilt func(reason string)                                 // told of one that could not travel as it was
	leftOut func(p chunk.Partition, b wire.Batch) (bool, error) // asked whether it is not copied, by who wrote it
}

// read reads what a broker answers for the partition and moves on past it. The
// part's Next is 0 where there is no news.
func (t *tail) read(answer *kmsg.FetchResponseTopicPartition, tell callbacks) (chunk.Part, error) {
	part := chunk.Part{Partition: t.partition, Most: t.most, Anew: t.anew}
	if err := t.refusal(answer); err != nil {
		return part, err
	}
	began := t.next
	aborted := wire.NewAborted(answer.AbortedTransactions)
	// What is taken apart and written anew is about as large as before, but for what was made to be otherwise.
	left := growsTo*len(answer.RecordBatches) + growsBy
	for data := answer.RecordBatches; len(data) > 0; {
		all := true
		b, rest, err := wire.Next(data)
		if errors.Is(err, wire.ErrPartial) {
			break // the rest comes with the next answer
		}
		if err == nil {
			data = rest
			had := len(part.Batches)
			all, err = t.pass(&part, b, aborted, tell)
			for _, made := range part.Batches[had:] {
				left -= len(made.Raw)
			}
			if !all || left < 0 {
				data = nil // the rest comes with the next answer, which begins with this batch again where not all was taken
			}
		} else {
			err = t.unreadable(err)
		}
		if err != nil && t.next > began {
			break // first what stands before it; then it is met again
		}
		if err != nil {
			return part, err
		}
	}
	t.stable = offsets.Source(answer.LastStableOffset)
	if t.next > began {
		part.Next, part.Epoch = t.next, t.epoch
	}
	return part, nil
}

// growsTo: what is made of an answer's batches may have so many times their bytes, and so many more.
const growsTo, growsBy = 4, 1 << 20

// refusal sorts what a broker says instead of records.
func (t *tail) refusal(answer *kmsg.FetchResponseTopicPartition) error {
	if end := offsets.Source(answer.DivergingEpoch.EndOffset); end >= t.next {
		t.epoch = chunk.UnknownEpoch // nothing was cut: a leader of that epoch has written nothing below
		return nil
	} else if end >= 0 && t.followerSince.IsZero() {
		return &Unreadable{Err: fmt.Errorf("%s: the source's log was cut at offset %d", t.partition, end),
			OutOfLog: true, Partition: t.partition, At: t.next, End: end}
	}
	err := kerr.ErrorForCode(answer.ErrorCode)
	switch {
	case answer.DivergingEpoch.EndOffset >= 0:
		err = kerr.FencedLeaderEpoch // a follower that is behind
	case err == nil:
		return nil
	}
	switch {
	case !t.followerSince.IsZero():
		return fmt.Errorf("read %s at %d from a follower: %w", t.partition, t.next, err) // its leader knows better
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID),
		errors.Is(err, kerr.UnknownTopicOrPartition):
		return &Unreadable{Err: fmt.Errorf("%s: %w", t.partition, err), End: -1,
			absent:   !errors.Is(err, kerr.OffsetOutOfRange) && !errors.Is(err, kerr.TopicAuthorizationFailed),
			OutOfLog: errors.Is(err, kerr.OffsetOutOfRange), Partition: t.partition, At: t.next}
	case errors.Is(err, kerr.CorruptMessage): // would be retriable, but it stays
		return t.unreadable(err)
	case kerr.IsRetriable(err): // the leader of now is another one
		return fmt.Errorf("read %s at %d: %w", t.partition, t.next, err)
	}
	return t.unreadable(err)
}

// unreadable is the Stop of a partition that the source has, but cannot be read on.
func (t *tail) unreadable(err error) error {
	return &chunk.Stop{Partition: t.partition, Kind: chunk.StopUnreadable, Err: err,
		Reason: fmt.Sprintf("the source's log cannot be read on from offset %d", t.next),
		Fix: "look at the logs of the partition's leader on the source; if what stands there is damaged, another replica " +
			"may hold it whole; else copying goes on after it once it has aged out of the source"}
}

// Why a batch that could travel as it is does not, beside what wire.Obstacle names.
const (
	ProgressInside = "progress_inside" // some of its records were copied before
	TooLarge       = "too_large"       // for the target topic; it is split
)

// pass adds one batch to the part, if it holds anything visible from next on. It does
// not add all of one that holds very much.
func (t *tail) pass(part *chunk.Part, b wire.Batch, aborted *wire.Aborted, tell callbacks) (all bool, err error) {
	old := b.Magic() < 2
	last := offsets.Source(b.Base())
	if !old {
		last = offsets.Source(b.Last())
		hidden := aborted.Hides(b) || b.Count() == 0
		if last < t.next {
			return true, nil
		}
		leftOut := false
		if !hidden {
			var stop *chunk.Stop
			if leftOut, err = tell.leftOut(t.partition, b); errors.As(err, &stop) {
				stop.Partition = t.partition
				return true, stop
			} else if err != nil {
				return true, fmt.Errorf("%s: %w", t.partition, err)
			}
		}
		if hidden || leftOut {
			t.next, t.epoch = last+1, b.LeaderEpoch()
			return true, nil
		}
	}
	why := b.Obstacle()
	switch {
	case why != "":
	case offsets.Source(b.Base()) < t.next:
		why = ProgressInside
	case t.most > 0 && len(b) > t.most && b.Count() > 1:
		why = TooLarge
	}
	if why == "" {
		part.Batches = append(part.Batches, chunk.Batch{Raw: b, First: offsets.Source(b.Base()), Count: b.Count()})
		part.Newest = b.MaxTimestamp()
		t.next, t.epoch = last+1, b.LeaderEpoch()
		return true, nil
	}
	made, all, err := wire.Rebuild(b, int64(t.next), t.most)
	if err != nil {
		return true, t.unreadable(err)
	}
	if !all {
		last = t.next
	}
	tell.rebuilt(why)
	for _, m := range made {
		at := make([]offsets.Source, len(m.Offsets))
		for i, o := range m.Offsets {
			at[i] = offsets.Source(o)
		}
		last = max(last, at[len(at)-1])
		part.Batches = append(part.Batches, chunk.Batch{Raw: m.Batch, First: at[0], Count: len(at), Offsets: at})
		part.Newest = m.Batch.MaxTimestamp()
	}
	t.next, t.epoch = max(t.next, last+1), chunk.UnknownEpoch
	if !old {
		t.epoch = b.LeaderEpoch()
	}
	return all, nil
}
