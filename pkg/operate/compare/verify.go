// Package compare reads one partition on both sides, in the order of its offset map,
// and compares what the map says is the same.
//
// The central type is [Partition]. [Partition.Compare] guarantees:
//
//  1. every visible record of both ranges is judged once, and ends in exactly one
//     count: compared, a difference, or not checkable, by reason;
//  2. a record counts as missing only if a log that still covers its offset was read
//     there without it; what retention or compaction may have taken is not checkable;
//  3. memory holds a few pages of each side, whatever the length of the logs.
//
// It reads what is committed, as no group's member, and writes nothing. It knows
// nothing of the ledger: runs and ranges are given to it.
package compare

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/wire"
)

// Log is one side of a partition, over the range that is compared.
type Log interface {
	// Read hands out all visible records of the range, ascending, page by page. An
	// error of give ends it, and is returned.
	Read(ctx context.Context, give func(Page) error) error
}

// Page is a part of a log.
type Page struct {
	Records []*kgo.Record // visible ones, ascending; nil keys and values are not empty ones
	Start   int64         // the log's first offset when the page was read
	More    bool          // the log holds something stable beyond the range
	Times   wire.Times    // what the records' timestamps are
}

// Partition is what is known of a partition before it is compared.
type Partition struct {
	// From is the first source offset that is compared.
	From offsets.Source
	// Runs gives the map bit by bit, ascending, from a run that ends after From on;
	// nothing at its end.
	Runs func(context.Context) ([]offsets.Run, error)
	// Foreign are the target's stretches that hold records of somebody else.
	Foreign []offsets.Stretch
	// Left are the target's stretches that hold what the source has lost since it was copied.
	Left []offsets.Stretch
	// GivenUp are stretches of the source that are not copied, since an operator has ordered so.
	GivenUp []Range
	// Settled is the target offset from which on records outside the map may be ours, committed and not noted yet: if
	// they are, they are copies of what Next gives, which is the source from Progress on.
	Settled  offsets.Target
	Progress offsets.Source
	Next     Log // read where that is in question; nil: it cannot be told
	// SourceStart and TargetStart are the first offsets of the logs before they are read.
	SourceStart, TargetStart int64
	// SourceCompacts and TargetCompacts: records may vanish once a later one has their key.
	SourceCompacts, TargetCompacts bool
	// LeftOut says whether the flow leaves out a record of the source, by who wrote it; nil: nothing.
	LeftOut func(context.Context, *kgo.Record) (bool, error)
	// Native says whether a record of the target that the map does not explain began its way there, and is for the flow in
	// the opposite direction to carry; nil: none is.
	Native func(*kgo.Record) bool
	// Repeats: the flow may have written records twice. Then an extra record is looked for among the latest before it.
	Repeats bool
	// Most is how many differences are listed; all are counted.
	Most int
	// Watch, when not nil, is counted up while the logs are read.
	Watch *Watch
}

// Range is [From,To) of the source.
type Range struct{ From, To offsets.Source }

// Watch counts what was judged. It may be shared by comparisons.
type Watch struct {
	Records atomic.Int64 // of the source
	Bytes   atomic.Int64 // keys and values of both sides
	Passed  atomic.Int64 // source offsets
}

// The kinds of a [Difference].
const (
	Missing    = "missing"      // a visible source record is not on the target
	Changed    = "changed"      // the record at its place is another one, or differs in a part
	Extra      = "extra"        // the target holds a record that the map does not explain
	Foreign    = "foreign"      // the same, in a stretch that is noted as somebody else's
	OutOfOrder = "out_of_order" // the source record is on the target, in another place
)

// Difference is one record that is not the same on both sides.
type Difference struct {
	Kind string `json:"kind"` // missing, changed, extra, foreign or out_of_order
	// Source and Target are the record's offsets: where it is, and where by the map it should be; null: nowhere.
	Source *int64 `json:"source_offset"`
	Target *int64 `json:"target_offset"`
	// Found is the target offset of a record that is out of order.
	Found *int64 `json:"found_at,omitempty"`
	// Fields are the parts that differ, with changed: key, value, headers, timestamp.
	Fields []string `json:"fields,omitempty"`
	// Records is how many consecutive ones this stands for.
	Records int64 `json:"records"`
	// Producer is the id that wrote an extra record; -1: none.
	Producer *int64 `json:"producer_id,omitempty"`
	Why      string `json:"why"`
}

