package replicate

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/wire"
)

// TestClaims: every batch on the target carries a producer id that the ledger has claimed.
func TestClaims(t *testing.T) { onLanes(t, testClaims) }

func testClaims(t *testing.T, w *world) {
	w.topic("orders", 4)
	w.mixed("orders", 4, 400)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	w.mixed("orders", 4, 100)
	w.start(nil) // a restart keeps the id
	w.equal([]string{"orders"})
	claims, err := ledger.OpenClaims(w.kafka("new", w.sides.Target), w.cfg.LedgerTopic())
	w.must("open claims", err)
	defer claims.Close() //nolint:errcheck // only read
	writers := map[int64]bool{}
	for number := range int32(4) {
		for _, b := range w.stored("orders", number) {
			writers[b.ProducerID()] = true
		}
	}
	if len(writers) == 0 {
		t.Fatal("nothing was found on the target")
	}
	for id := range writers {
		if claimed, err := claims.Claimed(w.ctx, id, time.Now()); err != nil || !claimed {
			t.Errorf("producer %d is claimed: %v, %v", id, claimed, err)
		}
	}
	// An application's own batches are not.
	for number := range int32(4) {
		w.plain(w.sides.Target, "orders", number, 1)
		all := w.stored("orders", number)
		if id := all[len(all)-1].ProducerID(); writers[id] {
			t.Errorf("an application writes as producer %d", id)
		} else if claimed, err := claims.Claimed(w.ctx, id, time.Now()); err != nil || claimed {
			t.Errorf("an application's producer %d is claimed: %v, %v", id, claimed, err)
		}
	}
}

// stored reads the batches of a target partition as they lie there, markers too.
func (w *world) stored(topic string, number int32) (all []wire.Batch) {
	w.t.Helper()
	return w.storedOn(w.target, topic, number)
}

// storedOn reads those of a cluster.
func (w *world) storedOn(cluster *kfake.Cluster, topic string, number int32) (all []wire.Batch) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	w.must("open client", err)
	defer client.Close()
	for at := int64(0); ; {
		request := kmsg.NewPtrFetchRequest()
		request.MaxBytes, request.SessionEpoch = 1<<20, -1
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = topic, cluster.TopicInfo(topic).TopicID
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = number, at, 1<<20
		t.Partitions = append(t.Partitions, p)
		request.Topics = append(request.Topics, t)
		answer, err := client.Broker(int(cluster.LeaderFor(topic, number))).Request(w.ctx, request)
		w.must("fetch", err)
		got := answer.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		w.must("fetch", kerr.ErrorForCode(got.ErrorCode))
		if len(got.RecordBatches) == 0 {
			return all
		}
		for data := got.RecordBatches; len(data) > 0; {
			b, rest, err := wire.Next(data)
			w.must(fmt.Sprintf("%s/%d at %d", topic, number, at), err)
			all, data, at = append(all, b), rest, b.Last()+1
		}
	}
}
