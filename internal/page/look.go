package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
)

const (
	lookEvery = 5 * time.Second // at most, however many watch
	restRatio = 4               // times what a look took is the least pause until the next
	idleAfter = time.Minute     // nobody has asked: connections are closed
)

// watcher looks at flows; it belongs to one goroutine.
type watcher interface {
	Status(ctx context.Context) ([]*inspect.FlowStatus, []error)
	Close()
}

// look is what the clusters said, ready to be sent.
type look struct {
	begun, done   time.Time
	rest          time.Duration // until the next one
	plain, zipped []byte
}

// looks shares looks among all who ask.
type looks struct {
	watch func() watcher
	words func(*inspect.FlowStatus) answers.Remark
	now   func() time.Time
	// changed: what is watched is not what is to be watched any more.
	changed atomic.Bool
	asked   chan struct{} // holds one: somebody waits
	ended   chan struct{} // closed as run ends

	mu   sync.Mutex
	last *look
	next chan struct{} // closed when the look after last is there
}

func newLooks(watch func() watcher, words func(*inspect.FlowStatus) answers.Remark, now func() time.Time) *looks {
	return &looks{watch: watch, words: words, now: now, asked: make(chan struct{}, 1), ended: make(chan struct{}),
		next: make(chan struct{})}
}

// latest is the last look, nil where it is to be taken anew, and what is closed when that is there.
func (l *looks) latest() (*look, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != nil && !l.changed.Load() && l.now().Sub(l.last.done) < l.last.rest {
		return l.last, l.next
	}
	return nil, l.next
}

// age is how long ago the look began.
func (l *looks) age(one *look) time.Duration { return max(l.now().Sub(one.begun), 0) }

// get answers a look that is not to be taken anew yet, or waits for the next.
func (l *looks) get(ctx context.Context) (*look, error) {
	last, next := l.latest()
	if last != nil {
		return last, nil
	}
	select {
	case l.asked <- struct{}{}:
	default: // somebody else has
	}
	select {
	case <-next:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.last, nil
	case <-l.ended:
		return nil, errEnding
	case <-ctx.Done():
		return nil, errSlow
	}
}

// run looks whenever somebody asks and the last look is to be taken anew.
func (l *looks) run(ctx context.Context) error {
	defer close(l.ended)
	var w watcher
	leave := func() {
		if w != nil {
			w.Close()
			w = nil
		}
	}
	defer func() { leave() }()
	for {
		idle := time.NewTimer(idleAfter)
		select {
		case <-ctx.Done():
			idle.Stop()
			return nil
		case <-idle.C:
			leave()
			continue
		case <-l.asked:
			idle.Stop()
		}
		if l.changed.Swap(false) {
			leave()
		} else if last, _ := l.latest(); last != nil {
			continue // who asked has that
		}
		if w == nil {
			w = l.watch()
		}
		one, err := l.take(ctx, w)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.last = one
		close(l.next)
		l.next = make(chan struct{})
		l.mu.Unlock()
	}
}

// take looks once. What failed is part of the answer.
func (l *looks) take(ctx context.Context, w watcher) (*look, error) {
	begun := l.now()
	seen, failed := w.Status(ctx)
	took := l.now().Sub(begun)
	one := &look{begun: begun, done: begun.Add(took), rest: max(lookEvery, restRatio*took)}
	document := Status{
		Status: answers.Status{Flows: seen}, LookedAt: begun, LookSeconds: took.Seconds(), AgainSeconds: one.rest.Seconds(),
		Problems: []inspect.ProblemStatus{}, Remarks: []answers.Remark{}, Timeline: timeline(seen),
	}
	for _, err := range failed {
		document.Problems = append(document.Problems, inspect.ProblemStatusOf(err))
	}
	for _, s := range seen {
		document.Remarks = append(document.Remarks, l.words(s))
	}
	var err error
	if one.plain, err = json.Marshal(document); err != nil {
		return nil, err
	}
	var zipped bytes.Buffer
	to := gzip.NewWriter(&zipped)
	if _, err = to.Write(one.plain); err == nil {
		err = to.Close()
	}
	one.zipped = zipped.Bytes()
	return one, err
}
