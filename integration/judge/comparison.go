package judge

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// state says where a comparison stands.
type state int

const (
	done    state = iota // both sides read to their bounds
	waiting              // the target ended first, so far without a difference
	differs              // the next records cannot both be right
)

// comparison holds two partitions against each other. It can be continued after
// its bounds were moved, so that waiting for a mirror reads nothing twice.
type comparison struct {
	result     Partition
	source     *window
	target     *window // nil until the partition exists on the target
	duplicates bool
	matched    ring  // the source records found on the target, in order
	again      int64 // the number of the matched record that a re-delivery continues with; -1 if none
}

func (c *comparison) heads(ctx context.Context) (s, t entry, haveS, haveT bool, err error) {
	if s, haveS, err = c.source.at(ctx, 0); err != nil || c.target == nil {
		return
	}
	t, haveT, err = c.target.at(ctx, 0)
	return
}

// advance goes on for as long as the target is a right beginning of the source.
func (c *comparison) advance(ctx context.Context) (state, error) {
	for {
		s, t, haveS, haveT, err := c.heads(ctx)
		switch {
		case err != nil:
			return differs, err
		case !haveT && !haveS:
			return done, nil
		case !haveT:
			return waiting, nil
		case haveS && s.sum == t.sum:
			c.match(s)
		case c.duplicates && c.redelivered(t):
			c.target.drop(1)
			c.result.Redelivered++
		default:
			return differs, nil
		}
	}
}

func (c *comparison) match(s entry) {
	c.source.drop(1)
	c.target.drop(1)
	c.matched.add(s.sum)
	c.again = -1
	c.result.Records++
}

// redelivered says whether t was delivered before: as the successor of the last
// record that was, or as the beginning of another stretch. The order in which
// advance asks makes it complete: taking each source record at its first chance
// finds the source in the target whenever it is there in order.
func (c *comparison) redelivered(t entry) bool {
	if c.again >= c.matched.first() && c.again < c.matched.next && c.matched.at(c.again) == t.sum {
		c.again++
		return true
	}
	i := c.matched.find(t.sum)
	if i < 0 {
		return false
	}
	c.again = i + 1
	c.result.Stretches++
	return true
}

// finish goes to the end whatever it finds, and counts it.
func (c *comparison) finish(ctx context.Context) error {
	for {
		st, err := c.advance(ctx)
		switch {
		case err != nil:
			return err
		case st == done:
			return nil
		case st == waiting:
			return c.countTail(ctx)
		case c.duplicates:
			err = c.skipOne(ctx)
		default:
			err = c.resync(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// countTail counts what the target does not have yet.
func (c *comparison) countTail(ctx context.Context) error {
	first, _, err := c.source.at(ctx, 0)
	if err != nil {
		return err
	}
	n, err := drain(ctx, c.source)
	if err != nil {
		return err
	}
	c.result.Missing += n
	c.result.Tail += n
	c.note(Difference{Kind: "missing to the end", Source: first.offset, Target: -1})
	return nil
}

func drain(ctx context.Context, w *window) (n int64, err error) {
	for {
		_, ok, err := w.at(ctx, 0)
		if err != nil || !ok {
			return n, err
		}
		w.drop(1)
		n++
	}
}

// skipOne gets over one fault in a target that may hold duplicates: either
// source records are missing in front of the target's next one, or that one
// belongs to nothing.
func (c *comparison) skipOne(ctx context.Context) error {
	sources, err := c.source.fill(ctx, maxLook)
	if err != nil {
		return err
	}
	targets, err := c.target.fill(ctx, confirm)
	if err != nil {
		return err
	}
	for a := range sources {
		if !run(sources[a:], targets) {
			continue
		}
		c.result.Missing += int64(a)
		c.note(Difference{Kind: "missing", Source: sources[0].offset, Target: targets[0].offset})
		c.source.drop(a)
		return nil
	}
	c.result.Extra++
	c.note(Difference{Kind: "extra", Source: offsetAt(sources, 0), Target: targets[0].offset})
	c.target.drop(1)
	return nil
}

// note keeps the first differences only.
func (c *comparison) note(d Difference) {
	if len(c.result.Differences) < maxDifferences {
		c.result.Differences = append(c.result.Differences, d)
	}
}

// explain says in what the records at two offsets differ, if they are still there
// and the answer will be kept.
func (c *comparison) explain(ctx context.Context, source, target int64) string {
	if len(c.result.Differences) >= maxDifferences {
		return ""
	}
	var found [2]*kgo.Record
	for i, side := range []struct {
		w      *window
		offset int64
	}{{c.source, source}, {c.target, target}} {
		cursor := side.w.cursor
		if found[i] = one(ctx, cursor.side, cursor.at, cursor.extent, side.offset); found[i] == nil {
			return ""
		}
	}
	return describe(found[0], found[1])
}
