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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

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

// TestUnreadableClaims: while the opposite flow's ledger may not be read, what may have come
// from the target is not copied back; check and the stop name the right.
func TestUnreadableClaims(t *testing.T) {
	w := newWorld(t)
	var acls []kfake.ACL
	for _, o := range []kmsg.ACLOperation{
		kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationDescribeConfigs} {
		acls = append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "orders", Operation: o, Allow: true,
			Pattern: kmsg.ACLResourcePatternTypeLiteral})
	}
	guarded, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("guarded"), kfake.EnableSASL(),
		kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "mirror", "secret", acls...))
	w.must("start kfake", err)
	t.Cleanup(guarded.Close)
	admin, err := kgo.NewClient(kgo.SeedBrokers(guarded.ListenAddrs()...),
		kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism()))
	w.must("open client", err)
	t.Cleanup(admin.Close)
	_, err = kadm.NewClient(admin).CreateTopics(w.ctx, 1, 1, nil, "orders", "__replicator.new.old")
	w.must("create topics", err)
	w.must("write", admin.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: []byte("echo")}).FirstErr())

	from := w.kafka("old", guarded.ListenAddrs()[0])
	for key, value := range map[string]string{"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN",
		"sasl.username": "mirror", "sasl.password": "secret"} {
		from.Properties[key] = value
	}
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
	r := &replica{w: w, cancel: cancel, done: make(chan error, 1)}
	r.Engine = New(Options{Clusters: clusters, Flows: []Config{w.cfg}, Registry: prometheus.NewRegistry(),
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
