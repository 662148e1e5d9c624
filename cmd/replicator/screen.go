package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"replicator/pkg/replicate/chunk"
)

const (
	drawEvery = 200 * time.Millisecond
	// rateOver is the time over which speed and the time left are taken.
	rateOver = 5 * time.Second
	barSteps = 10_000
)

// isTerminal says whether somebody may be looking.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// screen is standard error with, on a terminal, a progress bar below the log.
type screen struct {
	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar // nil: none
}

// newScreen takes standard error; withBar asks for a bar, if it is a terminal.
func newScreen(out io.Writer, withBar bool) *screen {
	s := &screen{out: out}
	if withBar && isTerminal(out) {
		s.bar = progressbar.NewOptions64(barSteps, progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(30),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd())
	}
	return s
}

// Write puts log lines above the bar.
func (s *screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	return s.out.Write(line)
}

// followed is a bar that follows an engine.
type followed struct{ stop, done chan struct{} }

// follow draws progress until end is called; without a bar it does nothing.
func (s *screen) follow(progress func() chunk.Progress) *followed {
	f := &followed{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		if s.bar == nil {
			return
		}
		pace := pace{}
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for {
			select {
			case <-f.stop:
				s.finish()
				return
			case now := <-tick.C:
				s.draw(pace.at(now, progress()))
			}
		}
	}()
	return f
}

func (f *followed) end() {
	close(f.stop)
	<-f.done
}

func (s *screen) draw(step int64, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar.Describe(text)
	_ = s.bar.Set64(step)
}

func (s *screen) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.bar.Clear() // the summary, or the error, says how it ended
	s.bar = nil
}

// pace makes speed and time left from what was seen over the last seconds.
type pace struct {
	seen []sample // oldest first
	step int64    // never goes back: a shard that starts over shows less for a while
}

type sample struct {
	at time.Time
	chunk.Progress
}

// at says how far the bar is, and what stands beside it. The bar is full only when
// the copy has ended: groups come last.
func (p *pace) at(now time.Time, got chunk.Progress) (step int64, text string) {
	p.seen = append(p.seen, sample{now, got})
	for len(p.seen) > 2 && now.Sub(p.seen[0].at) > rateOver {
		p.seen = p.seen[1:]
	}
	first := p.seen[0]
	seconds := now.Sub(first.at).Seconds()
	text = fmt.Sprintf("%d records", got.Records)
	if seconds > 0 {
		text += fmt.Sprintf("  %.1f MB/s", max(megabytes(got.Bytes-first.Bytes), 0)/seconds)
	}
	left, passed := got.Goal-got.Done, got.Done-first.Done
	switch {
	case got.Goal == 0:
		text += "  comparing the clusters"
	case left <= 0:
		text += "  settling groups"
	case passed > 0 && seconds > 0:
		text += "  " + timeLeft(float64(left)*seconds/float64(passed)) + " left"
	}
	if got.Goal > 0 {
		p.step = max(p.step, min(got.Done*barSteps/got.Goal, barSteps-1))
	}
	return p.step, text
}

func timeLeft(seconds float64) string {
	return (time.Duration(math.Ceil(min(seconds, 1e9))) * time.Second).String()
}
