package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watch looks at a contestant and its target from outside, ten times a second.
type watch struct {
	process *process
	reader  *reader
	topic   string
	want    *content

	sum      int64         // of the target's ends
	moved    time.Time     // when sum last grew
	first    time.Duration // see Run
	firstCPU time.Duration
	peak     int64 // bytes
}

// run watches until the process has ended, or, if it is endless, until the target
// has all. It answers when that was.
func (w *watch) run(ctx context.Context, endless bool) (time.Time, error) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("not done in time: %w", ctx.Err())
		case <-w.process.exited:
			if w.process.err != nil {
				return time.Time{}, fmt.Errorf("it ended with %w", w.process.err)
			}
			if endless {
				return time.Time{}, errors.New("it ended")
			}
			return w.process.ended, nil
		case <-ticker.C:
		}
		asked := time.Now()
		complete, err := w.look(ctx, endless)
		if err != nil {
			return time.Time{}, err
		}
		if complete {
			return asked, nil
		}
		if asked.Sub(w.moved) > stallLimit {
			return time.Time{}, fmt.Errorf("the target stands still at %d offsets in all", w.sum)
		}
	}
}

// look notes where the contestant is. It answers whether the target has all
// records, if that is asked: to tell it costs reading.
func (w *watch) look(ctx context.Context, whether bool) (complete bool, err error) {
	cpu, peak := w.process.sample()
	w.peak = max(w.peak, peak)
	ends, err := w.reader.stable(ctx, w.topic)
	if err != nil || ends == nil {
		return false, err
	}
	complete = whether
	sum := int64(0)
	for p, end := range ends {
		sum += end
		complete = complete && end >= w.want[p].records
	}
	if sum > w.sum {
		w.sum, w.moved = sum, time.Now()
		if w.first == 0 {
			w.first, w.firstCPU = time.Since(w.process.begun), cpu
		}
	}
	if !complete {
		return false, nil
	}
	// Markers count as offsets, too: only the last records tell.
	have, err := w.reader.content(ctx, w.topic, tail)
	if err != nil {
		return false, err
	}
	return have.sameLast(w.want), nil
}