// The reasons why records are not checkable.
const (
	SourceDeleted   = "source_deleted"   // the source's log begins after the record by now
	TargetDeleted   = "target_deleted"   // the target's log does
	SourceCompacted = "source_compacted" // gone from a compacted source
	TargetCompacted = "target_compacted" // gone from a compacted target
	LeftOut         = "left_out"         // the opposite flow wrote it: it is not copied back
	Native          = "native"           // it began its way on the target: the opposite flow carries it to the source
	SourceCut       = "source_cut"       // copied before the source's log was cut there: the target alone holds it
	GivenUp         = "given_up"         // not copied, since an operator has ordered to go on behind it
	NotNotedYet     = "not_noted_yet"    // at the target's end, like what is copied next: ours, on its way into the map
)

// Result is what a comparison found.
type Result struct {
	Compared   int64 // records that are on both sides at their places, equal or not
	Missing    int64
	Changed    int64
	Extra      int64
	Foreign    int64
	OutOfOrder int64
	// Listed are the first differences, about in the order of offsets.
	Listed []Difference
	// Unverified counts by reason what could not be checked.
	Unverified map[string]int64
	// SourceDigest and TargetDigest are SHA-256 sums, in hexadecimal, over the canonical
	// form of each side's records but those that are not checkable; see docs/FORMATS.md.
	SourceDigest, TargetDigest string
}

// Differences counts all.
func (r *Result) Differences() int64 {
	return r.Missing + r.Changed + r.Extra + r.Foreign + r.OutOfOrder
}

// Compare reads both sides and compares them.
func (p *Partition) Compare(ctx context.Context, source, target Log) (*Result, error) {
	together, ctx := errgroup.WithContext(ctx)
	c := newComparison(p)
	c.source.pages, c.target.pages = read(ctx, together, source), read(ctx, together, target)
	ahead, enough := context.WithCancelCause(ctx)
	c.coming.read = func() <-chan Page { return read(ahead, together, p.Next) }
	together.Go(func() error {
		defer enough(errEnough)
		return c.compare(ctx)
	})
	if err := together.Wait(); err != nil {
		return nil, err
	}
	return c.result(), nil
}

// read starts to read a side: one page waits while the next is fetched.
func read(ctx context.Context, together *errgroup.Group, log Log) <-chan Page {
	pages := make(chan Page, 1)
	together.Go(func() error {
		err := log.Read(ctx, func(p Page) error {
			select {
			case pages <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		switch {
		case err == nil:
			close(pages)
		case context.Cause(ctx) == errEnough:
			return nil
		}
		return err
	})
	return pages
}

// cursor is where one side is.
type cursor struct {
	passed int64 // the offset after the last record
	pages  <-chan Page
	page   Page
	at     int
	ended  bool
	// owed are records that are not there, by their keys: compaction may have taken
	// those whose key comes again.
	owed map[uint64]place
}

// place is a record's offsets on both sides.
type place struct{ source, target int64 }

// head is the record that comes next; nil at the end.
func (c *cursor) head(ctx context.Context) (*kgo.Record, error) {
	for c.at == len(c.page.Records) {
		if c.ended {
			return nil, nil
		}
		select {
		case page, ok := <-c.pages:
			if !ok {
				c.ended = true
				c.page, c.at = Page{Start: c.page.Start, More: c.page.More}, 0
				continue
			}
			page.Start = max(page.Start, c.page.Start)
			c.page, c.at = page, 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return c.page.Records[c.at], nil
}

// next passes the head.
func (c *cursor) next() {
	c.passed = c.page.Records[c.at].Offset + 1
	c.page.Records[c.at] = nil
	c.at++
}
