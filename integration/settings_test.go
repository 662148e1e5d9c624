package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

// Records of somebody else on the target outlive a flow that would copy to their topic, in
// either direction: with the source's settings the target would delete them, as it does in
// the topic beside it.
func TestForeignRecordsSurvive(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 3*time.Minute)
	theirs, control := unique(t)+"-theirs", unique(t)+"-control"
	short := map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "60000"}
	long := map[string]string{"retention.ms": "604800000"}
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, short, theirs))
	must(t, workload.Topics(ctx, target.Bootstrap(), 1, long, theirs))
	must(t, workload.Topics(ctx, target.Bootstrap(), 1, short, control))
	var old []*kgo.Record
	for i := range 30 {
		old = append(old, &kgo.Record{Key: []byte("k"), Value: fmt.Appendf(nil, "theirs %d", i),
			Timestamp: time.Now().Add(-time.Hour)})
	}
	must(t, workload.Produce(ctx, target.Bootstrap(), theirs, old...))
	before := [2]string{settingsOf(ctx, t, source.Bootstrap(), theirs), settingsOf(ctx, t, target.Bootstrap(), theirs)}

	right := newSite(t, source, target, fmt.Sprintf("topics: [%q]", theirs))
	wrong := newSite(t, target, source, fmt.Sprintf("topics: [%q]", theirs))
	for _, s := range []*site{right, wrong} {
		for _, verb := range []string{"check --connect", "run --until-caught-up", "topics"} {
			out, code := s.command(strings.Fields(verb)...)
			if s == right && code != 1 {
				t.Errorf("%s ends with %d, want 1:\n%s", verb, code, out)
			}
			if s == right && !holds(out, "this flow did not write") {
				t.Errorf("%s does not say why:\n%s", verb, out)
			}
		}
	}
	must(t, workload.Produce(ctx, target.Bootstrap(), control, old...))
	eventually(t, time.Minute, "retention deletes the records of the topic beside it", func() bool {
		return startOf(ctx, t, target.Bootstrap(), control) == 30
	})
	if at := startOf(ctx, t, target.Bootstrap(), theirs); at != 0 {
		t.Errorf("the log of the foreign topic starts at %d", at)
	}
	after := [2]string{settingsOf(ctx, t, source.Bootstrap(), theirs), settingsOf(ctx, t, target.Bootstrap(), theirs)}
	if after != before {
		t.Errorf("settings of source and target were\n%s\nand are\n%s", before, after)
	}
	deleteTopic(ctx, t, target.Bootstrap(), control)
}

// What the flow has set on a target topic is put back by a verb; what its broker refuses is
// left out, though the topic's other settings are set.
func TestSettingsOnRealBrokers(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 3*time.Minute)
	topic := unique(t)
	bootstrap := kafkatest.Start(t).Address() // of a source whose segments may be smaller
	must(t, workload.Topics(ctx, bootstrap, 1, map[string]string{"message.timestamp.type": "LogAppendTime",
		"message.timestamp.before.max.ms": "864000000", "segment.bytes": "524288", "segment.ms": "70000000"}, topic))
	must(t, workload.Produce(ctx, bootstrap, topic, numbered("record", 3, 0)...))
	s := newSite(t, source, target, fmt.Sprintf("topics: [%q]", topic))
	s.edit(fmt.Sprintf("%q", source.Bootstrap()), fmt.Sprintf("%q", bootstrap))
	out, code := s.command("check", "--connect")
	if code != 0 || !holds(out, "segment.bytes is not copied: cluster new refuses 524288") {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	s.copyOnce()
	has := settingsOf(ctx, t, target.Bootstrap(), topic)
	for _, want := range []string{"message.timestamp.type=CreateTime", "segment.ms=70000000",
		"message.timestamp.after.max.ms=9223372036854775807"} {
		if !strings.Contains(has, want) {
			t.Errorf("the target topic has %s, want %s", has, want)
		}
	}
	if strings.Contains(has, "segment.bytes") {
		t.Errorf("the target topic has %s", has)
	}
	if out, code := s.command("topics", "restore", "--yes"); code != 0 {
		t.Errorf("restore ends with %d:\n%s", code, out)
	}
	if got, want := settingsOf(ctx, t, target.Bootstrap(), topic), "message.timestamp.before.max.ms=864000000 "+
		"message.timestamp.type=LogAppendTime segment.ms=70000000"; got != want {
		t.Errorf("afterwards the target topic has %s, want %s", got, want)
	}
}

// A target that lets transactions last less than usual is copied to, and one that cannot
// make the topic that it keeps transactions in is named, at check and at once.
func TestLimitsOfTransactions(t *testing.T) {
	source, _ := shared(t)
	ctx := deadline(t, 3*time.Minute)
	topic := unique(t)
	for _, lane := range []string{"-batch", "-record"} {
		must(t, workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), topic+lane))
		must(t, workload.Produce(ctx, source.Bootstrap(), topic+lane, numbered("record", 300, 0)...))
	}
	t.Run("a short time", func(t *testing.T) {
		target := cluster.Start(t, append(brokerConfig(), cluster.Config("transaction.max.timeout.ms", "5000"),
			cluster.Config("quota.window.num", "2"))...)
		for _, lane := range []string{"batch", "record"} {
			s := newSite(t, source, target, fmt.Sprintf("topics: [%q]", topic+"-"+lane), "lane: "+lane)
			if out, code := s.command("check", "--connect"); code != 0 || !holds(out, "at most 5s") {
				t.Errorf("check ends with %d:\n%s", code, out)
			}
			s.copyOnce()
			judged(ctx, t, s.sides(), []string{topic + "-" + lane}, nil)
		}
		t.Run("a slow target", func(t *testing.T) {
			onLanes(t, func(t *testing.T, lane string) { slowTarget(ctx, t, source, target, lane) })
		})
	})
	t.Run("too many replicas", func(t *testing.T) {
		factor := cluster.Config("transaction.state.log.replication.factor", "3")
		target := cluster.Start(t, append(brokerConfig(), factor)...)
		s := newSite(t, source, target, fmt.Sprintf("topics: [%q]", topic+"-batch"))
		for _, verb := range []string{"check --connect", "run --until-caught-up"} {
			out, code := s.command(strings.Fields(verb)...)
			if code != 1 || !holds(out, "log.replication.factor is 3, and 1 brokers run", "remedy: start the") {
				t.Errorf("%s ends with %d:\n%s", verb, code, out)
			}
		}
	})
}

// settingsOf lists what is set on a topic itself, by key.
func settingsOf(ctx context.Context, t *testing.T, bootstrap, topic string) string {
	t.Helper()
	described, err := ask(bootstrap, func(admin *kadm.Client) (kadm.ResourceConfigs, error) {
		return admin.DescribeTopicConfigs(ctx, topic)
	})
	must(t, err)
	one, err := described.On(topic, nil)
	must(t, err)
	var set []string
	for _, c := range one.Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig && c.Value != nil {
			set = append(set, c.Key+"="+*c.Value)
		}
	}
	slices.Sort(set)
	return strings.Join(set, " ")
}

// startOf is where the log of partition 0 begins.
func startOf(ctx context.Context, t *testing.T, bootstrap, topic string) int64 {
	t.Helper()
	starts, err := ask(bootstrap, func(admin *kadm.Client) (kadm.ListedOffsets, error) {
		return admin.ListStartOffsets(ctx, topic)
	})
	must(t, err)
	one, known := starts.Lookup(topic, 0)
	if !known {
		t.Fatalf("topic %s has no partition 0", topic)
	}
	return one.Offset
}
