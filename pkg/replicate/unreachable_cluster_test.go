package replicate_test

import (
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
)

// sayQuickly makes an engine say soon that a cluster is away.
func sayQuickly(o *replicate.Options) { o.AskEvery, o.SayAfter = 200*time.Millisecond, 2*time.Second }

// TestStatusOutlivesTheTarget: the target dies under a running daemon. Nothing that was shown goes
// away or looks well: the lag of all partitions grows, the number of records stays as it was
// known last, the group sync ages, no shard is at work, the cluster is named in metrics and
// log, and nothing "works again" meanwhile.
func TestStatusOutlivesTheTarget(t *testing.T) {
	w := flowtest.New(t)
	w.Tune = sayQuickly
	w.Topic("orders", 2)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Commit("billing", "orders", 0, 5)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Stands("billing", "orders", 0, 5)
	w.Await("all is well", func() bool {
		shards := r.Scrape("replicator_shards")
		return shards["owned"] == 4 && shards["working"] == 4 && shards["expected"] == 4 &&
			r.Scrape("replicator_lag_unknown_partitions")[""] == 0 && len(r.Scrape("replicator_lag_records")) == 2 &&
			r.Scrape("replicator_cluster_up")["new"] == 1 && r.Scrape("replicator_cluster_up")["old"] == 1
	})
	if err := r.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	logged := len(w.Log.String())
	w.Target.Close()
	w.Plain(w.Sides.Source, "orders", 0, 7) // and the source goes on
	const grown = 12.0                      // more than the group's session, after which the shards are lost
	w.Await("lag and age of the sync grow", func() bool {
		seconds, age := r.Scrape("replicator_lag_seconds"), r.Scrape("replicator_group_sync_age_seconds")
		return seconds["0/orders"] > grown && seconds["1/orders"] > grown && age[""] > grown
	})
	shards := r.Scrape("replicator_shards")
	if shards["expected"] != 4 || shards["working"] != 0 || shards["owned"] != 0 {
		t.Errorf("shards: %v, want 4 expected, and none at work", shards)
	}
	if up := r.Scrape("replicator_cluster_up"); up["new"] != 0 || up["old"] != 1 || len(up) != 2 {
		t.Errorf("clusters that answer: %v, want old alone", up)
	}
	if records := r.Scrape("replicator_lag_records"); records["0/orders"] != 7 || !flowtest.Known(records, "1/orders") {
		t.Errorf("records behind: %v, want what was known last", records)
	}
	if unknown := r.Scrape("replicator_lag_unknown_partitions")[""]; unknown != 2 {
		t.Errorf("the lag of %v partitions is not known, want 2", unknown)
	}
	if err := r.Ready(); err != nil {
		t.Errorf("not ready any more: %v", err)
	}
	said := w.Log.String()[logged:]
	if strings.Contains(said, "works again") {
		t.Error("the log says that something works again while the target is away")
	}
	away := lineWith(said, "cluster is away")
	if !strings.Contains(away, "cluster=new") || !strings.Contains(away, "remedy=") {
		t.Errorf("the log does not say that the target is away: %q", away)
	}
}

// lineWith is the first line of a text that holds a phrase.
func lineWith(text, phrase string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, phrase) {
			return line
		}
	}
	return ""
}

// TestFlowIsShownBeforeTheTargetAnswers: the target is away when the daemon begins. The flow is there
// for whoever watches, at every try.
func TestFlowIsShownBeforeTheTargetAnswers(t *testing.T) {
	w := flowtest.New(t)
	w.Tune = sayQuickly
	w.Target.Close()
	r := w.Start(nil)
	w.Await("the flow is shown without its target", func() bool {
		shards, up := r.Scrape("replicator_shards"), r.Scrape("replicator_cluster_up")
		return shards["expected"] == 4 && flowtest.Known(shards, "working") && shards["working"] == 0 &&
			flowtest.Known(up, "new") && up["new"] == 0 && r.Scrape("replicator_group_sync_age_seconds")[""] > 3
	})
	if err := r.Ready(); err == nil {
		t.Error("ready, without a target")
	}
}

