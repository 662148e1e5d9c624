package compare

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
)

// maxOwed bounds the keys that are remembered of one side; what is beyond stays not checkable.
const maxOwed = 200_000

// comparison is one comparison under way. It belongs to one goroutine.
type comparison struct {
	p              *Partition
	source, target cursor
	sums           [2]*digest // source, target
	seed           maphash.Seed
	loose          *looseEnds
	latest         *latest // nil: nothing is written twice
	coming         coming
	scratch        []byte
	found          Result
}

func newComparison(p *Partition) *comparison {
	c := &comparison{p: p, sums: [2]*digest{newDigest(), newDigest()}, seed: maphash.MakeSeed(),
		found: Result{Unverified: map[string]int64{}}}
	c.source.passed = int64(p.From)
	c.source.page.Start, c.target.page.Start = p.SourceStart, p.TargetStart
	c.source.owed, c.target.owed = map[uint64]place{}, map[uint64]place{}
	c.loose = newLooseEnds(c.note)
	if p.Repeats {
		c.latest = newLatest()
	}
	return c
}

// result closes the books.
func (c *comparison) result() *Result {
	c.found.SourceDigest, c.found.TargetDigest = c.sums[0].sum(), c.sums[1].sum()
	return &c.found
}

// compare walks over the map, and what lies between its runs.
func (c *comparison) compare(ctx context.Context) error {
	for {
		runs, err := c.p.Runs(ctx)
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			break
		}
		for _, r := range runs {
			if r.SourceEnd() <= c.p.From {
				continue
			}
			if err := c.run(ctx, r, max(int64(c.p.From-r.Source), 0)); err != nil {
				return err
			}
		}
	}
	if err := c.between(ctx, nil, nil); err != nil {
		return err
	}
	c.loose.settleAll()
	c.settleOwed()
	return nil
}

// between judges what no run explains, up to a run; nil: to the end.
func (c *comparison) between(ctx context.Context, source *offsets.Source, target *offsets.Target) error {
	for {
		s, err := c.source.head(ctx)
		if err != nil {
			return err
		}
		if s == nil || source != nil && s.Offset >= int64(*source) {
			break
		}
		if err := c.unmapped(ctx, s); err != nil {
			return err
		}
	}
	for {
		t, err := c.target.head(ctx)
		if err != nil {
			return err
		}
		if t == nil || target != nil && t.Offset >= int64(*target) {
			return nil
		}
		if err := c.extra(ctx, t); err != nil {
			return err
		}
	}
}

// run compares the records of a run from its lo-th on.
func (c *comparison) run(ctx context.Context, r offsets.Run, lo int64) error {
	source, target := r.Source+offsets.Source(lo), r.Target+offsets.Target(lo)
	if err := c.between(ctx, &source, &target); err != nil {
		return err
	}
	for at := lo; at < r.Count; at++ {
		s, err := c.source.head(ctx)
		if err != nil {
			return err
		}
		t, err := c.target.head(ctx)
		if err != nil {
			return err
		}
		onSource, onTarget := r.Count, r.Count
		if s != nil {
			onSource = min(s.Offset-int64(r.Source), r.Count)
		}
		if t != nil {
			onTarget = min(t.Offset-int64(r.Target), r.Count)
		}
		if next := min(onSource, onTarget); next > at {
			c.gone(r, at, next)
			if at = next; at == r.Count {
				return nil
			}
		}
		switch {
		case onSource == onTarget:
			c.pair(s, t)
		case onSource < onTarget:
			c.notOnTarget(s, int64(r.Target)+at)
		default:
			c.notOnSource(t, int64(r.Source)+at)
		}
	}
	return nil
}

// pair compares a record with what stands at its place.
func (c *comparison) pair(s, t *kgo.Record) {
	c.passSource(s)
	c.passTarget(t)
	c.sums[0].add(s)
	c.sums[1].add(t)
	c.found.Compared++
	if c.latest != nil {
		c.latest.add(c.hash(s), s.Offset)
	}
	if fields := differ(s, t); fields != nil {
		c.loose.add(&looseEnd{source: s.Offset, target: t.Offset, sourceSum: c.hash(s), targetSum: c.hash(t),
			hasSource: true, hasTarget: true, fields: fields, producer: t.ProducerID})
	}
}

