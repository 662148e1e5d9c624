package shard

import (
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/seen"
)

const (
	// DefaultSeenEvery is how often, at most, a commit notes what was last seen of the source.
	DefaultSeenEvery = 5 * time.Second

	// A shard that commits nothing writes the note by itself: idleSeen times as seldom where it says something else than
	// before, or where the source has fallen silent, then once; and restSeen times as seldom where it does not.
	idleSeen = 2
	restSeen = 60
)

// seenNotes have the shard's ledger note what was last seen of the source, in commits that happen anyway, or in one of
// their own.
type seenNotes struct {
	flow     *Flow
	assigner *assigner // which partitions there are, and how far they are read

	last    seen.Note // that is committed
	pending seen.Note // that is in the commit under way
	looked  time.Time // when it was last asked whether one is due by itself
}

// newSeenNotes begins with what the ledger says, and lets the process know of it.
func newSeenNotes(a *assigner) (*seenNotes, error) {
	last, err := seen.Of(a.book)
	if err != nil {
		return nil, err
	}
	for _, key := range a.book.Keys() {
		progress := a.book.State(key).Progress
		if end := last.End(key.Partition, progress); !end.Since.IsZero() {
			a.flow.Seen.Remember(key.Partition, progress, end.Since)
		}
	}
	if last.Seen.After(time.Now()) {
		last.Seen = time.Time{} // by another clock, which must not silence this one
	}
	return &seenNotes{flow: a.flow, assigner: a, last: last}, nil
}

// join adds a note to a commit that happens anyway, if it is time for one.
func (s *seenNotes) join(p *ledger.Prepared) {
	s.pending = s.last
	if time.Since(s.last.Seen) < s.flow.SeenEvery {
		return
	}
	if now := s.note(); now.Seen.Sub(s.last.Seen) >= s.flow.SeenEvery {
		s.prepare(p, now)
	}
}

func (s *seenNotes) prepare(p *ledger.Prepared, n seen.Note) {
	s.pending = n
	s.assigner.book.PrepareNote(p, seen.NoteName, n.Text())
}

// committed says that the note which was pending is in the ledger.
func (s *seenNotes) committed() { s.last = s.pending }

// alone prepares a commit of a note alone, if nothing else was committed for so long that one is due; nil: it is not.
func (s *seenNotes) alone(at time.Time) *ledger.Prepared {
	if at.Sub(s.looked) < s.flow.SeenEvery/5 {
		return nil
	}
	s.looked = at
	if now := s.note(); dueAlone(&s.last, &now, at, s.flow.SeenEvery) {
		return &ledger.Prepared{} // which the note joins
	}
	return nil
}

// dueAlone says whether a note is worth a transaction, at a time, where last is what the ledger has.
func dueAlone(last, now *seen.Note, at time.Time, every time.Duration) bool {
	news := now.Seen.Sub(last.Seen)
	switch {
	case news <= 0:
		return false // nothing was seen since
	case news >= restSeen*every:
		return true
	case !now.SameBut(last):
		return news >= idleSeen*every
	}
	return at.Sub(now.Seen) >= idleSeen*every // the source is silent: when it last spoke is known for good
}

// note is what is to be noted now, with the progress that a commit brings now. The zero Note: nothing was seen yet.
func (s *seenNotes) note() seen.Note {
	all := s.flow.Seen.Now()
	var keys []ledger.Key
	var at time.Time
	for _, t := range s.flow.Topology.Now() {
		for _, key := range s.assigner.partitionsOf(t) {
			keys = append(keys, key)
			if end := all[key.Partition]; end.Seen.After(at) {
				at = end.Seen
			}
		}
	}
	if at.IsZero() {
		return seen.Note{}
	}
	ends := map[chunk.Partition]seen.End{}
	for _, key := range keys {
		if end := all[key.Partition]; end.High > s.progress(key) || !end.Seen.Equal(at) {
			ends[key.Partition] = end
		}
	}
	return seen.Make(at, ends)
}

// progress is how far a partition is read; 0 where nothing is known of it.
func (s *seenNotes) progress(key ledger.Key) offsets.Source {
	if r := s.assigner.assigned.routes[key.Partition]; r != nil {
		return r.next
	}
	if state := s.assigner.book.State(key); state != nil {
		return max(state.Progress, 0)
	}
	return 0
}
