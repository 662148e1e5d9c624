package shard

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
)

// Goal is what a one-off copy is to reach. It may be used by several goroutines.
type Goal struct {
	mu     sync.Mutex
	ends   map[chunk.Partition]offsets.Source // nil until they are known
	since  time.Time                          // when they were
	stable listoffsets.Offsets                // as the source has reported them since, for the last time
}

// Set sets the source's ends that are to be reached.
func (g *Goal) Set(ends map[chunk.Partition]offsets.Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends, g.since, g.stable = ends, time.Now(), listoffsets.Offsets{}
}

// Now gives the ends that are to be reached; nil until they are known.
func (g *Goal) Now() map[chunk.Partition]offsets.Source {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends
}

// Observe takes over the source's last stable offsets, as asked for at a time. Where there was no answer, as when the
// question was given up, what was known stays.
func (g *Goal) Observe(stable listoffsets.Offsets, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ends == nil || !at.After(g.since) {
		return
	}
	for p, listed := range stable {
		if listed.Err == nil {
			g.stable[p] = listed
		}
	}
}

// Open names the partitions that have had a transaction open since the goal was set. Ends were asked for before:
// a stable offset that has not reached one is held back by it.
func (g *Goal) Open() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range g.ends {
		if listed, known := g.stable[p]; known && listed.Err == nil && offsets.Source(listed.Offset) < end {
			list = append(list, fmt.Sprintf("%s has an open transaction: %d offsets wait for its end", p,
				end-offsets.Source(listed.Offset)))
		}
	}
	slices.Sort(list)
	return list
}
