package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/partition"
)

// measure finds what a failover now would lose.
func (d *drill) measure(ctx context.Context) error {
	rest, open := map[chunk.Partition]int64{}, map[chunk.Partition]int64{}
	for i := range d.parts {
		p := &d.parts[i]
		at := chunk.Partition{Topic: p.Topic, Number: p.Partition}
		if p.Behind > 0 {
			rest[at] = max(int64(d.views[at].Next()), int64(p.SourceStart))
		}
		if p.SourceOpen > 0 {
			open[at] = int64(p.SourceEnd)
		}
	}
	waiting, err := firstRecords(ctx, d.viewer.SourceCluster, rest, true)
	var held map[chunk.Partition]*kgo.Record
	if err == nil {
		held, err = firstRecords(ctx, d.viewer.SourceCluster, open, false)
	}
	topics := map[string]*TopicRPO{}
	for i := range d.parts {
		p := &d.parts[i]
		at := chunk.Partition{Topic: p.Topic, Number: p.Partition}
		sum := topics[p.Topic]
		if sum == nil {
			sum = &TopicRPO{Topic: p.Topic}
			topics[p.Topic] = sum
		}
		oldest := waiting[at]
		if oldest != nil && oldest.Offset >= int64(p.SourceEnd) || err == nil && oldest == nil {
			oldest, p.Behind = nil, 0 // nothing but markers and aborted records was left
		}
		age := max(d.age(oldest), d.age(held[at]))
		sum.Records, sum.Open = sum.Records+p.Behind, sum.Open+p.SourceOpen
		sum.Seconds = max(sum.Seconds, age.Seconds())
		if p.EndsUnknown {
			sum.Unknown++
		}
		d.judgePartition(p, d.age(oldest), d.age(held[at]))
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		one := *topics[name]
		rpo := &d.report.RPO
		rpo.Topics = append(rpo.Topics, one)
		rpo.Records, rpo.Open = rpo.Records+one.Records, rpo.Open+one.Open
		rpo.Seconds = max(rpo.Seconds, one.Seconds)
	}
	return err
}

// age is how old a record was at the moment that the report is about.
func (d *drill) age(r *kgo.Record) time.Duration {
	if r == nil {
		return 0
	}
	return max(d.report.Taken.Sub(r.Timestamp), 0)
}

// firstRecords are the first visible records of partitions from those offsets on; with committed, only committed ones.
func firstRecords(ctx context.Context, cluster kafka.Config, from map[chunk.Partition]int64, committed bool) (
	map[chunk.Partition]*kgo.Record, error) {
	if len(from) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	names := map[string]bool{}
	for at := range from {
		names[at.Topic] = true
	}
	reader, err := glance.Open(cluster)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	found := map[chunk.Partition]*kgo.Record{}
	_, err = glance.ReadAll(ctx, reader, slices.Sorted(maps.Keys(names)), func(l *glance.Log) {
		at := chunk.Partition{Topic: l.Topic, Number: l.Number}
		offset, asked := from[at]
		if !asked {
			return
		}
		l.At, l.Committed = max(l.At, offset), committed
		l.Take = func(r *kgo.Record) error {
			found[at] = r
			return glance.ErrEnough
		}
	})
	return found, cluster.Explain(err)
}

// judgePartition says whether a failover now would lose more of a partition than what is in flight.
func (d *drill) judgePartition(p *inspect.PartitionStatus, oldest, open time.Duration) {
	because := func(remedy, format string, args ...any) {
		d.because(Reason{Topic: p.Topic, Partition: &p.Partition, Why: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	lost := fmt.Sprintf("up to %d records would be lost", p.Behind+p.SourceOpen)
	switch {
	case p.EndsUnknown:
		because(p.Remedy, "%s: what would be lost is not known", p.Reason)
	case !p.Phase.Free() && p.Reason != "":
		because(p.Remedy, "it is %s (%s): %s", p.Phase, p.Reason, lost)
	case !p.Phase.Free():
		because("let the flow run until it is copied", "it is %s: %s", word(p.Phase), lost)
	case p.Behind > 0 && p.Phase == partition.PhaseIdle:
		because("start a replica with 'replicator run'", "no replica copies it: %s, the oldest is %s old", lost,
			short(oldest))
	case oldest > d.o.InFlight:
		because("see 'replicator status' for how fast the flow copies; --in-flight says what may be in flight",
			"%s, the oldest is %s old, more than the %s that count as in flight", lost, short(oldest), short(d.o.InFlight))
	case open > d.o.InFlight:
		because("see 'replicator plan' for whose transaction it is: it has to end before its records can be copied",
			"a transaction that is open since %s holds back up to %d records", short(open), p.SourceOpen)
	}
}

func word(p partition.Phase) string {
	if p == partition.PhaseNotStarted {
		return "not started"
	}
	return string(p)
}

func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// lastRecords is how many of each partition are compared, one after the other.
const lastRecords = 5

// compare looks the last records up on both sides.
func (d *drill) compare(ctx context.Context) error {
	compacts, err := inspect.CompactedTopics(ctx, d.viewer, d.snap)
	if err != nil {
		return err
	}
	comparer, err := lastcopied.Open(d.viewer.SourceCluster, d.viewer.TargetCluster)
	if err != nil {
		return err
	}
	defer comparer.Close()
	before := map[chunk.Partition]lastcopied.Record{}
	for round := range lastRecords {
		var records []lastcopied.Record
		for at, view := range d.views {
			last, known := before[at]
			if !view.TargetSame || view.Cut != nil || round > 0 && !known {
				continue
			}
			below := view.State.Progress
			if known {
				below = last.From
			}
			from, to, mapped, err := view.State.Map.Before(below, d.viewer.Segments(ctx, view))
			if err != nil {
				return err
			}
			delete(before, at)
			if mapped && from >= view.Earliest {
				before[at] = lastcopied.Record{Source: at, Target: view.Target, From: from, To: to,
					SourceID: d.snap.Source.Topics[at.Topic].ID, TargetID: view.State.TargetTopic}
				records = append(records, before[at])
			}
		}
		if len(records) == 0 {
			return nil
		}
		found, err := comparer.Compare(ctx, records)
		if err != nil {
			return err
		}
		for _, r := range records {
			d.judgeRecord(&r, found[r.Source], compacts.Source[r.Source.Topic])
		}
	}
	return nil
}

func (d *drill) judgeRecord(r *lastcopied.Record, found lastcopied.Comparison, compacts bool) {
	switch {
	case found == lastcopied.Alike:
		d.report.Compared.Alike++
	case found == lastcopied.Unknown, found == lastcopied.Gone && compacts:
		d.report.Compared.Unknown++
	default:
		d.report.Compared.Differs++
		what := "is another one on the source"
		if found == lastcopied.Gone {
			what = "is not on the source"
		}
		d.because(Reason{Topic: r.Source.Topic, Partition: &r.Source.Number,
			Why:    fmt.Sprintf("the record that was copied from offset %d to %d %s", r.From, r.To, what),
			Remedy: "'replicator verify' shows all that differs"})
	}
}
