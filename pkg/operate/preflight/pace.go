package preflight

import (
	"context"
	"fmt"
	"math"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/survey"
	"replicator/pkg/replicate/wait"
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
	// leastSample and leastBytes are what a sample must have lasted, or held, so that a rate can be told from it.
	leastSample, leastBytes = 500 * time.Millisecond, 8 << 20
)

// pacer finds how long copying what is there will take: at the rate that is given, that of a daemon which runs, or that
// of reading a sample; quotas bound each of them.
type pacer struct {
	*migration
	pace MigrationPace
}

// measure finds a rate, and the time that it makes.
func (p *pacer) measure(ctx context.Context) MigrationPace {
	p.pace = MigrationPace{From: paceUnknown}
	replicas, err := p.viewer.CountReplicas(ctx)
	p.unknown("whether a daemon runs", err)
	switch {
	case p.opts.Rate > 0:
		p.rate(paceGiven, "as given by --rate", p.opts.Rate)
	case p.Totals.Records == 0:
		p.pace.Why = "nothing is left to copy"
	case replicas > 0:
		p.watch(ctx, replicas)
	default:
		p.sample(ctx)
	}
	p.bound()
	p.last()
	return p.pace
}

func (p *pacer) rate(from, why string, bytes float64) {
	p.pace.From, p.pace.Why, p.pace.Bytes = from, why, &bytes
}

// watch takes the progress of a daemon again, a few seconds later.
func (p *pacer) watch(ctx context.Context, replicas int) {
	if wait.Pause(ctx, p.opts.Sample) != nil {
		return
	}
	later, err := p.viewer.Take(ctx, func(string) bool { return true }, false)
	if err != nil {
		p.unknown("the rate of the daemon", err)
		return
	}
	took := later.Taken.Sub(p.snap.Taken).Seconds()
	var records, bytes float64
	known := true
	for i := range p.Topics {
		t := &p.Topics[i]
		var span, moved int64
		for n := range t.Partitions {
			at := chunk.Partition{Topic: t.Topic, Number: int32(n)}
			was, is := p.snap.View(at), later.View(at)
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
		p.pace.Why = why + ": see 'replicator status' for what they wait for"
		return
	}
	per := records / took
	p.pace.From, p.pace.Why, p.pace.Records = paceDaemon, why, &per
	if known {
		p.rate(paceDaemon, why, bytes/took)
	}
}

// sample reads what is to be copied, for a few seconds.
func (p *pacer) sample(ctx context.Context) {
	from := map[chunk.Partition]survey.Span{}
	for i := range p.Topics {
		for n := range p.Topics[i].Partitions {
			view := p.snap.View(chunk.Partition{Topic: p.Topics[i].Topic, Number: int32(n)})
			at := view.Next()
			if view.Unknown == nil && at < view.Stable {
				from[view.Source] = survey.Span{From: int64(at), To: int64(view.Stable)}
			}
		}
	}
	if len(from) == 0 {
		p.pace.Why = "nothing of what is left can be read"
		return
	}
	pace, err := survey.Sample(ctx, p.viewer.SourceCluster, from, sampleBytes, p.opts.Sample)
	if err != nil {
		p.unknown("the rate at which the source can be read", err)
		return
	}
	why := fmt.Sprintf("no daemon runs; %d records with %d bytes were read from the source in %.1f s", pace.Records,
		pace.Bytes, pace.Took.Seconds())
	if pace.Took < leastSample && pace.Bytes < leastBytes {
		p.pace.Why = why + ", too little to tell a rate"
		return
	}
	per := float64(pace.Records) / pace.Took.Seconds()
	p.rate(paceRead, why+": the rate of reading, not of copying", float64(pace.Bytes)/pace.Took.Seconds())
	p.pace.Records = &per
}

// bound lowers a rate to what quotas let through.
func (p *pacer) bound() {
	for _, q := range p.Quotas {
		if q.Bound == nil || p.pace.Bytes != nil && *p.pace.Bytes <= *q.Bound {
			continue
		}
		why := fmt.Sprintf("%s on cluster %s lets no more through, if all its brokers lead a part", q.Key, q.Cluster)
		if p.pace.Why != "" {
			why += "; else: " + p.pace.Why
		}
		p.rate(paceQuota, why, *q.Bound)
		p.pace.Records = nil
	}
}

// last tells how long what is left takes.
func (p *pacer) last() {
	seconds := func(f float64) { n := int64(math.Ceil(f)); p.pace.Duration = &n }
	switch {
	case p.Totals.Records == 0:
		seconds(0)
	case p.pace.Bytes != nil && *p.pace.Bytes > 0 && p.Totals.Left != nil:
		seconds(float64(*p.Totals.Left) / *p.pace.Bytes)
	case p.pace.Records != nil && *p.pace.Records > 0:
		seconds(float64(p.Totals.Records) / *p.pace.Records)
	}
}
