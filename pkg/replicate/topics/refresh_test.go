package topics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// world is two fake clusters with a Topics between them.
type world struct {
	t              *testing.T
	ctx            context.Context
	source, target *kafkatest.Cluster
	cfg            Config
	log            bytes.Buffer
}

func newWorld(t *testing.T, targetOpts ...kfake.Opt) *world {
	t.Helper()
	return newWorldTo(t, kafkatest.Start(t, targetOpts...))
}

func newWorldTo(t *testing.T, target *kafkatest.Cluster) *world {
	t.Helper()
	w := &world{t: t, source: kafkatest.Start(t), target: target}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p, err := policy.New(policy.Config{Topics: []string{".*"},
		Flow: policy.Flow{From: "old", To: "new", Naming: policy.Identity}})
	if err != nil {
		t.Fatal(err)
	}
	w.cfg = Config{Flow: "old->new", Policy: p, SyncConfigs: true,
		ExcludeConfigs: []string{`min\.insync\.replicas`},
		Source:         kafka.Config{Name: "old", Properties: w.source.Properties()},
		Target:         kafka.Config{Name: "new", Properties: w.target.Properties()},
		Log:            slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

func (w *world) open() *Topics {
	w.t.Helper()
	ts, err := Open(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(ts.Close)
	return ts
}

// refresh answers the topics by their source name.
func (w *world) refresh(ts *Topics, mine func(string) bool) map[string]Mirrored {
	w.t.Helper()
	all, err := ts.Refresh(w.ctx, mine)
	if err != nil {
		w.t.Fatalf("refresh: %v (%s)", err, chunk.Remedy(err))
	}
	m := make(map[string]Mirrored)
	for _, each := range all {
		m[each.Source] = each
	}
	return m
}

func all(string) bool  { return true }
func none(string) bool { return false }

// explicit is what is set on a topic itself, as "key=value ...".
func explicit(c *kafkatest.Cluster, topic string) string {
	info := c.TopicInfo(topic)
	if info == nil {
		return "no such topic"
	}
	var list []string
	for _, key := range sortedKeys(info.Configs) {
		if v := info.Configs[key]; v != nil {
			list = append(list, key+"="+*v)
		}
	}
	return strings.Join(list, " ")
}

const timestamps = "message.timestamp.after.max.ms=9223372036854775807 " +
	"message.timestamp.before.max.ms=9223372036854775807 message.timestamp.type=CreateTime"

func (w *world) check(what string, got, want any) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestTopicsAreCreatedGrownAndAltered(t *testing.T) {
	w := newWorld(t)
	ts := w.open()
	w.source.Topic("orders", 3, "cleanup.policy=compact", "min.insync.replicas=2",
		"message.timestamp.type=LogAppendTime", "segment.ms=7000")

	waiting := w.refresh(ts, none)["orders"]
	if waiting.Stop != nil || waiting.TargetID != (chunk.TopicID{}) || w.target.TopicInfo("orders") != nil {
		t.Fatalf("not mine: got %+v and %s, want to wait", waiting, explicit(w.target, "orders"))
	}
	m := w.refresh(ts, all)["orders"]
	want := Mirrored{Source: "orders", Target: "orders", SourceID: w.source.TopicInfo("orders").TopicID,
		TargetID: w.target.TopicInfo("orders").TopicID, Partitions: 3, TargetPartitions: 3,
		TargetMaxBytes: leastMaxMessageBytes}
	w.check("created", m, want)
	w.check("settings", explicit(w.target, "orders"), "cleanup.policy=compact "+timestamps+" segment.ms=7000")

	w.alter(w.target, "orders", "flush.ms", "5") // an operator's
	w.alter(w.source, "orders", "retention.ms", "123456")
	w.alter(w.source, "orders", "segment.ms", "8000")
	w.grow(w.source, "orders", 5)
	w.source.Topic("later", 1)
	m = w.refresh(ts, all)["orders"]
	want.Partitions, want.TargetPartitions = 5, 5
	w.check("grown", m, want)
	w.check("altered", explicit(w.target, "orders"),
		"cleanup.policy=compact flush.ms=5 "+timestamps+" retention.ms=123456 segment.ms=8000")
	w.check("later", explicit(w.target, "later"), timestamps)

	if err := w.source.DeleteTopic("later"); err != nil {
		t.Fatal(err)
	}
	if err := w.source.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	w.source.Topic("orders", 5)
	again := w.refresh(ts, all)
	if _, there := again["later"]; there || w.target.TopicInfo("later") == nil {
		t.Errorf("deleted on the source: got %+v, want it left out and kept on the target", again["later"])
	}
	if again["orders"].SourceID == want.SourceID || again["orders"].TargetID != want.TargetID {
		t.Errorf("created again: ids %v, want another source id than in %v", again["orders"], want)
	}
}

func TestTargetWithMorePartitionsStopsAlone(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("a", 2)
	w.source.Topic("b", 2)
	w.target.Topic("a", 4)
	m := w.refresh(w.open(), all)
	s := m["a"].Stop
	if s == nil || s.Kind != chunk.StopPartitions || s.Remedy() == "" || m["a"].TargetPartitions != 4 {
		t.Errorf("a: got %+v, want a stop for its partitions", m["a"])
	}
	if m["b"].Stop != nil || m["b"].TargetPartitions != 2 {
		t.Errorf("b: got %+v, want it created", m["b"])
	}
	w.check("a is left as it was", explicit(w.target, "a"), "")
}

// Another replica must not write before the topic's owner has set what changes records.
func TestOthersWaitForTheTimestampType(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("a", 1, "retention.ms=7")
	w.target.Topic("a", 1, "message.timestamp.type=LogAppendTime", "message.timestamp.after.max.ms=3600000")
	other, owner := w.open(), w.open()
	if a := w.refresh(other, none)["a"]; a.Waits == "" || a.Stop != nil {
		t.Errorf("before: got %+v, want to wait for the owner", a)
	}
	other.patience = 0
	if a := w.refresh(other, none)["a"]; a.Waits != "" || a.Stop == nil || a.Stop.Kind != chunk.StopTopic {
		t.Errorf("before, for too long: got %+v, want a stop", a)
	}
	if a := w.refresh(owner, all)["a"]; !strings.Contains(a.Waits, "has just been altered") || a.Stop != nil {
		t.Errorf("owner: got %+v, want to wait until the brokers have taken it up", a)
	}
	if a := w.refresh(owner, all)["a"]; a.Waits != "" || a.Stop != nil {
		t.Errorf("owner, later: got %+v, want it to be copied", a)
	}
	w.check("altered", explicit(w.target, "a"), "message.timestamp.after.max.ms=9223372036854775807 "+
		"message.timestamp.type=CreateTime retention.ms=7")
	if s := w.refresh(other, none)["a"].Stop; s != nil {
		t.Errorf("after: stopped: %v", s)
	}
	w.alter(w.source, "a", "retention.ms", "8")
	if s := w.refresh(other, none)["a"].Stop; s != nil {
		t.Errorf("another retention keeps nobody from copying: stopped: %v", s)
	}
}

func TestSettingsAreNotAlteredUnlessSynced(t *testing.T) {
	w := newWorld(t)
	w.cfg.SyncConfigs = false
	w.source.Topic("fresh", 1, "retention.ms=7")
	w.source.Topic("kept", 1, "retention.ms=7")
	w.target.Topic("kept", 1, "message.timestamp.after.max.ms=1")
	w.source.Topic("wrong", 1)
	w.target.Topic("wrong", 1, "message.timestamp.type=LogAppendTime")
	ts := w.open()
	m := w.refresh(ts, all)
	w.refresh(ts, all)
	w.check("fresh", explicit(w.target, "fresh"), timestamps+" retention.ms=7")
	w.check("kept", explicit(w.target, "kept"), "message.timestamp.after.max.ms=1")
	w.check("wrong", explicit(w.target, "wrong"), "message.timestamp.type=LogAppendTime")
	if m["kept"].Stop != nil || m["fresh"].Stop != nil {
		t.Errorf("stopped: %v, %v", m["kept"].Stop, m["fresh"].Stop)
	}
	if s := m["wrong"].Stop; s == nil || s.Kind != chunk.StopTopic {
		t.Errorf("wrong: stop %v, want one for the timestamps", s)
	}
	if n := strings.Count(w.log.String(), "refuses records by their timestamp"); n != 1 {
		t.Errorf("%d warnings about kept, want 1:\n%s", n, w.log.String())
	}
}

// A target that does not know a setting refuses the creation for it.
func TestUnknownSettingsDoNotStopTheCreation(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("a", 1, "cleanup.policy=compact", "vendor.key=1", "retention.ms=7")
	knows := map[string]bool{"cleanup.policy": true, "message.timestamp.type": true, "retention.ms": true}
	w.target.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.target.KeepControl()
		for _, topic := range req.(*kmsg.CreateTopicsRequest).Topics {
			for _, c := range topic.Configs {
				if !knows[c.Name] {
					resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
					resp.Topics = append(resp.Topics, kmsg.CreateTopicsResponseTopic{Topic: topic.Topic,
						ErrorCode:    kerr.InvalidConfig.Code,
						ErrorMessage: kmsg.StringPtr("Unknown topic config name: " + c.Name)})
					return resp, nil, true
				}
			}
		}
		return nil, nil, false
	})
	ts := w.open()
	rehearsed, err := ts.Plan(w.ctx)
	if err != nil || rehearsed.Topics[0].Stop != nil ||
		!strings.Contains(fmt.Sprint(rehearsed.Topics[0].Left), "Unknown") {
		t.Errorf("plan: got %+v, error %v; want a note about the unknown setting", rehearsed.Topics, err)
	}
	if m := w.refresh(ts, all)["a"]; m.Stop != nil || m.TargetPartitions != 1 {
		t.Errorf("got %+v, stop %v; want it created", m, m.Stop)
	}
	w.check("settings", explicit(w.target, "a"),
		"cleanup.policy=compact message.timestamp.type=CreateTime retention.ms=7")
}

func TestPlanChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("a", 2, "retention.ms=7")
	w.source.Topic("b", 4, "retention.ms=7")
	w.source.Topic("__hidden", 1)
	w.target.Topic("b", 2, "retention.ms=5", "message.timestamp.type=CreateTime")
	p, err := w.open().Plan(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Topics) != 2 || len(p.Skipped) != 1 || p.Skipped[0].Topic != "__hidden" || p.Skipped[0].Why == "" {
		t.Fatalf("got %+v", p)
	}
	a, b := p.Topics[0], p.Topics[1]
	if !a.Create || a.PartitionsTo != 2 || a.ReplicationFactor != 1 || a.Set["retention.ms"] != "7" || a.Stop != nil {
		t.Errorf("a: got %+v, want it to be created", a)
	}
	if b.Create || b.PartitionsFrom != 2 || b.PartitionsTo != 4 || b.Set["retention.ms"] != "7" ||
		b.From["retention.ms"] != "5" || len(b.Set) != 1 || b.Stop != nil {
		t.Errorf("b: got %+v, want it to be grown and altered", b)
	}
	if w.target.TopicInfo("a") != nil || len(w.target.PartitionInfos("b")) != 2 {
		t.Errorf("the plan was carried out")
	}
	w.check("b", explicit(w.target, "b"), "message.timestamp.type=CreateTime retention.ms=5")
}

