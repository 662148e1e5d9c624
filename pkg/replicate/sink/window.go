package sink

import "sync/atomic"

// Window bounds the bytes that several writers have under way unanswered, all
// together: one that is busy alone may use all of it, which a long round trip needs.
// A writer that has nothing under way sends in any case, so that none waits for
// another. It may be used from any goroutine.
type Window struct {
	most int64
	used atomic.Int64
}

// NewWindow makes a window of so many bytes.
func NewWindow(most int) *Window { return &Window{most: int64(most)} }

// enter counts n bytes as under way, unless there is no room for them.
func (w *Window) enter(n int) bool {
	if w.used.Add(int64(n)) <= w.most {
		return true
	}
	w.leave(n)
	return false
}

// force counts n bytes as under way.
func (w *Window) force(n int) { w.used.Add(int64(n)) }

// leave counts n bytes as answered.
func (w *Window) leave(n int) { w.used.Add(-int64(n)) }
