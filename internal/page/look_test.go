package page

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
)

// fake is a flow that takes so long to be looked at.
type fake struct {
	takes  time.Duration
	fails  error
	looked atomic.Int32
	closed atomic.Int32
}

func (f *fake) Status(ctx context.Context) ([]*inspect.FlowStatus, []error) {
	f.looked.Add(1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
	}
	if f.fails != nil {
		return []*inspect.FlowStatus{}, []error{f.fails}
	}
	return []*inspect.FlowStatus{{Flow: "old->new"}}, nil
}

func (f *fake) Close() { f.closed.Add(1) }

// watched runs looks at a fake; its end is that of the bubble's test.
func watched(t *testing.T, f *fake) *looks {
	words := func(s *inspect.FlowStatus) answers.Remark { return answers.Remark{Flow: s.Flow} }
	l := newLooks(func() watcher { return f }, words, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func get(t *testing.T, l *looks) *look {
	t.Helper()
	one, err := l.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// pass lets time pass, of the bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

// However many watch, the clusters are looked at once in a while, and not at all when nobody does.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Second}
		l := watched(t, f)
		var viewers sync.WaitGroup
		for range 100 {
			viewers.Go(func() { get(t, l) })
		}
		viewers.Wait()
		if n := f.looked.Load(); n != 1 {
			t.Errorf("100 viewers cost %d looks, want 1", n)
		}
		first := get(t, l)
		if age := l.age(first); age != time.Second {
			t.Errorf("the age of a look that took 1 s is %s: what it saw first may be as old as that", age)
		}
		pass(lookEvery - time.Millisecond)
		if get(t, l) != first {
			t.Error("it was looked again too soon")
		}
		pass(time.Millisecond)
		if get(t, l) == first || f.looked.Load() != 2 {
			t.Errorf("after %s an old look was shown", lookEvery)
		}
		pass(idleAfter + time.Second)
		if n := f.looked.Load(); n != 2 || f.closed.Load() != 1 {
			t.Errorf("nobody asked for a while: %d looks, connections closed %d times", n, f.closed.Load())
		}
	})
}

// A look that takes long is not waited for without end, is kept, and makes the pause before the next longer.
func TestLookThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: 30 * time.Second}
		l := watched(t, f)
		hurried, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := l.get(hurried); !errors.Is(err, errSlow) {
			t.Errorf("after %s: %v, want %v", patience, err, errSlow)
		}
		pass(15 * time.Second)
		first := get(t, l)
		if age := l.age(first); age != 35*time.Second {
			t.Errorf("its age is told as %s", age)
		}
		pass(restRatio*30*time.Second - 6*time.Second)
		if get(t, l) != first || f.looked.Load() != 1 {
			t.Error("looking takes up most of the time")
		}
	})
}

// What cannot be looked at is told, and no older look in its place.
func TestLookThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		l := watched(t, f)
		get(t, l)
		f.fails = errors.New("the target does not answer")
		pass(lookEvery)
		var said Status
		if err := json.Unmarshal(get(t, l).plain, &said); err != nil {
			t.Fatal(err)
		}
		if len(said.Flows) != 0 || len(said.Problems) != 1 || !strings.Contains(said.Problems[0].Error, "target") {
			t.Errorf("shown: %+v", said)
		}
	})
}

// Who waits as the process ends is told so.
func TestLookWhileEnding(t *testing.T) {
	l := newLooks(func() watcher { return &fake{} }, nil, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.get(t.Context()); !errors.Is(err, errEnding) {
		t.Errorf("%v, want %v", err, errEnding)
	}
}