// A refresh without news costs a few requests, whatever the number of topics.
func TestQuietRefreshIsCheap(t *testing.T) {
	w := newWorld(t)
	for i := 0; i < 250; i++ {
		w.source.Topic(fmt.Sprintf("t%03d", i), 1)
	}
	ts := w.open()
	w.refresh(ts, all)
	var requests, changes, resources atomic.Int64
	for _, c := range []*kafkatest.Cluster{w.source, w.target} {
		c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			requests.Add(1)
			switch r := req.(type) {
			case *kmsg.CreateTopicsRequest, *kmsg.CreatePartitionsRequest, *kmsg.IncrementalAlterConfigsRequest:
				changes.Add(1)
			case *kmsg.DescribeConfigsRequest:
				resources.Add(int64(len(r.Resources)))
			}
			return nil, nil, false
		})
	}
	w.log.Reset()
	m := w.refresh(ts, all)
	if len(m) != 250 || requests.Load() > 8 || changes.Load() != 0 {
		t.Errorf("%d topics, %d requests, %d of them changes; want 250, at most 8, none", len(m), requests.Load(),
			changes.Load())
	}
	// the 250 were created a moment ago, so that the settled state is read once
	w.check("settings read of new topics", resources.Load(), int64(2*250))
	resources.Store(0)
	w.refresh(ts, all)
	w.check("settings read later", resources.Load(), int64(2*settingsAtOnce))
	w.check("log", w.log.String(), "")
}

