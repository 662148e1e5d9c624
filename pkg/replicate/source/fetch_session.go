package source

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/offsets"
)

// sessionLasts is how long a session is used before all partitions are named anew: what a broker once left unsaid
// counts for no longer.
const sessionLasts = time.Minute

// What the epoch of a request means that names all partitions.
const (
	sessionless = -1 // no session is wanted, and the one before is closed
	opening     = 0  // a new one is wanted, and the one before is closed
)

// fetchSession is what a broker keeps of a feeder's requests (KIP-227): the partitions and
// where each is read from. A request in it names only what has moved, and the answer
// only what has news.
//
// It is for waiting at the ends of logs. As long as something may be left to read, all
// partitions are named: then this side says in which order the answer is filled and
// how much of it each one gets, and a partition of which nothing comes is one that has
// nothing. So no session ever has to prove that something is not there.
type fetchSession struct {
	id    int32     // 0: the broker keeps none
	epoch int32     // of the last request
	size  int       // how many partitions it has
	began time.Time // when it was asked for
	none  bool      // the broker answers the wish for one with an error
}

// position is from where a broker reads a partition.
type position struct {
	next  offsets.Source
	epoch int32
}

// advance chooses the epoch of the next request.
func (s *fetchSession) advance(tails []*tail, now time.Time, lasts time.Duration) {
	switch {
	case s.none || slices.ContainsFunc(tails, (*tail).unfinished):
		s.epoch = sessionless
	case s.id == 0 || s.size != len(tails) || now.Sub(s.began) > lasts: // one that came in another's place is unfinished
		s.epoch, s.size, s.began = opening, len(tails), now
	default:
		s.epoch++
	}
}

// namesAll says whether the request names all partitions, and the answer has all.
func (s *fetchSession) namesAll() bool { return s.epoch <= opening }

// refused says whether an error is the session's alone, and the request is made again
// without it: the broker has forgotten it, or keeps none. Nothing was answered then.
func (s *fetchSession) refused(err error) bool {
	if s.epoch == sessionless || !errors.Is(err, kerr.FetchSessionIDNotFound) &&
		!errors.Is(err, kerr.InvalidFetchSessionEpoch) && !errors.Is(err, kerr.FetchSessionTopicIDError) {
		return false
	}
	s.id, s.none = 0, s.epoch == opening
	return true
}
