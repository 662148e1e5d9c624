package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// record is what a reader was given: where it stood, and all it consists of.
type record struct {
	offset  int64
	content string // key, value, headers and timestamp, unambiguous; see contentOf
}

// reading is what a reader was given, partition by partition, in its order.
type reading map[partition][]record

func (r reading) count() int {
	n := 0
	for _, list := range r {
		n += len(list)
	}
	return n
}

// contentOf puts all that must arrive unchanged into one text. Each part has its
// length before it; null has -1, which tells it from empty.
func contentOf(r *kgo.Record) string {
	b := binary.AppendVarint(nil, r.Timestamp.UnixMilli())
	part := func(v []byte) {
		if v == nil {
			b = binary.AppendVarint(b, -1)
			return
		}
		b = append(binary.AppendVarint(b, int64(len(v))), v...)
	}
	part(r.Key)
	part(r.Value)
	for _, h := range r.Headers {
		part([]byte(h.Key))
		part(h.Value)
	}
	return string(b)
}

// isolation says which records a reader is given.
type isolation int

const (
	committed   isolation = iota // none of aborted transactions
	uncommitted                  // all
)

func (i isolation) option() kgo.Opt {
	if i == uncommitted {
		return kgo.FetchIsolationLevel(kgo.ReadUncommitted())
	}
	return kgo.FetchIsolationLevel(kgo.ReadCommitted())
}

// readAll reads every partition from its log start to its end, as a reader does
// that belongs to no group.
func (s *side) readAll(ctx context.Context, i isolation) (reading, error) {
	bounds, err := s.bounds(ctx)
	if err != nil {
		return nil, err
	}
	from, starts := map[string]map[int32]kgo.Offset{}, map[partition]int64{}
	for p, b := range bounds {
		if from[p.topic] == nil {
			from[p.topic] = map[int32]kgo.Offset{}
		}
		from[p.topic][p.number] = kgo.NewOffset().At(b.start)
		starts[p] = b.start
	}
	// Markers are kept, for behind the last record they are what shows that the end is reached.
	client, err := s.open(i.option(), kgo.KeepControlRecords(), kgo.ConsumePartitions(from))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	m := newMeter(starts, toTheEnd(bounds), partitionsOf(bounds))
	if err := m.run(ctx, client); err != nil {
		return nil, fmt.Errorf("read all of %s: %w", s.name, err)
	}
	return m.read, nil
}

// readGroup reads as the only member of a group, each partition until done says
// so, then commits how far it has come and leaves. positions are where the group
// stands; a partition that is not among them is read from its log start.
func (s *side) readGroup(ctx context.Context, group string, positions map[partition]int64, done done) (reading, error) {
	bounds, err := s.bounds(ctx)
	if err != nil {
		return nil, err
	}
	starts := map[partition]int64{}
	for p, b := range bounds {
		starts[p] = b.start
		if at, ok := positions[p]; ok {
			starts[p] = at
		}
	}
	client, err := s.open(committed.option(), kgo.KeepControlRecords(), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	m := newMeter(starts, done, partitionsOf(bounds))
	if err := m.run(ctx, client); err != nil {
		return nil, fmt.Errorf("read %s as group %s: %w", s.name, group, err)
	}
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		return nil, fmt.Errorf("commit for group %s on %s: %w", group, s.name, err)
	}
	if err := client.LeaveGroupContext(ctx); err != nil {
		return nil, fmt.Errorf("leave group %s on %s: %w", group, s.name, err)
	}
	return m.read, nil
}

// done says whether a partition has been read far enough: read records of it
// were given, and the next one has offset next or more.
type done func(p partition, read int, next int64) bool

// upTo is done with a partition after so many records.
func upTo(share map[partition]int) done {
	return func(p partition, read int, _ int64) bool { return read >= share[p] }
}

// toTheEnd is done with a partition when nothing can follow.
func toTheEnd(bounds map[partition]span) done {
	return func(p partition, _ int, next int64) bool { return next >= bounds[p].end }
}

// meter reads through a client and stops each partition where it is done.
type meter struct {
	done done
	open map[partition]int64 // the partitions that are still read: from which offset on
	idle []partition         // those that never were
	read reading
}

func newMeter(starts map[partition]int64, done done, all []partition) *meter {
	m := &meter{done: done, open: map[partition]int64{}, read: reading{}}
	for _, p := range all {
		m.read[p] = nil
		if done(p, 0, starts[p]) {
			m.idle = append(m.idle, p)
			continue
		}
		m.open[p] = starts[p]
	}
	return m
}

// run polls one record at a time: what is not wanted is never taken, so that a
// group's position is behind exactly what it was given.
func (m *meter) run(ctx context.Context, client *kgo.Client) error {
	for _, p := range m.idle {
		pause(client, p)
	}
	for len(m.open) > 0 {
		fetches := client.PollRecords(ctx, 1)
		var trouble error
		fetches.EachError(func(topic string, number int32, err error) {
			if topic != "" { // else it is the client's or ctx's, not a partition's
				err = fmt.Errorf("%s/%d: %w", topic, number, err)
			}
			trouble = errors.Join(trouble, err)
		})
		if trouble != nil {
			return fmt.Errorf("%w; still to read: %s", trouble, m.missing())
		}
		var wrong error
		fetches.EachRecord(func(r *kgo.Record) { wrong = errors.Join(wrong, m.take(client, r)) })
		if wrong != nil {
			return wrong
		}
	}
	return nil
}

// take counts one record, or a marker.
func (m *meter) take(client *kgo.Client, r *kgo.Record) error {
	p := partition{r.Topic, r.Partition}
	if _, wanted := m.open[p]; !wanted {
		return fmt.Errorf("%s at offset %d was given after the partition was paused", p, r.Offset)
	}
	if !r.Attrs.IsControl() {
		m.read[p] = append(m.read[p], record{r.Offset, contentOf(r)})
	}
	m.open[p] = r.Offset + 1
	if m.done(p, len(m.read[p]), r.Offset+1) {
		delete(m.open, p)
		pause(client, p)
	}
	return nil
}

// missing tells which partitions are still to be read, and from where on.
func (m *meter) missing() string {
	var list []string
	for p, next := range m.open {
		list = append(list, fmt.Sprintf("%s from %d on", p, next))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func pause(client *kgo.Client, p partition) {
	client.PauseFetchPartitions(map[string][]int32{p.topic: {p.number}})
}

// partitionsOf lists partitions by topic and number.
func partitionsOf[V any](m map[partition]V) []partition {
	var list []partition
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b partition) int {
		if a.topic != b.topic {
			return strings.Compare(a.topic, b.topic)
		}
		return int(a.number - b.number)
	})
	return list
}