// What is not as it should be is looked at in every refresh, not only in turn.
func TestUnsettledTopicsAreReadAgain(t *testing.T) {
	w := newWorld(t)
	for i := 0; i < settingsAtOnce+50; i++ {
		name := fmt.Sprintf("t%03d", i)
		w.source.Topic(name, 1)
		w.target.Topic(name, 1, "message.timestamp.type=LogAppendTime")
	}
	other := w.open()
	w.refresh(other, none)
	w.refresh(w.open(), all)
	for name, m := range w.refresh(other, none) {
		if m.Stop != nil {
			t.Errorf("%s is as it should be, yet stopped: %v", name, m.Stop)
		}
	}
}

// A broker that lags shows old values after an alteration.
func TestRepeatedAlterationIsLoggedOnce(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("a", 1, "retention.ms=7")
	w.target.Topic("a", 1)
	w.target.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.target.KeepControl()
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		resp.Resources = []kmsg.IncrementalAlterConfigsResponseResource{{ResourceType: kmsg.ConfigResourceTypeTopic,
			ResourceName: "a"}}
		return resp, nil, true
	})
	ts := w.open()
	w.refresh(ts, all)
	w.refresh(ts, all)
	if n := strings.Count(w.log.String(), "target topic altered"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, w.log.String())
	}
}

