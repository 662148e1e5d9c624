package versions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Behind is a partition that a group has not read to its end.
type Behind struct {
	Partition int32
	Committed int64 // -1: nothing
	End       int64 // the offset behind the last visible record
}

func (b Behind) String() string {
	if b.Committed < 0 {
		return fmt.Sprintf("partition %d: no position, records up to %d", b.Partition, b.End)
	}
	return fmt.Sprintf("partition %d: at %d of %d", b.Partition, b.Committed, b.End)
}

// Rest says what of a topic a group has not read, up to the offsets behind the last
// visible record of each partition; and whether it has committed anything there.
func Rest(ctx context.Context, client *kgo.Client, group, physical string, drained []int64) (
	rest []Behind, began bool, err error) {
	fetched, err := Positions(ctx, client, group, physical)
	if err != nil {
		return nil, false, err
	}
	begin, err := starts(ctx, client, physical)
	if err != nil {
		return nil, false, err
	}
	for p, end := range drained {
		committed := int64(-1)
		if at, ok := fetched.Lookup(physical, int32(p)); ok && at.At >= 0 {
			committed, began = at.At, true
		}
		if committed < end && p < len(begin) && begin[p] < end {
			rest = append(rest, Behind{int32(p), committed, end})
		}
	}
	return rest, began, nil
}

// Positions are what a group has committed on a topic; a group that does not exist
// has committed nothing.
func Positions(ctx context.Context, client *kgo.Client, group, physical string) (kadm.OffsetResponses, error) {
	fetched, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, group, physical)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("positions of group %s: %w", group, err)
	}
	return fetched, nil
}

// starts are the first offsets of a topic's partitions.
func starts(ctx context.Context, client *kgo.Client, topic string) ([]int64, error) {
	listed, err := kadm.NewClient(client).ListStartOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("first offsets of %s: %w", topic, err)
	}
	at := make([]int64, len(listed[topic]))
	for p := range at {
		at[p] = listed[topic][int32(p)].Offset
	}
	return at, nil
}

// Read calls read for one version after the other, with a context that ends when
// the group is done with that version. read joins the group on v.Physical, commits
// what it has processed, and leaves the group before it returns nil. Read returns
// when ctx ends, without an error, or when read returns before its version's end.
//
// A group that has never committed anything on a version has nothing to finish
// there where the next one holds its records: it begins with that one.
func (f *Follower) Read(ctx context.Context, group string, read func(ctx context.Context, v Version) error) error {
	for {
		v, err := f.readable(ctx, group)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		reading, end := context.WithCancel(ctx)
		watched := make(chan error, 1)
		go func() { watched <- f.untilDone(reading, end, group, v) }()
		err = read(reading, v)
		done := reading.Err() != nil
		end()
		if lost := <-watched; err == nil {
			err = lost
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil || !done:
			return err
		}
	}
}

// untilDone ends reading when the group is done with v. A look that fails is tried again.
func (f *Follower) untilDone(reading context.Context, end func(), group string, v Version) error {
	for reading.Err() == nil {
		view, known, _ := f.now()
		next, follows := view.after(v)
		if known && follows {
			if done, err := f.done(reading, group, v, next); err == nil && done {
				end()
				return nil
			}
		}
		_ = pause(reading, lookEvery)
	}
	return nil
}

// done says whether nothing of v is left for the group.
func (f *Follower) done(ctx context.Context, group string, v, next Version) (bool, error) {
	at, err := f.offsets(ctx, v, next)
	if err != nil {
		return false, err
	}
	rest, began, err := Rest(ctx, f.cluster(v.Cluster), group, v.Physical, at.Drained)
	return err == nil && (len(rest) == 0 || !began && next.Copied), err
}

// offsets are those of next that hold on the cluster of v. Without any, v is read on:
// 'replicator cutover' names those of the cluster that it moves applications to.
func (f *Follower) offsets(ctx context.Context, v, next Version) (Offsets, error) {
	id, err := ClusterID(ctx, f.cluster(v.Cluster))
	if err != nil {
		return Offsets{}, err
	}
	at, known := next.Offsets[id]
	if !known {
		return at, fmt.Errorf("%s does not tell where its versions end and begin on cluster %s", next.Key(), id)
	}
	return at, nil
}

// ClusterID is what a cluster calls itself.
func ClusterID(ctx context.Context, client *kgo.Client) (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none: nil asks for all
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return "", fmt.Errorf("the cluster's id: %w", err)
	}
	if answer.ClusterID == nil {
		return "", nil
	}
	return *answer.ClusterID, nil
}

// readable waits for a version that the group has to read now.
func (f *Follower) readable(ctx context.Context, group string) (Version, error) {
	for {
		view, known, changed := f.now()
		wait := time.NewTimer(lookEvery)
		if known {
			v, ready, err := f.choose(ctx, group, view)
			if err == nil && ready {
				return v, nil
			}
		}
		select {
		case <-ctx.Done():
			return Version{}, ctx.Err()
		case <-changed:
		case <-wait.C:
		}
	}
}

// choose walks from the oldest version that is in use to the one that the group
// has to read. It is not ready while that one is not current, or the command has
// not put the group to where it goes on.
func (f *Follower) choose(ctx context.Context, group string, view View) (v Version, ready bool, err error) {
	v = view.oldest()
	for {
		next, follows := view.after(v)
		if !follows {
			return v, true, nil
		}
		done, err := f.done(ctx, group, v, next)
		if err != nil || !done {
			return v, err == nil, err
		}
		if next.State != Current {
			return next, false, nil
		}
		placed, err := f.placed(ctx, group, v, next)
		if err != nil || !placed {
			return next, false, err
		}
		v = next
	}
}

// placed says whether the group may begin with next: it has a position there, or
// never had one in v.
func (f *Follower) placed(ctx context.Context, group string, v, next Version) (bool, error) {
	before, err := f.offsets(ctx, v, next)
	if err != nil {
		return false, err
	}
	_, began, err := Rest(ctx, f.cluster(v.Cluster), group, v.Physical, before.Drained)
	if err != nil || !began {
		return err == nil, err
	}
	after, err := f.offsets(ctx, next, next)
	if err != nil {
		return false, err
	}
	_, has, err := Rest(ctx, f.cluster(next.Cluster), group, next.Physical, after.Begins)
	return has, err
}
