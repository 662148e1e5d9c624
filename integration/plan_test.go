package integration

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

// A plan names who is still at work: a live producer and a live group.
func TestPlanOfLiveApplications(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target)
	out, code := a.site.command("plan")
	if code != 0 {
		t.Errorf("plan exits with %d", code)
	}
	for _, want := range []string{a.topic, a.group, "producer", "member"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not tell of %q", want)
		}
	}
	t.Log(out)
	a.finish()
	a.count(0)
}

// What stands in the way of a migration is named, by a user who may see all of it and
// by the daemon's own, who lacks a right on each side and may not ask for some.
func TestPlanOfWhatIsInTheWay(t *testing.T) {
	s := newSecured(t)
	s.lane = "batch"
	for _, r := range rights {
		s.allow(t, r)
	}
	open, hangs, limited := s.topics[0], s.topics[2], s.topics[1]
	leaveOpen(t, s, open)
	leaveHanging(t, s, hangs)
	limit(s.ctx, t, s.source.Bootstrap(), "replicator", "consumer_byte_rate", 5e6)
	limit(s.ctx, t, s.target.Bootstrap(), "replicator", "producer_byte_rate", 3e6)
	s.apply(t, open, limited)
	must(t, workload.Topics(s.ctx, s.target.Bootstrap(), 2, map[string]string{
		"max.message.bytes": "20000", "retention.ms": "3600000"}, limited))

	out, code := newSite(t, s.source, s.target, `topics: ["`+s.name+`-.*"]`).command("plan")
	t.Log(out)
	if code != 1 {
		t.Errorf("plan exits with %d, though a transaction hangs", code)
	}
	for _, want := range []string{
		`open +` + open + `/0 at \d+: ` + s.name + `-shop, running`,
		`open +` + hangs + `/0 at \d+: transactional id not known, hanging`,
		hangs + `/0 .*cannot pass it`,
		`kafka-transactions.sh .*abort --topic ` + hangs,
		`quota +cluster old: consumer_byte_rate = 5e\+06 on each broker \(client id replicator\)`,
		`quota +cluster new: producer_byte_rate = 3e\+06 on each broker \(client id replicator\)`,
		limited + `, 2 partitions[^\n]*\n[^\n]*still writing[^\n]*\n +max.message.bytes will be 1048588\n` +
			` +retention.ms will be -1`,
		`acl .*--add --allow-principal User:app.*--operation Read --topic ` + open,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the plan does not tell %q", want)
		}
	}
	if holds(out, "not known: ") || regexp.MustCompile(`acl .*`+limited).MatchString(out) {
		t.Error("a user who may see all of it is told that something is not known, or that the target lacks what it has")
	}

	out, _ = newSite(t, s.source, s.target, `topics: ["`+limited+`"]`, "sync_topic_configs: false").command("plan")
	t.Log(out)
	for _, want := range []string{
		"max.message.bytes stays different, 1048588 and 20000", "retention.ms stays different, -1 and 3600000",
	} {
		if !holds(out, want) {
			t.Errorf("the plan does not tell %q", want)
		}
	}

	lacks := []right{rights[1], rights[3]}
	if lacks[0].operation != kadm.OpDescribeConfigs || lacks[1].operation != kadm.OpWrite {
		t.Fatalf("the rights are in another order: %v", lacks)
	}
	for _, r := range lacks {
		s.deny(t, r)
	}
	out, code = s.site(t, nil).command("plan")
	t.Log(out)
	for _, want := range []string{"quotas on cluster old", "quotas on cluster new", "ACLs of applications on the source"} {
		flat := strings.Join(strings.Fields(out), " ") // its lines are broken to the width of a terminal
		if !regexp.MustCompile(`not known: ` + want + `.{0,60}does not let User:` + user).MatchString(flat) {
			t.Errorf("with the daemon's own rights the plan does not say that it does not know of %s", want)
		}
	}
	if !regexp.MustCompile(`open +` + open + `/0 at \d+: transactional id not known, unseen`).MatchString(out) {
		t.Error("the plan does not say that nobody shows a transaction whose id may not be described")
	}
	if code != 1 || slices.ContainsFunc(lacks, func(r right) bool { return !s.named(r, out) }) {
		t.Errorf("plan exits with %d, and does not name each of %v", code, lacks)
	}
}