// TestReadyOnceEachShardHasReadTheLedger: a fresh process is ready once the ledger could be
// read for all of its shards, and stays so.
func TestReadyOnceEachShardHasReadTheLedger(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 8)
	w.Start(nil).Stop() // makes the ledger
	var fails atomic.Bool
	fails.Store(true)
	ledger := w.Cfg.LedgerTopic()
	w.Target.ControlKey(int16(kmsg.ListOffsets), func(in kmsg.Request) (kmsg.Response, error, bool) {
		w.Target.KeepControl()
		req := in.(*kmsg.ListOffsetsRequest)
		if !fails.Load() || req.IsolationLevel != 1 || len(req.Topics) != 1 || req.Topics[0].Topic != ledger {
			return nil, nil, false
		}
		out := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = ledger
		for _, p := range req.Topics[0].Partitions {
			one := kmsg.NewListOffsetsResponseTopicPartition()
			one.Partition, one.Offset = p.Partition, 0
			if p.Partition != 0 {
				one.ErrorCode = kerr.KafkaStorageError.Code
			}
			topic.Partitions = append(topic.Partitions, one)
		}
		out.Topics = append(out.Topics, topic)
		return out, nil, true
	})
	r := w.Start(nil)
	w.Await("readiness names a shard and what is in its way", func() bool {
		shards := r.Scrape("replicator_shards")
		err := r.Ready()
		if err == nil {
			t.Fatalf("ready with %v of %v shards at work", shards["working"], shards["owned"])
		}
		return shards["working"] == 1 && strings.Contains(err.Error(), "has not read its partition of the ledger yet: ") &&
			errors.Is(err, kerr.KafkaStorageError)
	})
	fails.Store(false)
	w.Await("ready", func() bool { return r.Ready() == nil })
	fails.Store(true)
	w.Target.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.Target.KeepControl()
		return nil, errors.New("the connection is cut"), true
	})
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Await("shards are at work no more", func() bool { return r.Scrape("replicator_shards")["working"] < 4 })
	if err := r.Ready(); err != nil {
		t.Errorf("not ready any more: %v", err)
	}
}

// guardSource replaces the source by one with rights, where user mirror may do all of that
// on every topic but for what a test takes away. It answers a client of the one who may.
func guardSource(w *flowtest.World, operations ...kmsg.ACLOperation) *kadm.Client {
	w.T.Helper()
	w.Source = kafkatest.Guarded(w.T, append(kafkatest.Allow(kmsg.ACLResourceTypeTopic, "*", operations...),
		kafkatest.Allow(kmsg.ACLResourceTypeGroup, "*", kmsg.ACLOperationDescribe)...), kfake.ClusterID("old"))
	w.Sides.Source = w.Source.Address()
	before := w.Tune
	w.Tune = func(o *replicate.Options) {
		if before != nil {
			before(o)
		}
		maps.Copy(o.Clusters["old"].Properties, w.Source.Properties())
	}
	return w.Source.Admin()
}

