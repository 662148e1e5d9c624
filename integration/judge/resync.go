package judge

import "context"

// confirm is how many records in a row must be equal before two logs count as
// meeting again; fewer where one of them ends.
const confirm = 8

// run says whether both begin with the same records, confirm of them or as many
// as the shorter one has, and at least one.
func run(sources, targets []entry) bool {
	n := min(len(sources), len(targets), confirm)
	for i := range n {
		if sources[i].sum != targets[i].sum {
			return false
		}
	}
	return n > 0
}

func offsetAt(entries []entry, i int) int64 {
	if i >= len(entries) {
		return -1
	}
	return entries[i].offset
}

func firstOffset(entries []entry, otherwise int64) int64 {
	if len(entries) == 0 {
		return otherwise
	}
	return entries[0].offset
}

// resync gets over the difference in front of both windows: it finds the nearest
// place where both logs go on equally and classifies what lies before it. It
// looks a little way first, since most differences are small.
func (c *comparison) resync(ctx context.Context) error {
	for look := 64; ; look = min(8*look, maxLook) {
		sources, err := c.source.fill(ctx, look)
		if err != nil {
			return err
		}
		targets, err := c.target.fill(ctx, look)
		if err != nil {
			return err
		}
		a, b, found := meet(sources, targets)
		ended := len(sources) < look && len(targets) < look
		if found || ended {
			c.classify(ctx, sources[:a], targets[:b], offsetAt(sources, a), offsetAt(targets, b))
			c.source.drop(a)
			c.target.drop(b)
			return nil
		}
		if look == maxLook {
			return c.giveUp(ctx)
		}
	}
}

// meet finds the smallest a+b such that sources[a:] and targets[b:] go on
// equally; if there is none, all of both lies before it.
func meet(sources, targets []entry) (a, b int, found bool) {
	places := make(map[uint64][]int, len(targets))
	for i, t := range targets {
		places[t.sum] = append(places[t.sum], i)
	}
	best := len(sources) + len(targets)
	a, b = len(sources), len(targets)
	for i := range sources {
		if i >= best {
			break
		}
		for _, j := range places[sources[i].sum] {
			if i+j >= best {
				break
			}
			if run(sources[i:], targets[j:]) {
				a, b, best, found = i, j, i+j, true
				break
			}
		}
	}
	return a, b, found
}

// classify counts a stretch in which the two logs differ; the logs go on at the
// two offsets given.
func (c *comparison) classify(ctx context.Context, sources, targets []entry, sourceNext, targetNext int64) {
	left := map[uint64]int64{}
	for _, s := range sources {
		left[s.sum]++
	}
	var extra []entry
	moved, firstMoved := int64(0), entry{offset: -1}
	for _, t := range targets {
		if left[t.sum] == 0 {
			extra = append(extra, t)
			continue
		}
		left[t.sum]--
		if moved++; moved == 1 {
			firstMoved = t
		}
	}
	var missing []entry
	for _, s := range sources {
		if left[s.sum] > 0 {
			left[s.sum]--
			missing = append(missing, s)
		}
	}
	if moved > 0 {
		c.result.Reordered += moved
		c.note(Difference{Kind: "reordered", Source: offsetAt(sources, 0), Target: firstMoved.offset})
	}
	missing, extra = c.pair(ctx, missing, extra)
	c.countMissing(missing, firstOffset(targets, targetNext))
	c.countExtra(extra, firstOffset(sources, sourceNext))
}

// pair takes a missing and an extra record that stand for each other as one
// changed record: in turn where their numbers agree, else where the keys do.
func (c *comparison) pair(ctx context.Context, missing, extra []entry) (lost, added []entry) {
	if len(missing) == len(extra) {
		for i := range missing {
			c.changed(ctx, missing[i], extra[i])
		}
		return nil, nil
	}
	next := 0
	for _, m := range missing {
		i := next
		for i < len(extra) && extra[i].key != m.key {
			i++
		}
		if i == len(extra) {
			lost = append(lost, m)
			continue
		}
		c.changed(ctx, m, extra[i])
		added = append(added, extra[next:i]...)
		next = i + 1
	}
	return lost, append(added, extra[next:]...)
}

func (c *comparison) changed(ctx context.Context, s, t entry) {
	c.result.Changed++
	what := c.explain(ctx, s.offset, t.offset)
	c.note(Difference{Kind: "changed", Source: s.offset, Target: t.offset, What: what})
}

func (c *comparison) countMissing(missing []entry, at int64) {
	c.result.Missing += int64(len(missing))
	for _, m := range missing[:min(len(missing), maxDifferences)] {
		c.note(Difference{Kind: "missing", Source: m.offset, Target: at})
	}
}

// countExtra looks for what was delivered before only while there is little of
// it: the number of doubled records is a hint, that of extra ones is exact.
func (c *comparison) countExtra(extra []entry, at int64) {
	const few = 1000
	for _, e := range extra {
		kind := "extra"
		if c.result.Extra++; c.result.Extra <= few && c.matched.find(e.sum) >= 0 {
			c.result.Doubled++
			kind = "doubled"
		}
		c.note(Difference{Kind: kind, Source: at, Target: e.offset})
	}
}

// giveUp counts everything that is left as different: the logs do not meet
// again within reach, and no count beyond this one would mean anything.
func (c *comparison) giveUp(ctx context.Context) error {
	s, t, _, _, err := c.heads(ctx)
	if err != nil {
		return err
	}
	c.note(Difference{Kind: "no common record ahead", Source: s.offset, Target: t.offset})
	c.result.Problem = "the two logs do not meet again; all that follows counts as missing and extra"
	missing, err := drain(ctx, c.source)
	if err != nil {
		return err
	}
	c.result.Missing += missing
	extra, err := drain(ctx, c.target)
	c.result.Extra += extra
	return err
}
