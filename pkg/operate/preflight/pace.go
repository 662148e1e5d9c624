package preflight

import (
	"context"
	"fmt"
	"math"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/survey"
)

// Where a pace is from.
const (
	paceGiven   = "given"
	paceDaemon  = "daemon"
	paceRead    = "read"
	paceQuota   = "quota"
	paceUnknown = "unknown"
)

const (
	// sampleBytes bounds what is read for a rate.
	sampleBytes = 64 << 20
	// least is what a sample must have lasted, or held, so that a rate can be told from it.
	leastSample, leastBytes = 500 * time.Millisecond, 8 << 20
)

// measure finds a rate, and the time that it makes.
func (m *migration) measure(ctx context.Context) {
	m.Pace = MigrationPace{From: paceUnknown}
	replicas, err := m.viewer.CountReplicas(ctx)
	m.unknown("whether a daemon runs", err)
	switch {
	case m.opts.Rate > 0:
		m.rate(paceGiven, "as given by --rate", m.opts.Rate)
	case m.Totals.Records == 0:
		m.Pace.Why = "nothing is left to copy"
	case replicas > 0:
		m.watch(ctx, replicas)
	default:
		m.sample(ctx)
	}
	m.bound()
	m.last()
}

func (m *migration) rate(from, why string, bytes float64) {
	m.Pace.From, m.Pace.Why, m.Pace.Bytes = from, why, &bytes
}

// watch looks at the progress of a daemon again, a few seconds later.
func (m *migration) watch(ctx context.Context, replicas int) {
	timer := time.NewTimer(m.opts.Sample)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	later, err := m.viewer.Take(ctx, func(string) bool { return true }, false)
	if err != nil {
		m.unknown("the rate of the daemon", err)
		return
	}
	took := later.Taken.Sub(m.snap.Taken).Seconds()
	var records, bytes float64
	known := true
	for i := range m.Topics {
		t := &m.Topics[i]
		var span, moved int64
		for n := range t.Partitions {
			p := chunk.Partition{Topic: t.Topic, Number: int32(n)}
			was, is := m.snap.View(p), later.View(p)
			span += int64(was.High - was.Earliest)
			if was.Started() && is.Started() {
				moved += max(int64(is.State.Progress-was.State.Progress), 0)
			}
		}
		records += float64(moved)
		if t.Size == nil {
			known = false
		} else if span > 0 {
			bytes += float64(moved) * float64(*t.Size) / float64(span)
		}
	}
	why := fmt.Sprintf("%d replicas moved %.0f records in %.1f s", replicas, records, took)
	if records == 0 {
		m.Pace.Why = why + ": see 'replicator status' for what they wait for"
		return
	}
	per := records / took
	m.Pace.From, m.Pace.Why, m.Pace.Records = paceDaemon, why, &per
	if known {
		m.rate(paceDaemon, why, bytes/took)
	}
}

// sample reads what is to be copied, for a few seconds.
func (m *migration) sample(ctx context.Context) {
	from := map[chunk.Partition]survey.Span{}
	for i := range m.Topics {
		for n := range m.Topics[i].Partitions {
			s := m.snap.View(chunk.Partition{Topic: m.Topics[i].Topic, Number: int32(n)})
			at := s.Next()
			if s.Unknown == nil && at < s.Stable {
				from[s.Source] = survey.Span{From: int64(at), To: int64(s.Stable)}
			}
		}
	}
	if len(from) == 0 {
		m.Pace.Why = "nothing of what is left can be read"
		return
	}
	pace, err := survey.Sample(ctx, m.viewer.SourceCluster, from, sampleBytes, m.opts.Sample)
	if err != nil {
		m.unknown("the rate at which the source can be read", err)
		return
	}
	why := fmt.Sprintf("no daemon runs; %d records with %d bytes were read from the source in %.1f s", pace.Records,
		pace.Bytes, pace.Took.Seconds())
	if pace.Took < leastSample && pace.Bytes < leastBytes {
		m.Pace.Why = why + ", too little to tell a rate"
		return
	}
	per := float64(pace.Records) / pace.Took.Seconds()
	m.rate(paceRead, why+": the rate of reading, not of copying", float64(pace.Bytes)/pace.Took.Seconds())
	m.Pace.Records = &per
}

// bound lowers a rate to what quotas let through.
func (m *migration) bound() {
	for _, q := range m.Quotas {
		if q.Bound == nil || m.Pace.Bytes != nil && *m.Pace.Bytes <= *q.Bound {
			continue
		}
		why := fmt.Sprintf("%s on cluster %s lets no more through, if all its brokers lead a part", q.Key, q.Cluster)
		if m.Pace.Why != "" {
			why += "; else: " + m.Pace.Why
		}
		m.rate(paceQuota, why, *q.Bound)
		m.Pace.Records = nil
	}
}

// last tells how long what is left takes.
func (m *migration) last() {
	seconds := func(f float64) { n := int64(math.Ceil(f)); m.Pace.Duration = &n }
	switch {
	case m.Totals.Records == 0:
		seconds(0)
	case m.Pace.Bytes != nil && *m.Pace.Bytes > 0 && m.Totals.Left != nil:
		seconds(float64(*m.Totals.Left) / *m.Pace.Bytes)
	case m.Pace.Records != nil && *m.Pace.Records > 0:
		seconds(float64(m.Totals.Records) / *m.Pace.Records)
	}
}
