package preflight_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/preflight"
)

// What the opposite flow of a pair writes to the source is no producer that has to move.
func TestOppositeFlowIsNoProducer(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	p.StartFlows(p.There, p.Back)
	w.Plain(w.Sides.Source, "orders", 0, 1)
	p.SameOnBoth("orders", 1)
	w.Plain(w.Sides.Target, "orders", 0, 5)
	p.SameOnBoth("orders", 6)
	written := w.Source.Read("orders", 0, 0)
	w.Source.ControlKey(int16(kmsg.DescribeProducers), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		response := r.ResponseKind().(*kmsg.DescribeProducersResponse)
		topic := kmsg.NewDescribeProducersResponseTopic()
		topic.Topic = "orders"
		partition := kmsg.NewDescribeProducersResponseTopicPartition()
		for _, id := range []int64{written[len(written)-1].ProducerID, 1 << 40} { // the flow's, and an application's
			one := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
			one.ProducerID, one.LastTimestamp, one.CurrentTxnStartOffset = id, time.Now().UnixMilli(), -1
			partition.ActiveProducers = append(partition.ActiveProducers, one)
		}
		topic.Partitions = append(topic.Partitions, partition)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	if n := producers(w); n != 1 {
		t.Errorf("%d producers, want the application alone", n)
	}
}

// producers counts those of orders on the source that a plan tells of.
func producers(w *flowtest.World) int {
	w.T.Helper()
	m, err := preflight.PlanMigration(w.Ctx, w.Look(), preflight.MigrationOptions{Active: time.Hour})
	w.Must("plan", err)
	for _, topic := range m.Topics {
		if topic.Topic == "orders" && topic.Writers != nil {
			return topic.Writers.Known
		}
	}
	w.T.Fatalf("nothing is known of who writes: %+v", m.NotKnown)
	return 0
}
