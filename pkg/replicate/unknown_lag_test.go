package replicate_test

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/replicate"
)

// hideEnds makes the source refuse to tell last stable offsets while tells is false;
// everything else it answers.
func hideEnds(w *flowtest.World, tells func() bool) {
	w.Source.ControlKey(int16(kmsg.ListOffsets), func(in kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
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

// TestUnknownLagIsNotZero: a source that does not tell where a partition ends does not make
// it look caught up. While it has never told, there is no number of records.
func TestUnknownLagIsNotZero(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Topic("quiet", 1)
	var tells atomic.Bool
	hideEnds(w, tells.Load)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Await("the records are copied", func() bool {
		p, _ := r.Shown("orders", 0)
		return p.Progress == 10
	})
	stale := func() bool {
		seconds := r.Scrape("replicator_lag_seconds")
		return seconds["0/orders"] > replicate.StaleAfter.Seconds() && seconds["0/quiet"] > replicate.StaleAfter.Seconds()
	}
	w.Await("the lag of what was never told grows", stale)
	if got := r.Scrape("replicator_lag_records"); len(got) != 0 {
		t.Errorf("records behind an end that was never told: %v, want none", got)
	}
	tells.Store(true)
	fresh := func() bool {
		seconds, records := r.Scrape("replicator_lag_seconds"), r.Scrape("replicator_lag_records")
		at, known := records["0/orders"]
		return known && at == 0 && seconds["0/orders"] == 0 && seconds["0/quiet"] == 0 && len(records) == 2
	}
	w.Await("the lag is known to be 0", fresh)
	tells.Store(false)
	w.Await("the lag grows when the source stops telling", stale)
	if got := r.Scrape("replicator_lag_records"); len(got) != 2 {
		t.Errorf("records behind the ends as they were told last: %v, want 2 samples", got)
	}
	tells.Store(true)
	w.Await("the lag is known to be 0 again", fresh)
}

// TestLagIsUnknownWhileTheSourceIsAway: as above, with nobody there to answer. The process
// stays ready: taking it out of service would not bring the source back.
func TestLagIsUnknownWhileTheSourceIsAway(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Await("the lag is known to be 0", func() bool {
		p, known := r.Shown("orders", 0)
		q, both := r.Shown("orders", 1)
		return known && both && p.Behind == 0 && q.Behind == 0
	})
	w.Source.Close()
	w.Await("the lag of both partitions grows", func() bool {
		seconds := r.Scrape("replicator_lag_seconds")
		return seconds["0/orders"] > replicate.StaleAfter.Seconds() && seconds["1/orders"] > replicate.StaleAfter.Seconds()
	})
	if err := r.Ready(); err != nil {
		t.Errorf("not ready while the source is away: %v", err)
	}
}
