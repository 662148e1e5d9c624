package topics

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

func allow(topic string, operations ...kmsg.ACLOperation) []kfake.ACL {
	return kafkatest.Allow(kmsg.ACLResourceTypeTopic, topic, operations...)
}

// guarded is a world whose target lets user mirror do only what the rights say.
func guarded(t *testing.T, rights ...[]kfake.ACL) *world {
	t.Helper()
	return newWorldTo(t, kafkatest.Guarded(t, slices.Concat(rights...)))
}

const (
	read            = kmsg.ACLOperationRead
	describe        = kmsg.ACLOperationDescribe
	write           = kmsg.ACLOperationWrite
	create          = kmsg.ACLOperationCreate
	describeConfigs = kmsg.ACLOperationDescribeConfigs
	alterConfigs    = kmsg.ACLOperationAlterConfigs
	alter           = kmsg.ACLOperationAlter
)

func TestMissingRightsAreNamed(t *testing.T) {
	w := guarded(t,
		allow("fine", describe, read, write, create, describeConfigs, alterConfigs),
		allow("grows", describe, read, write, create, describeConfigs, alterConfigs),
		allow("alters", describe, read, write, describeConfigs),
		allow("reads", describe, create, describeConfigs),
		allow("blind", describe, read, write),
		allow("groups", describe, write, describeConfigs, alterConfigs),
		allow("new", describe, write, describeConfigs))
	for _, name := range []string{"fine", "grows", "alters", "reads", "blind", "new", "hidden",
		"groups"} {
		w.source.Topic(name, 2, "retention.ms=7")
	}
	w.target.Topic("grows", 1)
	w.target.Topic("alters", 2)
	w.target.Topic("reads", 2)
	w.target.Topic("blind", 2)
	w.target.Topic("hidden", 2)
	w.target.Topic("groups", 2)
	want := map[string]string{
		"fine": "", "grows": "Alter on topic grows", "alters": "AlterConfigs on topic alters",
		"reads": "Write on topic reads", "blind": "DescribeConfigs on topic blind",
		"new": "Create on the cluster or topic new", "hidden": "Describe on topic hidden",
		"groups": "Read on topic groups",
	}
	ts := w.open()
	rehearsed, err := ts.Plan(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rehearsed.Topics {
		checkRight(t, "plan", c.Mirrored, want[c.Source])
	}
	done := w.refresh(ts, all)
	for name, right := range want {
		checkRight(t, "refresh", done[name], right)
	}
	if done["fine"].TargetPartitions != 2 {
		t.Errorf("fine: got %+v, want it created", done["fine"])
	}
}

func checkRight(t *testing.T, when string, m Mirrored, right string) {
	t.Helper()
	switch {
	case right == "" && m.Stop != nil:
		t.Errorf("%s: %s: stopped: %v", when, m.Source, m.Stop)
	case right == "":
	case m.Stop == nil:
		t.Errorf("%s: %s: not stopped, want the right %s named", when, m.Source, right)
	case m.Stop.Kind != chunk.StopUnauthorized || !strings.Contains(m.Stop.Reason, "let User:mirror do "+right) ||
		!strings.Contains(m.Stop.Remedy(), "grant"),
		strings.HasPrefix(right, "Create") && !strings.Contains(m.Stop.Remedy(), "by hand, with 2 partitions"):
		t.Errorf("%s: %s: stop %+v, want the right %s named", when, m.Source, *m.Stop, right)
	}
}

func TestLedgerIsCreatedOnceAndMended(t *testing.T) {
	w := newWorld(t)
	const name = "__replicator.old.new"
	first, second := w.open(), w.open()
	created, partitions, err := first.EnsureLedger(w.ctx, name, 8)
	if err != nil || !created || partitions != 8 {
		t.Fatalf("first: %v, %d, %v; want it created with 8 partitions", created, partitions, err)
	}
	w.check("settings", explicit(w.target, name), "cleanup.policy=compact delete.retention.ms=86400000 "+
		"max.compaction.lag.ms=3600000 max.message.bytes=8388608 message.timestamp.type=CreateTime "+
		"min.cleanable.dirty.ratio=0.2 min.compaction.lag.ms=0 segment.bytes=33554432")
	w.alter(w.target, name, "cleanup.policy", "delete")
	w.alter(w.target, name, "segment.bytes", "1000000")
	created, partitions, err = second.EnsureLedger(w.ctx, name, 4)
	if err != nil || created || partitions != 8 {
		t.Errorf("second: %v, %d, %v; want the one that is there", created, partitions, err)
	}
	got := explicit(w.target, name)
	if !strings.Contains(got, "cleanup.policy=compact") || !strings.Contains(got, "segment.bytes=1000000") {
		t.Errorf("got %s; want the cleanup policy mended and the rest left alone", got)
	}
}

func TestLedgerOfOneMayBeThere(t *testing.T) {
	w := newWorld(t)
	w.target.ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
		if err := w.target.CreateTopic("ledger", 5, map[string]string{"cleanup.policy": "compact"}); err != nil {
			t.Error(err)
		}
		return nil, nil, false // the request now finds it
	})
	created, partitions, err := w.open().EnsureLedger(w.ctx, "ledger", 8)
	if err != nil || created || partitions != 5 {
		t.Errorf("got %v, %d, %v; want the other replica's", created, partitions, err)
	}
}