func TestUnreachableClusterIsAnError(t *testing.T) {
	w := newWorld(t)
	w.cfg.Target.Properties = map[string]string{"bootstrap.servers": "127.0.0.1:1"}
	ts := w.open()
	if _, err := ts.Refresh(w.ctx, all); err == nil || !strings.Contains(err.Error(), "cannot be reached") ||
		chunk.Remedy(err) == "" {
		t.Errorf("got %v, want that it cannot be reached, and a remedy", err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := ts.Refresh(ctx, all); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestNothingSelectedIsSaidOnce(t *testing.T) {
	w := newWorld(t)
	ts := w.open()
	w.refresh(ts, all)
	w.refresh(ts, all)
	if n := strings.Count(w.log.String(), "no topic of the source is selected"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, w.log.String())
	}
}

func TestClusterIDs(t *testing.T) {
	w := newWorld(t, kfake.ClusterID("the-new-one"))
	source, target, err := w.open().ClusterIDs(w.ctx)
	if err != nil || target != "the-new-one" || source == "" || source == target {
		t.Errorf("got %q, %q, %v", source, target, err)
	}
}

// alter and grow go around the package under test.
func (w *world) alter(c *kafkatest.Cluster, topic, key, value string) {
	w.t.Helper()
	altered, err := c.Admin().AlterTopicConfigs(w.ctx, []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err == nil {
		err = altered[0].Err
	}
	if err != nil {
		w.t.Fatalf("alter %s: %v", topic, err)
	}
}

func (w *world) grow(c *kafkatest.Cluster, topic string, partitions int) {
	w.t.Helper()
	grown, err := c.Admin().UpdatePartitions(w.ctx, partitions, topic)
	if err = errors.Join(err, grown.Error()); err != nil {
		w.t.Fatalf("grow %s: %v", topic, err)
	}
}

// A topic that the patterns choose and that can have no name on the target is a stopped
// topic, in a plan and in a run, and what stands beside it is copied.
func TestTopicWithoutANameIsStopped(t *testing.T) {
	w := newWorld(t)
	p, err := policy.New(policy.Config{Topics: []string{".*"},
		Flow: policy.Flow{From: "old", To: "new", Naming: policy.Prefix, Separator: "."}})
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.Policy = p
	long := strings.Repeat("a", 249)
	w.source.Topic(long, 2)
	w.source.Topic("b", 1)
	ts := w.open()
	plan, err := ts.Plan(w.ctx)
	if err != nil || len(plan.Topics) != 2 {
		t.Fatalf("plan: %+v, %v", plan, err)
	}
	m := w.refresh(ts, all)
	for when, got := range map[string]Mirrored{"plan": plan.Topics[0].Mirrored, "run": m[long]} {
		if got.Source != long || got.Partitions != 2 || got.Stop == nil || got.Stop.Kind != chunk.StopTopic ||
			!strings.Contains(got.Stop.Reason, "249") || got.Stop.Remedy() == "" {
			t.Errorf("%s: got %+v, want it stopped", when, got)
		}
	}
	if m["b"].Stop != nil || m["b"].TargetPartitions != 1 {
		t.Errorf("beside it: got %+v, want it created", m["b"])
	}
}
