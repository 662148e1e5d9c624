package compare

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// errEnough ends a reading that nobody needs to its end.
var errEnough = errors.New("enough was read")

// coming are the source records behind the progress, as far as they were read.
type coming struct {
	read   func() <-chan Page // starts to
	cursor cursor
	sums   map[uint64]bool
}

// perhapsOurs says whether a target record behind the map may be a copy that is not noted yet. Every attempt to copy
// begins at the progress and goes on in order, so that of n records there each is like one of the next n on the source.
func (c *comparison) perhapsOurs(ctx context.Context, t *kgo.Record) (bool, error) {
	if c.p.Next == nil {
		return true, nil
	}
	if c.coming.sums == nil {
		c.coming.sums = map[uint64]bool{}
		c.coming.cursor.page.Start = c.p.SourceStart
		c.coming.cursor.pages = c.coming.read()
	}
	if len(c.coming.sums) == maxOwed {
		return true, nil
	}
	if err := c.nextComing(ctx); err != nil {
		return false, err
	}
	gone := c.coming.cursor.page.Start > int64(c.p.Progress) || c.p.SourceCompacts && t.Key != nil
	return gone || c.coming.sums[c.hash(t)], nil
}

// nextComing takes one more record that is to be copied.
func (c *comparison) nextComing(ctx context.Context) error {
	for {
		s, err := c.coming.cursor.head(ctx)
		if s == nil || err != nil {
			return err
		}
		leftOut := false
		if c.p.LeftOut != nil {
			if leftOut, err = c.p.LeftOut(ctx, s); err != nil {
				return err
			}
		}
		if !leftOut {
			c.coming.sums[c.hash(s)] = true
		}
		c.coming.cursor.next()
		if !leftOut {
			return nil
		}
	}
}