func TestLedgerRights(t *testing.T) {
	w := guarded(t, allow("readonly", describe, describeConfigs), allow("absent", describe, write))
	w.target.Topic("readonly", 8)
	ts := w.open()
	for name, right := range map[string]string{
		"readonly": "Write on topic readonly", "absent": "Create on the cluster or topic absent",
		"hidden": "Describe on topic hidden",
	} {
		_, _, err := ts.EnsureLedger(w.ctx, name, 8)
		var problem *kafka.Problem
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), right) || problem.Remedy() == "" {
			t.Errorf("%s: got %v, want the right %s named, with a remedy", name, err, right)
		}
		if byHand := "by hand, with 8 partitions (the shards), compacted"; name == "absent" &&
			!strings.Contains(problem.Remedy(), byHand) {
			t.Errorf("%s: the remedy is %q, want it %s", name, problem.Remedy(), byHand)
		}
	}
}

// What may neither be created nor altered nor asked for its settings has to be there,
// and its settings are the operator's to look after.
func TestNothingButTheRecords(t *testing.T) {
	w := guarded(t, allow("ready", describe, read, write), allow("absent", describe, read, write),
		allow("ledger", describe, read, write))
	w.source.Topic("ready", 2, "retention.ms=7")
	w.source.Topic("absent", 3)
	w.target.Topic("ready", 2)
	w.target.Topic("ledger", 8)
	blind := w.open()
	_, _, err := blind.EnsureLedger(w.ctx, "ledger", 8)
	if err == nil || !strings.Contains(err.Error(), "DescribeConfigs") {
		t.Errorf("ledger: got %v, want DescribeConfigs named", err)
	}
	w.cfg.SyncConfigs, w.cfg.Watched = false, true
	ts := w.open()
	if created, partitions, err := ts.EnsureLedger(w.ctx, "ledger", 8); err != nil || created || partitions != 8 {
		t.Errorf("ledger: got %v, %d, %v; want the one that is there", created, partitions, err)
	}
	done := w.refresh(ts, all)
	if ready := done["ready"]; ready.Stop != nil || ready.TargetPartitions != 2 {
		t.Errorf("ready: %+v, want it to be copied", ready)
	}
	stop := done["absent"].Stop
	if stop == nil || stop.Kind != chunk.StopUnauthorized ||
		!strings.Contains(stop.Remedy(), "or create topic absent there by hand, with 3 partitions") {
		t.Errorf("absent: %v, want it stopped, and how to create it", stop)
	}
}

// A topic that is missing on the target is what is missing, by its name there and with its
// partitions, before any right on the source by which it could be created.
func TestAbsentTopicIsNamed(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 3)
	w.source.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			one := kmsg.NewDescribeConfigsResponseResource()
			one.ResourceType, one.ResourceName = r.ResourceType, r.ResourceName
			one.ErrorCode = kerr.TopicAuthorizationFailed.Code
			resp.Resources = append(resp.Resources, one)
		}
		return resp, nil, true
	})
	w.cfg.SyncConfigs, w.cfg.Watched = false, true
	ts := w.open()
	plan, err := ts.Plan(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for when, stop := range map[string]*chunk.Stop{"plan": plan.Topics[0].Stop, "run": w.refresh(ts, all)["orders"].Stop} {
		if stop == nil || stop.Kind != chunk.StopUnauthorized ||
			!strings.HasPrefix(stop.Reason, "topic orders, with 3 partitions, is not on cluster new, and ") ||
			!strings.HasPrefix(stop.Remedy(), "create topic orders on cluster new, with 3 partitions") {
			t.Errorf("%s: got %+v, want the topic named that is not there", when, stop)
		}
	}
	w.target.Topic("orders", 3)
	if m := w.refresh(ts, all)["orders"]; m.Stop != nil {
		t.Errorf("once it is there it is stopped: %v", m.Stop)
	}
}