// unmapped judges a source record below progress that no run covers.
func (c *comparison) unmapped(ctx context.Context, s *kgo.Record) error {
	if c.p.LeftOut != nil {
		leftOut, err := c.p.LeftOut(ctx, s)
		if err != nil {
			return err
		}
		if leftOut {
			c.passSource(s)
			c.found.Unverified[LeftOut]++
			return nil
		}
	}
	c.passSource(s)
	at := offsets.Source(s.Offset)
	if slices.ContainsFunc(c.p.GivenUp, func(r Range) bool { return r.From <= at && at < r.To }) {
		c.found.Unverified[GivenUp]++
		return nil
	}
	c.sums[0].add(s)
	c.loose.add(&looseEnd{source: s.Offset, target: -1, hasSource: true, sourceSum: c.hash(s),
		why: "it is below the flow's progress, but no run of the map covers it: it was not copied"})
	return nil
}

// notOnTarget judges a source record whose place on the target is empty.
func (c *comparison) notOnTarget(s *kgo.Record, target int64) {
	c.passSource(s)
	switch {
	case target < c.target.page.Start:
		c.found.Unverified[TargetDeleted]++
	case c.p.TargetCompacts && s.Key != nil:
		c.found.Unverified[TargetCompacted]++
		c.owe(&c.target, s, place{s.Offset, target})
	default:
		c.sums[0].add(s)
		c.loose.add(&looseEnd{source: s.Offset, target: target, hasSource: true, sourceSum: c.hash(s),
			why: "the target's log covers its place, and holds no visible record there"})
	}
}

// notOnSource judges a target record that the map explains by a source record which
// is not there.
func (c *comparison) notOnSource(t *kgo.Record, source int64) {
	c.passTarget(t)
	switch {
	case source < c.source.page.Start:
		c.found.Unverified[SourceDeleted]++
	case c.p.SourceCompacts && t.Key != nil:
		c.found.Unverified[SourceCompacted]++
	default:
		c.sums[1].add(t)
		c.loose.add(&looseEnd{source: source, target: t.Offset, hasTarget: true, targetSum: c.hash(t), kind: Extra,
			producer: t.ProducerID, why: "the map says that it was copied from where the source holds no visible record"})
	}
}

// extra judges a target record that no run explains.
func (c *comparison) extra(ctx context.Context, t *kgo.Record) error {
	c.passTarget(t)
	if c.p.Native != nil && c.p.Native(t) {
		c.found.Unverified[Native]++
		return nil
	}
	why := "no run of the map explains it"
	if t.Offset >= int64(c.p.Settled) {
		ours, err := c.perhapsOurs(ctx, t)
		if err != nil {
			return err
		}
		if ours {
			c.found.Unverified[NotNotedYet]++
			return nil
		}
		why += ", and it is no copy of what the source holds next"
	}
	within := func(f offsets.Stretch) bool { return int64(f.From) <= t.Offset && t.Offset < int64(f.To) }
	foreign := slices.ContainsFunc(c.p.Foreign, within)
	if !foreign && slices.ContainsFunc(c.p.Left, within) {
		c.found.Unverified[SourceCut]++
		return nil
	}
	c.sums[1].add(t)
	end := &looseEnd{source: -1, target: t.Offset, hasTarget: true, targetSum: c.hash(t), kind: Extra,
		producer: t.ProducerID, why: why}
	if foreign {
		end.kind, end.why = Foreign, "somebody else wrote it, as the flow has noted"
	}
	if c.latest != nil {
		if twin, ok := c.latest.find(end.targetSum); ok {
			end.source = twin
			end.why += "; it repeats that source record, as delivery at_least_once may after a crash"
		}
	}
	c.loose.add(end)
	return nil
}

