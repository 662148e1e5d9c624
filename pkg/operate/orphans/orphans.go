package orphans

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/replay"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/wire"
)

// Report is what was found.
type Report struct {
	Flow       string            `json:"flow"`
	Source     string            `json:"source"` // cluster
	Target     string            `json:"target"`
	Taken      time.Time         `json:"taken"`
	Records    int64             `json:"records"`
	Bytes      int64             `json:"bytes"` // of keys, values and headers
	Partitions []Partition       `json:"partitions"`
	Gone       []inspect.LeftOut `json:"gone"` // topics that were copied and are gone, with what they held beyond that
}

// Partition is one that has orphans, or of which something is not known.
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
	Bytes     int64  `json:"bytes"`
	First     *Place `json:"first"` // null: there is no orphan
	Last      *Place `json:"last"`
	// From is where copying goes on, To where the source ended for committed readers when it was looked at.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Deleted counts offsets that the source deleted before they were copied: at most that many records nobody has any
	// more.
	Deleted int64 `json:"deleted"`
	// Open counts offsets behind To, held by transactions that are open: what is committed of them is an orphan as well.
	Open int64 `json:"open"`
	// LeftOut counts records that the flow leaves out, by who wrote them: the target has them.
	LeftOut int64  `json:"left_out"`
	Error   string `json:"error,omitempty"` // why it could not be read
	Remedy  string `json:"remedy,omitempty"`
}

// Place is a record.
type Place struct {
	Offset int64 `json:"offset"`
	At     int64 `json:"ts"` // its timestamp in ms, whatever it is
}

// Unknown says that there may be orphans that were not seen.
func (p *Partition) Unknown() bool { return p.Error != "" || p.Open > 0 }

// Unread are the errors of partitions that could not be read.
func (r *Report) Unread() error {
	var all []error
	for _, p := range r.Partitions {
		if p.Error != "" {
			all = append(all, &kafka.Problem{What: fmt.Sprintf("%s/%d: %s", p.Topic, p.Partition, p.Error), Fix: p.Remedy})
		}
	}
	return errors.Join(all...)
}

// Found is where orphans may stand: what both clusters said at one moment.
type Found struct {
	view  *snapshot.Viewer
	parts []part
	taken time.Time
	gone  []inspect.LeftOut
}

// part is one partition to be read.
type part struct {
	seen   Partition
	of     int               // partitions that the topic has
	topics provenance.Topics // of both sides
	log    compare.Remote
	failed error
}

// Find looks at the ledger and at the ends of the source; wanted chooses topics.
func Find(ctx context.Context, view *snapshot.Viewer, wanted func(topic string) bool) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := inspect.TakeRan(ctx, view, wanted, false, "start it with 'replicator run': nothing was copied yet")
	if err == nil {
		err = notReversed(snap, view.FlowName())
	}
	if err == nil {
		err = view.FindHidden(ctx, snap)
	}
	if err != nil {
		return nil, err
	}
	f := &Found{view: view, taken: snap.Taken, gone: inspect.NotCompared(view, snap, wanted)}
	for name, why := range snap.Hidden {
		f.gone = append(f.gone, inspect.LeftOut{Kind: "topics", Name: name, Why: why.Error()})
	}
	views := snap.Views()
	for _, at := range slices.SortedFunc(maps.Keys(views), chunk.Partition.Compare) {
		f.parts = append(f.parts, partOf(snap, views[at], view.SourceCluster))
	}
	return f, nil
}

// notReversed refuses a flow whose records go the other way: its progress says nothing. One that failed over is closed,
// and as it was.
func notReversed(snap *snapshot.Snapshot, flow string) error {
	err := handover.NotClosed(snap.Books[0].Shard, snap.Books[0].Shard, flow)
	var closed *handover.ClosedError
	if errors.As(err, &closed) && closed.Failover != nil {
		return nil
	}
	return err
}

func partOf(snap *snapshot.Snapshot, view *snapshot.PartitionView, cluster kafka.Config) part {
	from := view.Next()
	if hole := view.Verdict.Hole; hole.Offsets() > 0 {
		from = hole.From
	}
	p := part{seen: Partition{Topic: view.Source.Topic, Partition: view.Source.Number, From: int64(from),
		To: int64(view.Stable), Deleted: max(int64(view.Earliest-from), 0), Open: max(int64(view.High-view.Stable), 0)},
		failed: view.Unknown}
	topic := snap.Source.Topics[view.Source.Topic]
	p.of, p.topics = topic.Partitions, provenance.Topics{Source: topic.ID, Target: view.TargetID}
	p.log = compare.Remote{Cluster: cluster, Topic: view.Source.Topic, ID: topic.ID, Number: view.Source.Number,
		From: max(p.seen.From, int64(view.Earliest)), To: p.seen.To}
	return p
}