// TestTopicWithoutRightsIsNotTakenForDeleted: the right to read and to describe one source topic is lost. Its
// partitions are stopped with the reason, their series stay and their lag grows; the other
// topic of the same shard goes on.
func TestTopicWithoutRightsIsNotTakenForDeleted(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Shards = 1
	admin := guardSource(w, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs)
	for _, topic := range []string{"orders", "secret"} {
		_, err := admin.CreateTopic(w.Ctx, 2, 1, nil, topic)
		w.Must("create topic", err)
	}
	write := func(topic string, n int) { w.Source.Produce(kafkatest.Records(topic, 0, n)...) }
	write("orders", 5)
	write("secret", 5)
	r := w.Start(nil)
	progress := func(labels string) float64 { return r.Scrape("replicator_progress_offset")[labels] }
	w.Await("both are copied", func() bool {
		return progress("0/orders") == 5 && progress("0/secret") == 5 && len(r.Scrape("replicator_lag_records")) == 4
	})
	logged := len(w.Log.String())
	for _, o := range []kadm.ACLOperation{kadm.OpRead, kadm.OpDescribe, kadm.OpDescribeConfigs} {
		made, err := admin.CreateACLs(w.Ctx, kadm.NewACLs().Topics("secret").ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(o).Deny("User:mirror").DenyHosts("*"))
		w.Must("deny", err)
		for _, one := range made {
			w.Must("deny", one.Err)
		}
	}
	stop := r.Stopped("secret", 0, chunk.StopUnauthorized)
	if !strings.Contains(stop.Remedy(), "secret") {
		t.Errorf("the remedy does not name the topic: %s", stop.Remedy())
	}
	r.Stopped("secret", 1, chunk.StopUnauthorized)
	write("orders", 5)
	w.Await("the other topic goes on", func() bool { return progress("0/orders") == 10 })
	w.Await("the lag of the hidden one grows", func() bool {
		seconds := r.Scrape("replicator_lag_seconds")
		return seconds["0/secret"] > replicate.StaleAfter.Seconds() && seconds["1/secret"] > replicate.StaleAfter.Seconds()
	})
	if got := r.Scrape("replicator_partitions_stopped"); got["unauthorized"] != 2 || got["topic_missing"] != 0 {
		t.Errorf("stopped partitions: %v, want 2 for their rights", got)
	}
	if got := r.Scrape("replicator_lag_records"); len(got) != 4 {
		t.Errorf("records behind: %v, want 4 samples", got)
	}
	if got := r.Scrape("replicator_lag_seconds"); got["0/orders"] > replicate.StaleAfter.Seconds() {
		t.Errorf("the lag of the other topic: %v", got)
	}
	clusters := w.Clusters()
	maps.Copy(clusters["old"].Properties, w.Source.Properties())
	look, err := snapshot.Open(w.Ctx, clusters, w.Cfg, nil)
	w.Must("open a look", err)
	defer look.Close()
	seen, err := inspect.Status(w.Ctx, look)
	w.Must("look", err)
	if seen.Stopped != 2 || seen.EndsUnknown != 2 || seen.CaughtUp || len(seen.Partitions) != 4 {
		t.Errorf("status: %d stopped, %d of unknown length of %d partitions, caught up: %v, want 2, 2 of 4, false",
			seen.Stopped, seen.EndsUnknown, len(seen.Partitions), seen.CaughtUp)
	}
	for _, p := range seen.Partitions {
		if hidden := p.Topic == "secret"; hidden != (p.Phase == partition.PhaseStopped && p.EndsUnknown && p.Remedy != "") {
			t.Errorf("status of %s/%d: %+v", p.Topic, p.Partition, p)
		}
	}
	if said := lineWith(w.Log.String()[logged:], "topic stopped"); !strings.Contains(said, "secret") {
		t.Errorf("the log does not name the topic that is stopped: %q", said)
	}
}

// TestRefusedTopicStopsAlone: a source that lets us describe a topic, tells no rights, and
// refuses to read it. The topic is stopped with the reason, the others of the shard go on.
func TestRefusedTopicStopsAlone(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Cfg.Shards = 1
		w.Tune = func(o *replicate.Options) { o.TroubleFor = 500 * time.Millisecond }
		w.Topic("orders", 1)
		w.Topic("secret", 1)
		w.Plain(w.Sides.Source, "orders", 0, 5)
		w.Plain(w.Sides.Source, "secret", 0, 5)
		id := w.Source.TopicInfo("secret").TopicID
		w.Source.ControlKey(int16(kmsg.Fetch), func(in kmsg.Request) (kmsg.Response, error, bool) {
			w.Source.KeepControl()
			req := in.(*kmsg.FetchRequest)
			out := req.ResponseKind().(*kmsg.FetchResponse)
			refuses := false
			for _, topic := range req.Topics {
				refuses = refuses || topic.Topic == "secret" || topic.TopicID == id
				one := kmsg.NewFetchResponseTopic()
				one.Topic, one.TopicID = topic.Topic, topic.TopicID
				for _, p := range topic.Partitions {
					part := kmsg.NewFetchResponseTopicPartition()
					part.Partition, part.HighWatermark, part.LastStableOffset = p.Partition, p.FetchOffset, p.FetchOffset
					part.RecordBatches = []byte{}
					if topic.Topic == "secret" || topic.TopicID == id {
						part.ErrorCode = kerr.TopicAuthorizationFailed.Code
					}
					one.Partitions = append(one.Partitions, part)
				}
				out.Topics = append(out.Topics, one)
			}
			return out, nil, refuses
		})
		r := w.Start(nil)
		stop := r.Stopped("secret", 0, chunk.StopUnauthorized)
		if !strings.Contains(stop.Reason, "do Read on topic secret") {
			t.Errorf("the reason does not name right and topic: %s", stop.Reason)
		}
		w.Await("the other topic is copied", func() bool { return r.Scrape("replicator_progress_offset")["0/orders"] == 5 })
	})
}
