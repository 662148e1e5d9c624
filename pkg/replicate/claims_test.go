package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wire"
)

// TestEveryBatchCarriesAClaimedProducer: every batch on the target carries a producer id that the ledger has claimed.
func TestEveryBatchCarriesAClaimedProducer(t *testing.T) {
	flowtest.OnLanes(t, testEveryBatchCarriesAClaimedProducer)
}

func testEveryBatchCarriesAClaimedProducer(t *testing.T, w *flowtest.World) {
	w.Topic("orders", 4)
	w.Mixed("orders", 4, 400)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	w.Mixed("orders", 4, 100)
	w.Start(nil) // a restart keeps the id
	w.Equal([]string{"orders"})
	claims, err := ledger.OpenClaims(w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic())
	w.Must("open claims", err)
	defer claims.Close()
	writers := map[int64]bool{}
	for number := range int32(4) {
		for _, b := range stored(w, "orders", number) {
			writers[b.ProducerID()] = true
		}
	}
	if len(writers) == 0 {
		t.Fatal("nothing was found on the target")
	}
	for id := range writers {
		if claimed, err := claims.Claimed(w.Ctx, id, time.Now()); err != nil || !claimed {
			t.Errorf("producer %d is claimed: %v, %v", id, claimed, err)
		}
	}
	// An application's own batches are not.
	for number := range int32(4) {
		w.Plain(w.Sides.Target, "orders", number, 1)
		all := stored(w, "orders", number)
		if id := all[len(all)-1].ProducerID(); writers[id] {
			t.Errorf("an application writes as producer %d", id)
		} else if claimed, err := claims.Claimed(w.Ctx, id, time.Now()); err != nil || claimed {
			t.Errorf("an application's producer %d is claimed: %v, %v", id, claimed, err)
		}
	}
}

// stored reads the batches of a target partition as they lie there, markers too.
func stored(w *flowtest.World, topic string, number int32) (all []wire.Batch) {
	w.T.Helper()
	return storedOn(w, w.Target, topic, number)
}

// storedOn reads those of a cluster.
func storedOn(w *flowtest.World, cluster *kafkatest.Cluster, topic string, number int32) (all []wire.Batch) {
	w.T.Helper()
	for data := cluster.Stored(topic, number); len(data) > 0; {
		b, rest, err := wire.Next(data)
		w.Must(fmt.Sprintf("%s/%d, batch %d", topic, number, len(all)), err)
		all, data = append(all, b), rest
	}
	return all
}

// TestUnreadableClaims: while the opposite flow's ledger may not be read, what may have come
// from the target is not copied back; check and the stop name the right.
func TestUnreadableClaims(t *testing.T) {
	w := flowtest.New(t)
	guarded := kafkatest.Guarded(t, kafkatest.Allow(kmsg.ACLResourceTypeTopic, "orders",
		kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationDescribeConfigs), kfake.ClusterID("guarded"))
	guarded.Topic("orders", 1)
	guarded.Topic("__replicator.new.old", 1)
	guarded.Produce(kafkatest.Records("orders", 0, 1)...)
	from := kafka.Config{Name: "old", Properties: guarded.Properties()}
	clusters := map[string]kafka.Config{"old": from, "new": w.Kafka("new", w.Sides.Target)}
	w.Cfg.Flows = []policy.Flow{w.Cfg.Flow, {From: "new", To: "old", Naming: policy.Prefix, Separator: "."}}
	look, err := snapshot.Open(w.Ctx, clusters, w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	const missing = "on topic __replicator.new.old"
	if said := errors.Join(plan.InTheWay()...); said == nil || !strings.Contains(said.Error(), missing) {
		t.Errorf("check says %v", said)
	}
	ctx, cancel := context.WithCancel(w.Ctx)
	r := &flowtest.Replica{W: w, Registry: prometheus.NewRegistry(), Cancel: cancel, Done: make(chan error, 1)}
	r.Engine = replicate.New(replicate.Options{Clusters: clusters, Flows: []settings.Config{w.Cfg}, Registry: r.Registry,
		Log: slog.New(slog.NewTextHandler(&w.Log, nil))})
	go func() { r.Done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-r.Done })
	stop := r.Stopped("orders", 0, chunk.StopUnauthorized)
	if !strings.Contains(stop.Error(), missing) || !strings.Contains(stop.Remedy(), "grant User:mirror") {
		t.Errorf("it stops with %v; %s", stop, stop.Remedy())
	}
	ends, err := w.To.ListEndOffsets(w.Ctx, "orders")
	w.Must("list", err)
	if end, _ := ends.Lookup("orders", 0); end.Offset != 0 {
		t.Errorf("%d offsets were written to the target", end.Offset)
	}
}
