package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"replicator/pkg/replicate/chunk"
)

const (
	drawEvery = 200 * time.Millisecond
	// aloudEvery is how often a line is printed where no bar is drawn.
	aloudEvery = 10 * time.Second
	// rateOver is the time over which speed and the time left are taken.
	rateOver = 5 * time.Second
	barSteps = 10_000
)

// IsTerminal says whether somebody may be looking.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Screen is standard error with, on a terminal, a progress bar below the log.
type Screen struct {
	mu  sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar // nil: none
}

// NewScreen takes standard error; withBar asks for a bar, if it is a terminal.
func NewScreen(out io.Writer, withBar bool) *Screen {
	s := &Screen{out: out}
	if withBar && IsTerminal(out) {
		s.bar = progressbar.NewOptions64(barSteps, progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(30),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionShowDescriptionAtLineEnd())
	}
	return s
}

// Write puts log lines above the bar.
func (s *Screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	return s.out.Write(line)
}

// hasBar says whether one is drawn.
func (s *Screen) hasBar() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bar != nil
}

// Following follows something that is under way, until End.
type Following struct{ stop, done chan struct{} }

// Follow draws progress until End is called; without a bar it does nothing.
func (s *Screen) Follow(progress func() chunk.Progress) *Following {
	if !s.hasBar() {
		return follow(drawEvery, func(time.Time) {}, func() {})
	}
	var pace pace
	return follow(drawEvery, func(now time.Time) { s.draw(pace.at(now, progress())) }, s.finish)
}

// FollowAloud follows as Follow does; without a bar it prints a line now and then, which begins with what is done.
func (s *Screen) FollowAloud(done string, progress func() chunk.Progress) *Following {
	if s.hasBar() {
		return s.Follow(progress)
	}
	var pace pace
	return follow(aloudEvery, func(now time.Time) {
		_, text := pace.at(now, progress())
		fmt.Fprintln(s, done, text)
	}, func() {})
}

func follow(every time.Duration, show func(now time.Time), finish func()) *Following {
	f := &Following{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-f.stop:
				finish()
				return
			case now := <-tick.C:
				show(now)
			}
		}
	}()
	return f
}

// End ends it, and returns when nothing more is drawn.
func (f *Following) End() {
	close(f.stop)
	<-f.done
}

func (s *Screen) draw(step int64, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar.Describe(text)
	_ = s.bar.Set64(step)
}

func (s *Screen) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.bar.Clear() // the summary, or the error, says how it ended
	s.bar = nil
}
