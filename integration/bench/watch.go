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
	want    content
	tail    int64 // offsets before its end in which the last record of a partition is

	sum      int64         // of the target's ends
	moved    time.Time     // when sum last grew
	compared int64         // the sum with which the last records were compared
	first    time.Duration // see Run
	seen     int64
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
		complete, err := w.look(ctx, endless)
		if err != nil {
			return time.Time{}, err
		}
		if complete {
			return w.moved, nil
		}
		if time.Since(w.moved) > stallLimit {
			return time.Time{}, fmt.Errorf("the target stands still at %d offsets in all", w.sum)
		}
	}
}

// look notes where the contestant is. It answers whether the target has all
// records, if that is asked: to tell it costs reading, so that it is done only when
// nothing has come since the look before.
func (w *watch) look(ctx context.Context, whether bool) (complete bool, err error) {
	asked := time.Now()
	cpu, peak := w.process.sample()
	w.peak = max(w.peak, peak)
	ends, err := w.reader.stable(ctx, w.topic, len(w.want))
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
		w.sum, w.moved = sum, asked
		if w.first == 0 {
			w.first, w.firstCPU, w.seen = time.Since(w.process.begun), cpu, sum
		}
		return false, nil
	}
	if !complete || w.compared == sum {
		return false, nil
	}
	// Markers count as offsets, too: only the last records tell.
	w.compared = sum
	have, err := w.reader.content(ctx, w.topic, len(w.want), w.tail)
	if err != nil {
		return false, err
	}
	return have.sameLast(w.want), nil
}
