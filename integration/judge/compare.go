package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	pollEvery   = 200 * time.Millisecond
	finishLimit = 2 * time.Minute // to count what differs once the time to wait is over
)

// Compare reads the topics, named as on the source, on both sides up to the last
// stable offsets of now and says what differs. The target's bound is taken
// first: a running mirror can then only be seen to be behind, never ahead.
// The error is about reading; what differs is in the report.
func Compare(ctx context.Context, sides Sides, topics []string, opts ...Option) (*Report, error) {
	began := time.Now()
	c, err := newComparer(sides, topics, opts)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.refresh(ctx); err != nil {
		return nil, err
	}
	return c.finish(ctx, began)
}

// WaitEqual waits until both sides are equal, then reports so. It reports at
// once when they differ in a way that more copying cannot heal, and what is
// missing once the time is over. Errors of reading are tried again until then.
func WaitEqual(
	ctx context.Context, within time.Duration, sides Sides, topics []string, opts ...Option,
) (*Report, error) {
	began := time.Now()
	c, err := newComparer(sides, topics, opts)
	if err != nil {
		return nil, err
	}
	defer c.close()
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = poll(limited, func() (bool, error) {
		if err := c.refresh(limited); err != nil {
			return false, err
		}
		return c.advance(limited)
	})
	if errors.Is(err, errReplaced) || ctx.Err() != nil || len(c.parts) == 0 && err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	finishing, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	report, finishErr := c.finish(finishing, began)
	if finishErr != nil {
		return nil, fmt.Errorf("%w (before: %v)", finishErr, err)
	}
	return report, nil
}

// poll calls f until it says that it is settled, until an error comes that time
// does not heal, or until the context ends; then it returns f's last error. One
// call is always made.
func poll(ctx context.Context, f func() (settled bool, err error)) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		settled, err := f()
		if settled && err == nil || errors.Is(err, errReplaced) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// comparer holds the comparisons of all partitions.
type comparer struct {
	sides          Sides
	topics         []string
	options        options
	source, target *side
	parts          map[partition]*comparison // by the source's name
	alone          []Partition               // partitions that only the target has
}

func newComparer(sides Sides, topics []string, opts []Option) (*comparer, error) {
	source, target, err := sides.open()
	if err != nil {
		return nil, err
	}
	return &comparer{
		sides: sides, topics: topics, options: newOptions(opts),
		source: source, target: target, parts: map[partition]*comparison{},
	}, nil
}

func (c *comparer) close() {
	c.source.close()
	c.target.close()
}

// refresh moves all bounds to what the clusters say now and finds new partitions.
func (c *comparer) refresh(ctx context.Context) error {
	names := make([]string, len(c.topics))
	for i, topic := range c.topics {
		names[i] = c.sides.targetName(topic)
	}
	onTarget, err := c.target.extents(ctx, names)
	if err != nil {
		return err
	}
	onSource, err := c.source.extents(ctx, c.topics)
	if err != nil {
		return err
	}
	for p := range c.parts {
		if _, ok := onSource[p]; !ok {
			return fmt.Errorf("%s on the source: %w", p, errReplaced)
		}
	}
	for p, e := range onSource {
		at := partition{c.sides.targetName(p.topic), p.number}
		part := c.parts[p]
		if part == nil {
			part = &comparison{
				result: Partition{Topic: p.topic, Target: at.topic, Number: p.number},
				source: &window{cursor: newCursor(c.source, p, e, from(c.options.sourceFrom, p))},
				again:  -1, duplicates: c.options.duplicates,
			}
			c.parts[p] = part
		}
		if err := part.extend(c, at, e, onTarget); err != nil {
			return err
		}
		delete(onTarget, at)
	}
	c.alone = c.alone[:0]
	for p := range onTarget {
		c.alone = append(c.alone, Partition{
			Topic: "(none)", Target: p.topic, Number: p.number, Problem: "the source has no such partition",
		})
	}
	return nil
}

func (c *comparison) extend(all *comparer, at partition, onSource extent, onTarget map[partition]extent) error {
	if err := c.source.cursor.extend(onSource); err != nil {
		return err
	}
	e, ok := onTarget[at]
	switch {
	case !ok && c.target != nil:
		return fmt.Errorf("%s on the target: %w", at, errReplaced)
	case !ok:
		return nil
	case c.target == nil:
		c.target = &window{cursor: newCursor(all.target, at, e, from(all.options.targetFrom, at))}
		return nil
	}
	return c.target.cursor.extend(e)
}

// advance continues all comparisons. It is settled when all are done or one
// holds a difference that stays.
func (c *comparer) advance(ctx context.Context) (settled bool, err error) {
	var mu sync.Mutex
	ended, broken := 0, false
	err = c.each(ctx, func(ctx context.Context, part *comparison) error {
		st, err := part.advance(ctx)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			return err
		case st == differs:
			broken = true
		case st == done && part.target != nil:
			ended++
		}
		return nil
	})
	return err == nil && (broken || ended == len(c.parts) && ended > 0), err
}

func (c *comparer) each(ctx context.Context, f func(context.Context, *comparison) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.options.workers)
	for _, part := range c.parts {
		group.Go(func() error { return f(ctx, part) })
	}
	return group.Wait()
}

// finish reads everything that is left and gives the verdict.
func (c *comparer) finish(ctx context.Context, began time.Time) (*Report, error) {
	err := c.each(ctx, func(ctx context.Context, part *comparison) error {
		if part.target == nil {
			part.result.Problem = "the target has no such partition"
		}
		return part.finish(ctx)
	})
	if err != nil {
		return nil, err
	}
	report := &Report{Partitions: slices.Clone(c.alone), duplicates: c.options.duplicates}
	for _, part := range c.parts {
		report.Partitions = append(report.Partitions, part.result)
	}
	slices.SortFunc(report.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Number, b.Number))
	})
	report.Took = time.Since(began)
	return report, nil
}