// SourceID is the id of a topic that the source had then; zero: it had none of that name.
func (f *Found) SourceID(topic string) chunk.TopicID {
	i, found := slices.BinarySearchFunc(f.parts, topic, func(p part, topic string) int {
		return strings.Compare(p.seen.Topic, topic)
	})
	if !found {
		return chunk.TopicID{}
	}
	return f.parts[i].topics.Source
}

// Read hands over each orphan, partition by partition, as it is on the source, and answers what there was. What it
// finds is the same at each call, but for what the source deletes meanwhile. A partition that cannot be read says so in
// the report; an error is one of give, or of ctx.
func (f *Found) Read(ctx context.Context, give func(r *kgo.Record, times wire.Times) error) (*Report, error) {
	return f.read(ctx, f.parts, give)
}

func (f *Found) read(ctx context.Context, parts []part, give func(*kgo.Record, wire.Times) error) (*Report, error) {
	report := &Report{Flow: f.view.FlowName(), Source: f.view.Flow.From, Target: f.view.Flow.To, Taken: f.taken.UTC(),
		Partitions: []Partition{}, Gone: f.gone}
	writers, err := provenance.OpenSourceWriters(&f.view.Flow, f.view.SourceCluster, f.view.TargetCluster)
	if err != nil {
		return nil, err
	}
	if writers != nil {
		defer writers.Close()
	}
	client, err := kafka.NewFranz(f.view.SourceCluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for _, p := range parts { // one after another: a copy, so that the next call begins anew
		r := &reading{part: p, give: give, writers: writers, seen: f.taken}
		r.log.Client = client
		if err := r.read(ctx); err != nil {
			return nil, err
		}
		if s := r.part.seen; s.Records > 0 || s.Deleted > 0 || s.Unknown() {
			report.Partitions = append(report.Partitions, s)
			report.Records += s.Records
			report.Bytes += s.Bytes
		}
	}
	return report, nil
}

// reading is one partition while it is read.
type reading struct {
	part
	give    func(*kgo.Record, wire.Times) error
	writers *provenance.SourceWriters // nil: no record is the opposite flow's
	seen    time.Time                 // what is read was there before
	given   error                     // what give has answered
}

func (r *reading) read(ctx context.Context) error {
	if r.failed == nil && r.log.From < r.log.To {
		next := r.log.From // behind what was seen last
		r.failed = r.log.Read(ctx, func(page compare.Page) error {
			if page.Start > next { // retention was faster; what it took is counted, whether it held records or not
				r.part.seen.Deleted += min(page.Start, r.log.To) - next
				next = min(page.Start, r.log.To)
			}
			for _, one := range page.Records {
				if err := r.take(ctx, one, page.Times); err != nil {
					return err
				}
				next = one.Offset + 1
			}
			return nil
		})
	}
	switch {
	case r.given != nil:
		return r.given
	case r.failed != nil:
		r.part.seen.Error, r.part.seen.Remedy = r.failed.Error(), chunk.Remedy(r.failed)
	}
	return ctx.Err()
}

// take counts and hands over a record, unless the opposite flow wrote it.
func (r *reading) take(ctx context.Context, one *kgo.Record, times wire.Times) error {
	p := &r.part.seen
	if r.writers != nil {
		out, err := r.writers.LeftOut(ctx, chunk.Written{Partition: chunk.Partition{Topic: p.Topic, Number: p.Partition},
			Offset: one.Offset, Producer: one.ProducerID, Transactional: one.Attrs.IsTransactional(), Seen: r.seen}, r.topics)
		if err != nil {
			return err
		}
		if out {
			p.LeftOut++
			return nil
		}
	}
	one.Topic, one.Partition = p.Topic, p.Partition
	p.Records++
	p.Bytes += replay.Bytes(one)
	p.Last = &Place{one.Offset, one.Timestamp.UnixMilli()}
	if p.First == nil {
		p.First = p.Last
	}
	r.given = r.give(one, times)
	return r.given
}
