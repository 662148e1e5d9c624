package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Layout says what lies at each offset of a partition below its last stable
// offset. All lists ascend.
type Layout struct {
	Start, Stable int64 // log start and last stable offset
	Visible       []int64
	Aborted       []int64
	Markers       []int64 // commit and abort markers
	Holes         []int64 // nothing there: compaction took it
}

// layoutIdle is how long a read may bring nothing before the rest of a log
// counts as empty; only a log whose last offsets are holes comes to that.
const layoutIdle = 5 * time.Second

// ReadLayout reads a topic with read_uncommitted and keeps the markers; which
// records are aborted follows from the markers alone, so that this stands apart
// from how anyone else filters them. Meant for topics of some 100,000 records.
func ReadLayout(ctx context.Context, bootstrap, topic string) (map[int32]*Layout, error) {
	client, err := newClient(bootstrap, kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r, err := newLayoutReader(ctx, client, topic)
	if err != nil {
		return nil, fmt.Errorf("layout of %s: %w", topic, err)
	}
	for len(r.open) > 0 {
		if err := r.poll(ctx, client); err != nil {
			return nil, fmt.Errorf("layout of %s: %w", topic, err)
		}
	}
	layouts := make(map[int32]*Layout, len(r.parts))
	for number, p := range r.parts {
		layouts[number] = p.layout()
	}
	return layouts, nil
}

type layoutReader struct {
	topic string
	parts map[int32]*layoutPart
	open  map[int32]bool // not read to the end yet
}

// layoutPart is one partition as it was read. kinds[i] is what lies at start+i.
type layoutPart struct {
	start, stable, end int64
	kinds              []kind
	pending            map[int64][]int64 // producer id -> offsets without a marker so far
}

type kind byte

const (
	hole kind = iota
	visible
	aborted
	marker
)

func newLayoutReader(ctx context.Context, client *kgo.Client, topic string) (*layoutReader, error) {
	admin := kadm.NewClient(client)
	starts, err1 := admin.ListStartOffsets(ctx, topic)
	stables, err2 := admin.ListCommittedOffsets(ctx, topic)
	ends, err3 := admin.ListEndOffsets(ctx, topic)
	if err := errors.Join(err1, err2, err3, starts.Error(), stables.Error(), ends.Error()); err != nil {
		return nil, err
	}
	r := &layoutReader{topic: topic, parts: map[int32]*layoutPart{}, open: map[int32]bool{}}
	from := map[int32]kgo.Offset{}
	for number, start := range starts[topic] {
		p := &layoutPart{
			start: start.Offset, stable: stables[topic][number].Offset, end: ends[topic][number].Offset,
			pending: map[int64][]int64{},
		}
		p.kinds = make([]kind, p.end-p.start)
		r.parts[number] = p
		if p.end > p.start {
			r.open[number] = true
			from[number] = kgo.NewOffset().At(p.start)
		}
	}
	if len(from) > 0 {
		client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	}
	return r, nil
}

func (r *layoutReader) poll(ctx context.Context, client *kgo.Client) error {
	limited, cancel := context.WithTimeout(ctx, layoutIdle)
	defer cancel()
	fetches := client.PollFetches(limited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if limited.Err() != nil && fetches.NumRecords() == 0 {
		clear(r.open)
		return nil
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return fmt.Errorf("partition %d: %w", e.Partition, e.Err)
		}
	}
	fetches.EachRecord(func(record *kgo.Record) {
		p := r.parts[record.Partition]
		p.add(record)
		if record.Offset >= p.end-1 {
			delete(r.open, record.Partition)
		}
	})
	return nil
}

func (p *layoutPart) add(r *kgo.Record) {
	if r.Offset >= p.end {
		return
	}
	switch {
	case r.Attrs.IsControl():
		p.kinds[r.Offset-p.start] = marker
		fate := visible
		if len(r.Key) >= 4 && r.Key[2] == 0 && r.Key[3] == 0 { // version, then type: 0 is abort
			fate = aborted
		}
		for _, offset := range p.pending[r.ProducerID] {
			p.kinds[offset-p.start] = fate
		}
		delete(p.pending, r.ProducerID)
	case r.Attrs.IsTransactional():
		p.kinds[r.Offset-p.start] = visible // if the cleaner took the marker, it was a commit
		p.pending[r.ProducerID] = append(p.pending[r.ProducerID], r.Offset)
	default:
		p.kinds[r.Offset-p.start] = visible
	}
}

func (p *layoutPart) layout() *Layout {
	l := &Layout{Start: p.start, Stable: p.stable}
	for i, k := range p.kinds[:max(0, p.stable-p.start)] {
		offset := p.start + int64(i)
		switch k {
		case visible:
			l.Visible = append(l.Visible, offset)
		case aborted:
			l.Aborted = append(l.Aborted, offset)
		case marker:
			l.Markers = append(l.Markers, offset)
		default:
			l.Holes = append(l.Holes, offset)
		}
	}
	return l
}
