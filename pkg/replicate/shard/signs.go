package shard

import (
	"errors"
	"log/slog"
	"maps"
	"sync"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/source"
)

// signs are what makes a cut of a log likely, until the next assignment has compared it with what was copied: by then
// the log may be longer than the progress again. They outlive sessions. Each is about a ledger key: another topic of
// that name has another one, and then the sign is void. All but alarm belongs to the worker's goroutine.
type signs struct {
	log    *slog.Logger
	doubts map[chunk.Partition]doubt
	behind map[chunk.Partition]behind

	mu     sync.Mutex
	alarms map[chunk.Partition]doubt // not taken over yet
}

// doubt is what has been met of a partition on the source: a position that was not in the log.
type doubt struct {
	key  ledger.Key     // what it is about
	at   offsets.Source // the position
	end  offsets.Source // where the log, or the epoch of the position, ended; -1: not known
	sure bool           // the source said so of this very partition
}

// behind is where records were written before the map's last ones on the target.
type behind struct {
	key   ledger.Key
	topic chunk.TopicID // of the target, that the map is about
	at    offsets.Target
}

func newSigns(log *slog.Logger) *signs {
	return &signs{log: log, doubts: map[chunk.Partition]doubt{}, behind: map[chunk.Partition]behind{}}
}

// alarm notes that the source's log ends before the progress that a partition was seen at. Anybody may call it.
func (s *signs) alarm(p chunk.Partition, seen published.Route, end offsets.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alarms == nil {
		s.alarms = map[chunk.Partition]doubt{}
	}
	if _, before := s.alarms[p]; !before {
		s.log.Warn("the source ends before the progress", "partition", p, "end", end, "progress", seen.Next,
			"remedy", "nothing: it is compared with what was copied")
	}
	s.alarms[p] = doubt{seen.Key, seen.Next, end, true}
}

// alarmed takes over the alarms, and says whether there is any.
func (s *signs) alarmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := len(s.alarms) > 0
	maps.Copy(s.doubts, s.alarms)
	s.alarms = nil
	return any
}

// note takes up what made a session give up; routes are those that it had published.
func (s *signs) note(err error, routes map[chunk.Partition]published.Route) {
	var lost *source.Unreadable
	var low *belowError
	switch {
	case errors.As(err, &low):
		s.behind[low.key.Partition] = behind{low.key, low.topic, low.at}
	case !errors.As(err, &lost) || !lost.OutOfLog:
	case lost.Partition != chunk.Partition{}:
		s.doubts[lost.Partition] = doubt{routes[lost.Partition].Key, lost.At, lost.End, true}
	default: // librdkafka does not tell which one it was
		for p, r := range routes {
			if _, before := s.doubts[p]; r.State == partition.Copying && !before {
				s.doubts[p] = doubt{key: r.Key, at: r.Next, end: -1}
			}
		}
	}
}

// keep forgets what was about other topics of the names, which are gone: target is the one that the map is about.
func (s *signs) keep(key ledger.Key, target chunk.TopicID) {
	if d, doubted := s.doubts[key.Partition]; doubted && d.key != key {
		delete(s.doubts, key.Partition)
	}
	if b, known := s.behind[key.Partition]; known && (b.key != key || b.topic != target) {
		delete(s.behind, key.Partition)
	}
}

// forget forgets all signs about a partition: the ledger knows of the cut.
func (s *signs) forget(p chunk.Partition) {
	delete(s.doubts, p)
	delete(s.behind, p)
}