// gone counts records of a run, from the lo-th to before the hi-th, that are on
// neither side any more.
func (c *comparison) gone(r offsets.Run, lo, hi int64) {
	source, target := int64(r.Source)+lo, int64(r.Target)+lo
	bySource, byTarget := c.source.page.Start-source, c.target.page.Start-target
	why, n := SourceDeleted, min(max(bySource, 0), hi-lo)
	if byTarget > bySource {
		why, n = TargetDeleted, min(max(byTarget, 0), hi-lo)
	}
	if n > 0 {
		c.found.Unverified[why] += n
	}
	left := hi - lo - n
	switch {
	case left == 0:
	case c.p.SourceCompacts:
		c.found.Unverified[SourceCompacted] += left
	case c.p.TargetCompacts:
		c.found.Unverified[TargetCompacted] += left
	default:
		at, place := source+n, target+n
		c.note(Difference{Kind: Missing, Source: &at, Target: &place, Records: left,
			Why: "the map says that it was copied, but neither log holds a visible record, and both cover the place"})
	}
}

// passSource and passTarget go on by a record; its key pays what is owed.
func (c *comparison) passSource(s *kgo.Record) {
	before := c.source.passed
	c.source.next()
	if c.p.Watch != nil {
		c.p.Watch.Records.Add(1)
		c.p.Watch.Passed.Add(c.source.passed - before)
		c.p.Watch.Bytes.Add(int64(len(s.Key) + len(s.Value)))
	}
}

func (c *comparison) passTarget(t *kgo.Record) {
	c.target.next()
	if c.p.Watch != nil {
		c.p.Watch.Bytes.Add(int64(len(t.Key) + len(t.Value)))
	}
	if len(c.target.owed) > 0 && t.Key != nil {
		delete(c.target.owed, maphash.Bytes(c.seed, t.Key))
	}
}

// owe remembers the key of a record that is not there. A tombstone owes nothing: it
// may go as well, and what was before it.
func (c *comparison) owe(on *cursor, r *kgo.Record, at place) {
	key := maphash.Bytes(c.seed, r.Key)
	if r.Value == nil {
		delete(on.owed, key)
		return
	}
	if _, known := on.owed[key]; known || len(on.owed) < maxOwed {
		on.owed[key] = at
	}
}

// settleOwed: compaction keeps the last record of a key, so that one which is not
// there, and has no later one, is missing; unless that may lie beyond the range.
func (c *comparison) settleOwed() {
	if c.target.page.More {
		return
	}
	for _, at := range sorted(c.target.owed) {
		c.found.Unverified[TargetCompacted]--
		c.note(Difference{Kind: Missing, Source: &at.source, Target: &at.target, Records: 1,
			Why: "compaction keeps the last record of a key, but the target holds none of its key at or after its place"})
	}
	if c.found.Unverified[TargetCompacted] == 0 {
		delete(c.found.Unverified, TargetCompacted)
	}
}

func sorted(owed map[uint64]place) []place {
	var list []place
	for _, at := range owed {
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b place) int { return int(a.source - b.source) })
	return list
}

// note counts a difference, and lists it while there is room.
func (c *comparison) note(d Difference) {
	count := map[string]*int64{Missing: &c.found.Missing, Changed: &c.found.Changed, Extra: &c.found.Extra,
		Foreign: &c.found.Foreign, OutOfOrder: &c.found.OutOfOrder}[d.Kind]
	if count == nil {
		panic(fmt.Sprintf("verify: %q is no kind of difference", d.Kind))
	}
	*count += d.Records
	if len(c.found.Listed) < c.p.Most {
		c.found.Listed = append(c.found.Listed, d)
	}
}

// hash says whether two records are the same, where that is asked for more than
// two at a time.
func (c *comparison) hash(r *kgo.Record) uint64 {
	c.scratch = canonical(c.scratch[:0], r)
	return maphash.Bytes(c.seed, c.scratch)
}

// differ names the parts of two records that differ.
func differ(s, t *kgo.Record) (fields []string) {
	if !same(s.Key, t.Key) {
		fields = append(fields, "key")
	}
	if !same(s.Value, t.Value) {
		fields = append(fields, "value")
	}
	if !slices.EqualFunc(s.Headers, t.Headers, func(a, b kgo.RecordHeader) bool {
		return a.Key == b.Key && same(a.Value, b.Value)
	}) {
		fields = append(fields, "headers")
	}
	if timestamp(s) != timestamp(t) {
		fields = append(fields, "timestamp")
	}
	return fields
}

// same compares bytes; null and empty differ.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