// A real target's limit on partitions, 10,000 in one request to create topics, is told
// before a run: a topic beyond it stands in the way, topics that reach it together do not.
func TestPlanOfTooManyPartitions(t *testing.T) {
	_, target := shared(t)
	name := unique(t)
	fake := kafkatest.Start(t, kfake.SeedTopics(10_001, name+"-wide"), kfake.SeedTopics(5_001, name+"-one", name+"-two"))
	s := newSite(t, target, target, `topics: ["`+name+`-.*"]`)
	s.edit("old: {bootstrap.servers: \""+target.Bootstrap(), "old: {bootstrap.servers: \""+fake.Address())
	out, code := s.command("plan")
	t.Log(out)
	for _, want := range []string{"stop +" + name + "-wide, 10001 partitions", "create +" + name + "-one, 5001 partitions",
		"create +" + name + "-two, 5001 partitions", "refused to create topic " + name + "-wide: .*number of partitions",
		"remedy: cluster new has a limit"} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the plan does not tell %q", want)
		}
	}
	if code != 1 || holds(out, "not known: settings") || holds(out, "2 problems") {
		t.Errorf("plan exits with %d, or one refused topic hides the others", code)
	}
}

// apply gives an application rights: on the target only for the second topic.
func (s *secured) apply(t *testing.T, first, second string) {
	t.Helper()
	app := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow("User:app").AllowHosts("*").Operations(kadm.OpRead).
			ResourcePatternType(kadm.ACLPatternLiteral)
	}
	grant(s.ctx, t, s.source.Bootstrap(), app().Topics(first))
	grant(s.ctx, t, s.source.Bootstrap(), app().Topics(second))
	grant(s.ctx, t, s.target.Bootstrap(), app().Topics(second))
}

// leaveOpen begins a transaction that may last for another ten minutes.
func leaveOpen(t *testing.T, s *secured, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.source.Bootstrap()), kgo.TransactionalID(s.name+"-shop"),
		kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	t.Cleanup(client.Close)
	must(t, client.BeginTransaction())
	must(t, client.ProduceSync(s.ctx, &kgo.Record{Topic: topic, Value: []byte("open")}).FirstErr())
}

// leaveHanging writes a batch of a transaction of which no coordinator knows, as
// brokers let through before KIP-890. Its records are a day old.
func leaveHanging(t *testing.T, s *secured, topic string) {
	t.Helper()
	off := "false"
	_, err := ask(s.source.Bootstrap(), func(admin *kadm.Client) (kadm.AlterConfigsResponses, error) {
		return admin.AlterBrokerConfigs(s.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig,
			Name: "transaction.partition.verification.enable", Value: &off}})
	})
	must(t, err)
	older := namesTopics()
	older.SetMaxKeyVersion((&kmsg.ProduceRequest{}).Key(), 11) // from 12 on a broker asks the coordinator itself
	k := newTalker(s.ctx, t, s.source.Bootstrap(), kgo.MaxVersions(older))
	id := s.name + "-gone"
	batch := batchOf(2, time.Now().Add(-24*time.Hour))
	const transactional = 1 << 4
	batch.Attributes |= transactional
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = 1<<40, 0, 0
	bytes := batch.bytes(t)
	eventually(t, time.Minute, "the source lets a transaction hang", func() bool { // once it heeds the setting
		answer := k.produce(&id, topic, 0, bytes)[0]
		if answer.ErrorCode != 0 {
			t.Logf("not yet: %s", name(answer.ErrorCode))
		}
		return answer.ErrorCode == 0
	})
}
