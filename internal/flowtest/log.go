package flowtest

import (
	"bytes"
	"sync"
)

// logBuffer keeps what the engine logs, for tests that fail.
type logBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write keeps what is logged.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
