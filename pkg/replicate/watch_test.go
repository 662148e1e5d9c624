package replicate

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
)

// scrape is what a replica's state gives for one metric, by the labels behind flow.
func (r *replica) scrape(name string) map[string]float64 {
	r.w.t.Helper()
	families, err := r.registry.Gather()
	r.w.must("gather", err)
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "flow" {
					labels = append(labels, l.GetValue())
				}
			}
			values[strings.Join(labels, "/")] = m.GetGauge().GetValue()
		}
	}
	return values
}

// hideEnds makes the source refuse to tell last stable offsets while tells is false;
// everything else it answers.
func (w *world) hideEnds(tells func() bool) {
	w.source.ControlKey(int16(kmsg.ListOffsets), func(in kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		req := in.(*kmsg.ListOffsetsRequest)
		if req.IsolationLevel != 1 || tells() {
			return nil, nil, false
		}
		out := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range req.Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				one := kmsg.NewListOffsetsResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.KafkaStorageError.Code
				topic.Partitions = append(topic.Partitions, one)
			}
			out.Topics = append(out.Topics, topic)
		}
		return out, nil, true
	})
}

// TestLagIsNotKnown: a source that does not tell where a partition ends does not make
// it look caught up. While it has never told, there is no number of records.
func TestLagIsNotKnown(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.topic("quiet", 1)
	var tells atomic.Bool
	w.hideEnds(tells.Load)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	w.await("the records are copied", func() bool {
		p, _ := r.shown("orders", 0)
		return p.Progress == 10
	})
	stale := func() bool {
		seconds := r.scrape("replicator_lag_seconds")
		return seconds["0/orders"] > staleAfter.Seconds() && seconds["0/quiet"] > staleAfter.Seconds()
	}
	w.await("the lag of what was never told grows", stale)
	if got := r.scrape("replicator_lag_records"); len(got) != 0 {
		t.Errorf("records behind an end that was never told: %v, want none", got)
	}
	tells.Store(true)
	fresh := func() bool {
		seconds, records := r.scrape("replicator_lag_seconds"), r.scrape("replicator_lag_records")
		at, known := records["0/orders"]
		return known && at == 0 && seconds["0/orders"] == 0 && seconds["0/quiet"] == 0 && len(records) == 2
	}
	w.await("the lag is known to be 0", fresh)
	tells.Store(false)
	w.await("the lag grows when the source stops telling", stale)
	if got := r.scrape("replicator_lag_records"); len(got) != 2 {
		t.Errorf("records behind the ends as they were told last: %v, want 2 samples", got)
	}
	tells.Store(true)
	w.await("the lag is known to be 0 again", fresh)
}

// TestLagWhileTheSourceIsAway: as above, with nobody there to answer. The process
// stays ready: taking it out of service would not bring the source back.
func TestLagWhileTheSourceIsAway(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 2)
	w.plain(w.sides.Source, "orders", 0, 10)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.await("the lag is known to be 0", func() bool {
		p, known := r.shown("orders", 0)
		q, both := r.shown("orders", 1)
		return known && both && p.Behind == 0 && q.Behind == 0
	})
	w.source.Close()
	w.await("the lag of both partitions grows", func() bool {
		seconds := r.scrape("replicator_lag_seconds")
		return seconds["0/orders"] > staleAfter.Seconds() && seconds["1/orders"] > staleAfter.Seconds()
	})
	if err := r.Ready(); err != nil {
		t.Errorf("not ready while the source is away: %v", err)
	}
}

// A copy that is a little behind all the time was caught up a little while ago.
func TestLagUnderSteadyLoad(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	l := lag{since: begun}
	for second := range 600 {
		at := begun.Add(time.Duration(second) * time.Second)
		end := offsets.Source(1000 * (second + 3)) // 3000 records behind, which come in 3 s
		l = l.learn(end, offsets.Source(1000*second), at)
		if behind := at.Sub(l.since); behind > 7*time.Second {
			t.Fatalf("after %d s with a lag of 3 s: behind for %s, want at most twice the lag", second, behind)
		}
	}
	at := begun.Add(time.Hour)
	if l = l.learn(700_000, 700_000, at); !l.since.Equal(at) {
		t.Errorf("all is copied, but it was last seen caught up %s ago", at.Sub(l.since))
	}
	for second := range 600 { // nothing is copied any more
		l = l.learn(offsets.Source(800_000+second), 700_000, at.Add(time.Duration(second)*time.Second))
	}
	if !l.since.Equal(at) {
		t.Errorf("a copy that stands still was seen caught up %s later", l.since.Sub(at))
	}
	l = l.learn(5, 0, at)
	if l = l.learn(9, 5, at.Add(time.Minute)); !l.since.Equal(at) {
		t.Errorf("a topic that was created again has %v for its lag", l)
	}
}
