package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"
)

// Groups looks at every committed position that the groups have on the source in
// the topics, named as on the source, and says whether the same groups stand right
// on the target. It reads all records of the topics once on each side.
func Groups(ctx context.Context, sides Sides, groups, topics []string, opts ...Option) (*GroupReport, error) {
	g, err := newGroupJudge(sides, groups, topics, opts)
	if err != nil {
		return nil, err
	}
	defer g.close()
	return g.round(ctx)
}

// WaitGroups repeats [Groups] until all is right or the time is over, and returns
// the last report. Records are read once; only what is new is read again.
func WaitGroups(
	ctx context.Context, within time.Duration, sides Sides, groups, topics []string, opts ...Option,
) (*GroupReport, error) {
	g, err := newGroupJudge(sides, groups, topics, opts)
	if err != nil {
		return nil, err
	}
	defer g.close()
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last *GroupReport
	err = poll(limited, func() (bool, error) {
		report, err := g.round(limited)
		if err == nil {
			last = report
		}
		return err == nil && report.OK(), err
	})
	if errors.Is(err, errReplaced) || last == nil || ctx.Err() != nil {
		return last, errors.Join(err, ctx.Err())
	}
	return last, nil
}

// spot is one position of one group, by the source's name of the partition.
type spot struct {
	group string
	partition
}

// groupJudge keeps the indexes from one round to the next.
type groupJudge struct {
	all    *comparer // opens the sides and knows names, topics and options
	groups []string
	pairs  map[partition]*pairing
}

func newGroupJudge(sides Sides, groups, topics []string, opts []Option) (*groupJudge, error) {
	all, err := newComparer(sides, topics, opts)
	if err != nil {
		return nil, err
	}
	return &groupJudge{all: all, groups: groups, pairs: map[partition]*pairing{}}, nil
}

func (g *groupJudge) close() { g.all.close() }

// round asks for the positions first and for the logs after, so that no position
// seems to lie past an end that merely moved.
func (g *groupJudge) round(ctx context.Context) (*GroupReport, error) {
	began := time.Now()
	onSource, err := committed(ctx, g.all.source, g.groups)
	if err != nil {
		return nil, err
	}
	renamed := make([]string, len(g.groups))
	for i, group := range g.groups {
		renamed[i] = g.all.sides.targetGroup(group)
	}
	onTarget, err := committed(ctx, g.all.target, renamed)
	if err != nil {
		return nil, err
	}
	if err := g.refresh(ctx); err != nil {
		return nil, err
	}
	report := &GroupReport{duplicates: g.all.options.duplicates}
	for s, offset := range onSource {
		pair := g.pairs[s.partition]
		if pair == nil {
			continue // not one of the topics, or gone
		}
		at := spot{g.all.sides.targetGroup(s.group), partition{g.all.sides.targetName(s.topic), s.number}}
		offsetOnTarget, ok := onTarget[at]
		if !ok {
			offsetOnTarget = -1
		}
		report.add(g.judge(s, pair, offset, offsetOnTarget))
	}
	slices.SortFunc(report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	report.Took = time.Since(began)
	return report, nil
}

// committed asks for all positions of the groups in few requests.
func committed(ctx context.Context, s *side, groups []string) (map[spot]int64, error) {
	found := map[spot]int64{}
	if len(groups) == 0 {
		return found, nil
	}
	for group, answer := range s.admin.FetchManyOffsets(ctx, groups...) {
		if errors.Is(answer.Err, kerr.GroupIDNotFound) {
			continue // no such group is the same as no position
		}
		if answer.Err != nil {
			return nil, fmt.Errorf("offsets of group %s on the %s: %w", group, s.name, answer.Err)
		}
		for topic, partitions := range answer.Fetched {
			for number, o := range partitions {
				if o.Err != nil {
					return nil, fmt.Errorf("offset of group %s in %s/%d on the %s: %w", group, topic, number, s.name, o.Err)
				}
				if o.At >= 0 {
					found[spot{group, partition{topic, number}}] = o.At
				}
			}
		}
	}
	return found, nil
}

func (g *groupJudge) refresh(ctx context.Context) error {
	names := make([]string, len(g.all.topics))
	for i, topic := range g.all.topics {
		names[i] = g.all.sides.targetName(topic)
	}
	onTarget, err := g.all.target.extents(ctx, names)
	if err != nil {
		return err
	}
	onSource, err := g.all.source.extents(ctx, g.all.topics)
	if err != nil {
		return err
	}
	for p, e := range onSource {
		if err := g.pair(p, e, onTarget); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(g.all.options.workers)
	for _, pair := range g.pairs {
		group.Go(func() error { return pair.refresh(ctx, g.all.options.duplicates) })
	}
	return group.Wait()
}

// pair opens the indexes of a partition, or moves their bounds.
func (g *groupJudge) pair(p partition, onSource extent, onTarget map[partition]extent) error {
	pair := g.pairs[p]
	if pair == nil {
		cursor := newCursor(g.all.source, p, onSource, from(g.all.options.sourceFrom, p))
		pair = &pairing{source: &index{cursor: cursor}}
		g.pairs[p] = pair
	}
	if err := pair.source.cursor.extend(onSource); err != nil {
		return err
	}
	at := partition{g.all.sides.targetName(p.topic), p.number}
	e, ok := onTarget[at]
	switch {
	case !ok && pair.target == nil:
		return nil
	case !ok:
		return fmt.Errorf("%s on the target: %w", at, errReplaced)
	case pair.target == nil:
		pair.target = &index{cursor: newCursor(g.all.target, at, e, from(g.all.options.targetFrom, at))}
	}
	return pair.target.cursor.extend(e)
}
