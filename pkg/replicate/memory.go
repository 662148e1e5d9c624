package replicate

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/published"
	"replicator/pkg/replicate/retention"
)

// memory is what a flow knows of its partitions and groups for those who watch it. It
// outlives the tries of a flow: that one cannot begin is no reason to forget. It may be
// used by several goroutines.
type memory struct {
	began    time.Time   // the first try
	wasReady atomic.Bool // see [observer.unready]

	mu    sync.Mutex
	known known
	// lost is what was known of shards that went with the membership.
	lost map[int]map[chunk.Partition]published.Route
}

// known is what was found out last. Its maps are replaced, and never changed.
type known struct {
	lags   map[chunk.Partition]lag
	groups lastSync
	// left says how near the target's retention is to what groups have not read.
	left map[retention.GroupTopic]retention.Left
}

// lastSync is the outcome of the last round of the group sync.
type lastSync struct {
	at     time.Time // of the last one that compared all shards of this process; zero: none has succeeded yet
	report groups.Report
	lag    map[retention.GroupTopic]int64
	// deleted counts what the target deleted before a group has read it; 0 for all others that were compared.
	deleted map[retention.GroupTopic]int64
	unread  []retention.Unread // of the positions that follow the source
}

func newMemory() *memory {
	return &memory{began: time.Now(), lost: map[int]map[chunk.Partition]published.Route{}}
}

// now is what is known.
func (m *memory) now() known {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}

// learn takes over what was found out.
func (m *memory) learn(change func(*known)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.known)
}

// lose keeps what was known of a shard that nobody may be there to tell of.
func (m *memory) lose(shard int, routes map[chunk.Partition]published.Route) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost[shard] = routes
}

// lostOf is what is kept of a shard; nil: nothing.
func (m *memory) lostOf(shard int) map[chunk.Partition]published.Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost[shard]
}

// regained ends that: its worker tells of the shard.
func (m *memory) regained(shard int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lost, shard)
}

// lostNow is what is kept of all shards. Once the membership is had again, what was not given again is another's.
func (m *memory) lostNow(member bool) map[int]map[chunk.Partition]published.Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	if member {
		clear(m.lost)
	}
	return maps.Clone(m.lost)
}
