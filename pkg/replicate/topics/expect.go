package topics

import (
	"slices"
	"sync"
)

// expectation holds the source topics that were there once. A cluster leaves out of its list what we may not
// describe, as if it had been deleted. It may be used by several goroutines.
type expectation struct {
	mu    sync.Mutex
	names map[string]bool
}

// add tells whether one of the names is news.
func (e *expectation) add(names []string) (news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range names {
		news = news || !e.names[name]
		e.names[name] = true
	}
	return news
}

// missing gives the expected topics that a list leaves out.
func (e *expectation) missing(listed []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var missing []string
	for _, name := range sortedKeys(e.names) {
		if !slices.Contains(listed, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// only remembers the topics that are there, and forgets the others.
func (e *expectation) only(pairs []pair) {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.names)
	for _, p := range pairs {
		e.names[p.Source] = true
	}
}
