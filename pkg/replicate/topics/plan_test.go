package topics

import (
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// has builds settings: "key=value" is a default of the broker, "key:=value" is
// set on the topic.
func has(list ...string) settings {
	s := make(settings)
	for _, item := range list {
		key, value, _ := strings.Cut(item, "=")
		explicit := strings.HasSuffix(key, ":")
		s[strings.TrimSuffix(key, ":")] = setting{value, explicit}
	}
	return s
}

func topic(partitions int, list ...string) *side {
	return &side{ID: chunk.TopicID{1}, Partitions: partitions, Replicas: 3, Leaders: partitions, Settings: has(list...)}
}

func denial(text string) error { return &refusal{kerr.TopicAuthorizationFailed, text} }

var mended = []string{"message.timestamp.type=CreateTime", "message.timestamp.after.max.ms:=" + noLimit}

func TestSettingsForCreation(t *testing.T) {
	source := has("retention.ms:=1000", "retention.bytes=-1", "max.message.bytes:=2000000", "min.insync.replicas:=2",
		"message.timestamp.type:=LogAppendTime", "message.timestamp.after.max.ms:=5",
		"leader.replication.throttled.replicas:=0:1", "compression.type:=zstd")
	got, left := settingsForCreation(source, []*regexp.Regexp{regexp.MustCompile(`^(?:min\.insync\.replicas)$`)})
	want := map[string]string{
		"retention.ms": "1000", "max.message.bytes": "2000000", "compression.type": "zstd",
		"message.timestamp.type":         "CreateTime",
		"message.timestamp.after.max.ms": noLimit, "message.timestamp.before.max.ms": noLimit,
	}
	if !maps.Equal(got, want) {
		t.Errorf("settings for creation:\n got %v\nwant %v", got, want)
	}
	var keys []string
	for _, l := range left {
		keys = append(keys, l.Key)
	}
	if want := []string{"leader.replication.throttled.replicas", "message.timestamp.after.max.ms",
		"message.timestamp.type", "min.insync.replicas"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("left out: got %v, want %v", keys, want)
	}
}

func TestPlanSettings(t *testing.T) {
	for _, row := range []struct {
		why            string
		source, target []string
		set            map[string]string
		left           string // keys
	}{
		{"nothing differs", []string{"retention.ms=7"}, []string{"retention.ms=7"}, nil, ""},
		{"another default of the broker holds", []string{"retention.ms=7"}, []string{"retention.ms=3"},
			map[string]string{"retention.ms": "7"}, ""},
		{"equal, though only the source sets it", []string{"retention.ms:=7"}, []string{"retention.ms=7"}, nil, ""},
		{"a default that is not compared", []string{"segment.ms=7"}, []string{"segment.ms=3"}, nil, ""},
		{"set on the source", []string{"segment.ms:=7"}, []string{"segment.ms=3"},
			map[string]string{"segment.ms": "7"}, ""},
		{"an operator's extra stays", nil, []string{"segment.ms:=3", "flush.ms:=1"}, nil, ""},
		{"words in another order", []string{"cleanup.policy:=compact,delete"}, []string{"cleanup.policy=delete, compact"},
			nil, ""},
		{"other words", []string{"cleanup.policy:=compact"}, []string{"cleanup.policy=delete"},
			map[string]string{"cleanup.policy": "compact"}, ""},
		{"larger records are taken already", []string{"max.message.bytes=2000000"},
			[]string{"max.message.bytes:=9000000"}, nil, ""},
		{"larger records are needed", []string{"max.message.bytes:=9000000"}, []string{"max.message.bytes=2000000"},
			map[string]string{"max.message.bytes": "9000000"}, ""},
		{"our batches are larger than a small limit", []string{"max.message.bytes:=1000"},
			[]string{"max.message.bytes:=1000"}, map[string]string{"max.message.bytes": "1048588"}, "max.message.bytes"},
		{"excluded", []string{"secret.key:=7"}, []string{"secret.key=3"}, nil, "secret.key"},
		{"unknown to the target", []string{"new.key:=7"}, nil, nil, "new.key"},
		{"append time", []string{"message.timestamp.type:=LogAppendTime"},
			[]string{"message.timestamp.type:=LogAppendTime"},
			map[string]string{"message.timestamp.type": "CreateTime"}, "message.timestamp.type"},
		{"limits of a new broker", nil, []string{"message.timestamp.after.max.ms=3600000",
			"message.timestamp.before.max.ms=" + noLimit}, map[string]string{"message.timestamp.after.max.ms": noLimit}, ""},
		{"limit of an old broker", nil, []string{"message.timestamp.difference.max.ms=5"},
			map[string]string{"message.timestamp.difference.max.ms": noLimit}, ""},
	} {
		r := rules{SyncConfigs: true, Exclude: []*regexp.Regexp{regexp.MustCompile(`^(?:secret\..*)$`)}}
		c := r.change(pairOf("orders", "orders", topic(1, row.source...), topic(1, row.target...)))
		if c.Stop != nil || !maps.Equal(c.Set, row.set) {
			t.Errorf("%s: set %v, stop %v; want set %v", row.why, c.Set, c.Stop, row.set)
		}
		var keys []string
		for _, l := range c.Left {
			keys = append(keys, l.Key)
		}
		if got := strings.Join(keys, " "); got != row.left {
			t.Errorf("%s: left out %q, want %q", row.why, got, row.left)
		}
		for key := range c.Set {
			if want := has(row.target...)[key].Value; c.From[key] != want {
				t.Errorf("%s: %s is said to be %q now, want %q", row.why, key, c.From[key], want)
			}
		}
	}
}

// The reason why a small limit does not follow holds in both lanes: in the batch lane
// nothing is gathered.
func TestReasonForALargerLimit(t *testing.T) {
	const small = "max.message.bytes:=1000"
	c := rules{SyncConfigs: true}.change(pairOf("orders", "orders", topic(1, small), topic(1, small)))
	want := "at least 1048588 while the topic is mirrored: " +
		"a batch that is written anew there may be larger than the source's"
	if len(c.Left) != 1 || c.Left[0].Why != want {
		t.Errorf("left out: %+v, want %q", c.Left, want)
	}
}

func TestPlanTopics(t *testing.T) {
	readOnly := map[kmsg.ACLOperation]bool{kmsg.ACLOperationRead: true, kmsg.ACLOperationDescribe: true}
	with := func(s *side, f func(*side)) *side { f(s); return s }
	for _, row := range []struct {
		why            string
		source, target *side
		rules          rules
		create         bool
		to, factor     int
		kind, reason   string // of the Stop
		fix            string
	}{
		{why: "new: the source's factor", source: topic(4), rules: rules{Brokers: 5}, create: true, to: 4, factor: 3},
		{why: "new: few brokers", source: topic(4), rules: rules{Brokers: 1}, create: true, to: 4, factor: 1},
		{why: "new: configured", source: topic(4), rules: rules{Brokers: 5, ReplicationFactor: 2}, create: true, to: 4,
			factor: 2},
		{why: "new: configured too high", source: topic(4), rules: rules{Brokers: 2, ReplicationFactor: 3}, create: true,
			to: 4, factor: 2},
		{why: "grown", source: topic(4), target: topic(2, mended...), to: 4},
		{why: "never shrunk", source: topic(2), target: topic(4, mended...), to: 4,
			kind: chunk.StopPartitions, reason: "4 partitions on cluster new and 2 on cluster old"},
		{why: "may not be read", source: with(topic(2), func(s *side) { s.Rights = map[kmsg.ACLOperation]bool{} }),
			kind: chunk.StopUnauthorized, reason: "Read on topic orders"},
		{why: "may not be written", source: with(topic(2), func(s *side) { s.Rights = readOnly }),
			target: with(topic(2), func(s *side) { s.Rights = readOnly }), to: 2,
			kind: chunk.StopUnauthorized, reason: "cluster new does not let the program's user do Write on topic orders"},
		{why: "target hidden", source: topic(2), target: &side{Err: denial("no")},
			kind: chunk.StopUnauthorized, reason: "Describe on topic orders"},
		{why: "source settings hidden", source: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }),
			create: true, to: 2, factor: 1, kind: chunk.StopUnauthorized, reason: "old does not let"},
		{why: "source settings hidden, existing target",
			source: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }), target: topic(2, mended...),
			rules: rules{SyncConfigs: true}, to: 2, kind: chunk.StopUnauthorized, reason: "DescribeConfigs on topic orders"},
		{why: "source settings hidden and not needed",
			source: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }), target: topic(2, mended...), to: 2},
		{why: "target settings hidden", source: topic(2),
			target: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }), rules: rules{SyncConfigs: true}, to: 2,
			kind: chunk.StopUnauthorized, reason: "DescribeConfigs on topic orders"},
		{why: "target settings hidden, and the operator's to look after", source: topic(2),
			target: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }), rules: rules{Watched: true}, to: 2},
		{why: "target settings hidden, and nobody would notice", source: topic(2),
			target: with(topic(2), func(s *side) { s.SettingsErr = denial("no") }), to: 2,
			kind: chunk.StopUnauthorized, reason: "DescribeConfigs on topic orders"},
		{why: "target settings not told for another reason", source: topic(2),
			target: with(topic(2), func(s *side) { s.SettingsErr = kerr.RequestTimedOut }),
			rules:  rules{Watched: true}, to: 2,
			kind: chunk.StopTopic, reason: "cannot tell the settings"},
		{why: "append time that we may not alter", source: topic(2),
			target: topic(2, "message.timestamp.type:=LogAppendTime"), to: 2,
			kind: chunk.StopTopic, reason: "replaces the timestamps", fix: "or set sync_topic_configs: true"},
		{why: "the same in a pair, of which one flow keeps settings", source: topic(2),
			rules:  rules{CarriesBack: func(string) bool { return true }},
			target: topic(2, "message.timestamp.type:=LogAppendTime"), to: 2,
			kind: chunk.StopTopic, reason: "replaces the timestamps",
			fix: "sync_topic_configs: true here, and false in flow new->old"},
		{why: "a limit that we may not alter", source: topic(2), target: topic(2, "message.timestamp.after.max.ms=1"), to: 2},
		{why: "source in trouble", source: &side{Err: kerr.LeaderNotAvailable},
			target: topic(2, mended...), to: 2, kind: chunk.StopMissing, reason: "cannot describe"},
	} {
		row.rules.From, row.rules.To = kafka.Config{Name: "old"}, kafka.Config{Name: "new"}
		if row.rules.Brokers == 0 {
			row.rules.Brokers = 1
		}
		c := plan([]pair{pairOf("orders", "orders", row.source, row.target)}, row.rules)[0]
		if c.Create != row.create || c.PartitionsTo != row.to || c.ReplicationFactor != row.factor {
			t.Errorf("%s: create %v, partitions %d, factor %d; want %v, %d, %d", row.why, c.Create, c.PartitionsTo,
				c.ReplicationFactor, row.create, row.to, row.factor)
		}
		if row.target != nil && c.Set != nil && len(c.Set) > 0 {
			t.Errorf("%s: would set %v, want nothing", row.why, c.Set)
		}
		switch {
		case row.kind == "" && c.Stop != nil:
			t.Errorf("%s: stopped: %v", row.why, c.Stop)
		case row.kind != "" && c.Stop == nil:
			t.Errorf("%s: not stopped", row.why)
		case row.kind == "":
		case c.Stop.Kind != row.kind || !strings.Contains(c.Stop.Reason, row.reason) || c.Stop.Fix == "" ||
			!strings.Contains(c.Stop.Fix, row.fix) ||
			c.Stop.Partition.Topic != "orders":
			t.Errorf("%s: stop %+v, want kind %s, reason with %q, and a remedy", row.why, *c.Stop, row.kind, row.reason)
		}
	}
}

