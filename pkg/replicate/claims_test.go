package replicate

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

	"replicator/internal/kafkatest"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
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
	defer claims.Close()
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
func (w *world) storedOn(cluster *kafkatest.Cluster, topic string, number int32) (all []wire.Batch) {
	w.t.Helper()
	for data := cluster.Stored(topic, number); len(data) > 0; {
		b, rest, err := wire.Next(data)
		w.must(fmt.Sprintf("%s/%d, batch %d", topic, number, len(all)), err)
		all, data = append(all, b), rest
	}
	return all
}

// TestUnreadableClaims: while the opposite flow's ledger may not be read, what may have come
// from the target is not copied back; check and the stop name the right.
func TestUnreadableClaims(t *testing.T) {
	w := newWorld(t)
	guarded := kafkatest.Guarded(t, kafkatest.Allow(kmsg.ACLResourceTypeTopic, "orders",
		kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationDescribeConfigs), kfake.ClusterID("guarded"))
	guarded.Topic("orders", 1)
	guarded.Topic("__replicator.new.old", 1)
	guarded.Produce(kafkatest.Records("orders", 0, 1)...)
	from := kafka.Config{Name: "old", Properties: guarded.Properties()}
	clusters := map[string]kafka.Config{"old": from, "new": w.kafka("new", w.sides.Target)}
	w.cfg.Flows = []policy.Flow{w.cfg.Flow(), {From: "new", To: "old", Naming: policy.Prefix, Separator: "."}}
	look, err := Inspect(w.ctx, clusters, w.cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	const missing = "on topic __replicator.new.old"
	if said := errors.Join(plan.InTheWay()...); said == nil || !strings.Contains(said.Error(), missing) {
		t.Errorf("check says %v", said)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	r := &replica{w: w, registry: prometheus.NewRegistry(), cancel: cancel, done: make(chan error, 1)}
	r.Engine = New(Options{Clusters: clusters, Flows: []Config{w.cfg}, Registry: r.registry,
		Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-r.done })
	stop := r.stopped("orders", 0, chunk.StopUnauthorized)
	if !strings.Contains(stop.Error(), missing) || !strings.Contains(stop.Remedy(), "grant User:mirror") {
		t.Errorf("it stops with %v; %s", stop, stop.Remedy())
	}
	ends, err := w.to.ListEndOffsets(w.ctx, "orders")
	w.must("list", err)
	if end, _ := ends.Lookup("orders", 0); end.Offset != 0 {
		t.Errorf("%d offsets were written to the target", end.Offset)
	}
}
