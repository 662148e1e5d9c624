package replicate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// risk is what would be lost of a topic if the source were lost now, as far as the partitions of this process tell.
type risk struct {
	rpo     time.Duration // age of the oldest record that is not copied; 0: there is none
	records int64         // offsets beyond progress, those behind open transactions among them
	unknown bool          // of some partition it is not known what it holds: nor then are these two
	noAge   bool          // of some partition it is not known how old that is

	copied, bytes int64         // so many records were copied, of so many bytes
	seen          time.Duration // since when the source has not told where some partition ends
	held          int           // partitions with an open transaction
	heldFor       time.Duration // the longest of them
}

// risksOf tells of each topic; a partition that the source never told of counts from when the flow began.
func risksOf(state *FlowState, now time.Time) map[string]*risk {
	topics := map[string]*risk{}
	for i := range state.Partitions {
		p := &state.Partitions[i]
		r := topics[p.Partition.Topic]
		if r == nil {
			r = &risk{}
			topics[p.Partition.Topic] = r
		}
		r.add(p, state.Began, now)
	}
	return topics
}

func (r *risk) add(p *PartitionState, began, now time.Time) {
	seen := p.Reported
	if seen.IsZero() {
		seen = began
	}
	r.seen = max(r.seen, now.Sub(seen))
	r.copied, r.bytes = r.copied+p.Records, r.bytes+p.Bytes
	if !p.Held.IsZero() {
		r.held++
		r.heldFor = max(r.heldFor, now.Sub(p.Held))
	}
	if p.Behind < 0 {
		r.unknown = true
		return
	}
	beyond := max(int64(p.Last.High-p.Progress), 0)
	r.records += beyond
	switch {
	case beyond == 0 && p.Fresh(now):
	case p.Last.Since.IsZero():
		r.noAge = true
	default:
		r.rpo = max(r.rpo, now.Sub(p.Last.Since))
	}
}

// collectRisks sends what is known of each topic; what is not known is left out.
func (c *collector) collectRisks(out gauges, flow string, state *FlowState, now time.Time) {
	for topic, r := range risksOf(state, now) {
		put := func(d *prometheus.Desc, value float64) { out.put(d, value, flow, topic) }
		put(c.sourceSeen, r.seen.Seconds())
		put(c.openPartitions, float64(r.held))
		put(c.openSeconds, r.heldFor.Seconds())
		if r.unknown {
			continue
		}
		put(c.riskRecords, float64(r.records))
		if r.records == 0 {
			put(c.riskBytes, 0)
		} else if r.copied > 0 {
			put(c.riskBytes, float64(r.records)*float64(r.bytes)/float64(r.copied))
		}
		if !r.noAge {
			put(c.rpo, r.rpo.Seconds())
		}
	}
}