func TestPlanIsSorted(t *testing.T) {
	changes := plan([]pair{pairOf("b", "b", topic(1), nil), pairOf("a", "x", topic(1), nil)}, rules{Brokers: 1})
	if changes[0].Source != "a" || changes[1].Source != "b" {
		t.Errorf("order %s, %s; want a, b", changes[0].Source, changes[1].Source)
	}
}

// Everything unknown is read; of the rest only the longest unread.
func TestDue(t *testing.T) {
	one, two := chunk.TopicID{1}, chunk.TopicID{2}
	k := func(source, target chunk.TopicID, round int) *known {
		return &known{sourceID: source, targetID: target, round: round}
	}
	m := &memory{known: map[string]*known{
		"same-old": k(one, one, 1), "same-new": k(one, one, 3), "same-middle": k(one, one, 2),
		"recreated": k(two, one, 3), "target-appeared": k(one, chunk.TopicID{}, 3), "target-gone": k(one, two, 3)}}
	var pairs []pair
	for _, name := range []string{"new", "recreated", "same-middle", "same-new", "same-old", "target-appeared",
		"target-gone"} {
		p := pairOf(name, name, topic(1), topic(1))
		if name == "target-gone" {
			p.target = nil
		}
		pairs = append(pairs, p)
	}
	var got []string
	for _, p := range m.due(pairs, 2) {
		got = append(got, p.Source)
	}
	want := []string{"new", "recreated", "target-appeared", "target-gone", "same-old", "same-middle"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("due: got %v, want %v", got, want)
	}
}

func pairOf(source, target string, on, to *side) pair {
	return pair{Source: source, Target: target, source: on, target: to}
}
