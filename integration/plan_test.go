package integration

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
)

// planned is what a test looks at of 'plan --json'.
type planned struct {
	Flows []struct {
		Topics []struct {
			Topic     string
			Size      *int64 `json:"source_bytes"`
			Left      *int64 `json:"bytes_to_copy"`
			Producers *struct{ Active int }
		}
		Totals struct {
			Disk *int64 `json:"target_bytes"`
		}
		Pace struct {
			From     string
			Duration *int64 `json:"duration_seconds"`
		}
		Quotas []struct {
			Cluster, Quota string
			Value          float64
		}
		Rooms []struct {
			Usable int64 `json:"usable_bytes"`
		} `json:"target_disks"`
		Groups []struct {
			Group, Type string
			Active      bool
			Members     int
		} `json:"source_groups"`
		Open []struct {
			Topic, Verdict string
			ID             string `json:"transactional_id"`
		} `json:"open_transactions"`
		ACLs      []struct{ Principal, Command string } `json:"missing_acls"`
		Obstacles []struct{ Error, Remedy string }
		NotKnown  []struct{ Error string } `json:"not_known"`
	}
}

// Whoever uses the source is named before it is moved, as far as the program may
// ask; and what it may not ask for is said.
func TestPlan(t *testing.T) {
	s := newSecured(t)
	s.lane = "batch"
	for _, r := range rights {
		s.allow(t, r)
	}
	s.begin(t)
	source, group := s.source.Bootstrap(), s.name+"-readers"
	consumer, err := workload.StartConsumer(s.ctx, source, workload.ConsumerSpec{Group: group, Topics: s.topics[:1]})
	must(t, err)
	defer func() { _, _ = consumer.Stop() }()
	producer, err := workload.StartProducer(s.ctx, source, s.topics[1], workload.ProducerSpec{Seed: 1, Rate: 50})
	must(t, err)
	defer func() { _, _ = producer.Stop() }()
	leaveOpen(t, s, s.topics[0])
	leaveHanging(t, s, s.topics[2])
	s.give(t)
	eventually(t, time.Minute, "the group has read", func() bool { return len(consumer.So()) > 0 })
	eventually(t, time.Minute, "the producer has written", func() bool { return producer.So().Acked > 0 })

	seen, code := newSite(t, s.source, s.target, `topics: ["`+s.name+`-.*"]`).plan()
	f := seen.Flows[0]
	if code != 1 || len(f.Obstacles) != 1 || !holds(f.Obstacles[0].Error, s.topics[2]+"/0", "cannot pass it") ||
		!holds(f.Obstacles[0].Remedy, "kafka-transactions.sh", "abort --topic "+s.topics[2]) {
		t.Errorf("exit %d, in the way: %+v; want the hanging transaction alone", code, f.Obstacles)
	}
	var open []string
	for _, o := range f.Open {
		open = append(open, strings.Join([]string{o.Topic, o.ID, o.Verdict}, " "))
	}
	want := []string{s.topics[0] + " " + s.name + "-shop running", s.topics[2] + "  hanging"}
	if !slices.Equal(open, want) {
		t.Errorf("open transactions %q, want %q", open, want)
	}
	if len(f.Groups) != 1 || f.Groups[0].Group != group || !f.Groups[0].Active || f.Groups[0].Members != 1 {
		t.Errorf("groups: %+v, want %s with a member", f.Groups, group)
	}
	if p := f.Topics[1].Producers; p == nil || p.Active == 0 {
		t.Errorf("producers: %+v, want one that is active on %s", f.Topics[1], s.topics[1])
	}
	if len(f.Quotas) != 1 || f.Quotas[0].Cluster != "old" || f.Quotas[0].Value != 5e6 {
		t.Errorf("quotas: %+v, want 5e6 bytes/s on old", f.Quotas)
	}
	if len(f.ACLs) != 1 || f.ACLs[0].Principal != "User:app" || !strings.HasSuffix(f.ACLs[0].Command,
		"--operation Read --topic "+s.topics[0]) {
		t.Errorf("missing ACLs: %+v, want one to read %s", f.ACLs, s.topics[0])
	}
	if f.Totals.Disk == nil || *f.Totals.Disk == 0 || len(f.Rooms) != 1 || f.Rooms[0].Usable <= 0 ||
		f.Pace.Duration == nil {
		t.Errorf("totals %+v, room %+v, pace %+v", f.Totals, f.Rooms, f.Pace)
	}
	if len(f.NotKnown) != 0 {
		t.Errorf("a user who may do everything is not told: %+v", f.NotKnown)
	}

	seen, _ = s.site(t, nil).plan()
	for _, about := range []string{"sizes on the source", "quotas on cluster old", "ACLs of applications on the source"} {
		if !slices.ContainsFunc(seen.Flows[0].NotKnown, func(n struct{ Error string }) bool {
			return strings.HasPrefix(n.Error, about+": ") && holds(n.Error, "does not let User:mirror do Describe")
		}) {
			t.Errorf("with the daemon's own rights %s is known: %+v", about, seen.Flows[0].NotKnown)
		}
	}
}

// plan runs 'plan --json'.
func (s *site) plan() (planned, int) {
	s.t.Helper()
	cmd := exec.Command(s.binary, "plan", "--json", "-c", s.path)
	out, _ := cmd.Output()
	var seen planned
	if err := json.Unmarshal(out, &seen); err != nil || len(seen.Flows) != 1 {
		s.t.Fatalf("plan: %v\n%s", err, out)
	}
	s.t.Logf("%s", out)
	return seen, cmd.ProcessState.ExitCode()
}

// give sets a quota, and ACLs of an application of which the target has one.
func (s *secured) give(t *testing.T) {
	t.Helper()
	app := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Allow("User:app").AllowHosts("*").Operations(kadm.OpRead).
			ResourcePatternType(kadm.ACLPatternLiteral)
	}
	for _, to := range []struct {
		bootstrap string
		entry     *kadm.ACLBuilder
	}{
		{s.source.Bootstrap(), app().Topics(s.topics[0], s.topics[1], "elsewhere")},
		{s.target.Bootstrap(), app().Topics(s.topics[1])},
	} {
		_, err := ask(to.bootstrap, func(admin *kadm.Client) (kadm.CreateACLsResults, error) {
			return admin.CreateACLs(s.ctx, to.entry)
		})
		must(t, err)
	}
	client := "replicator"
	_, err := ask(s.source.Bootstrap(), func(admin *kadm.Client) (kadm.AlteredClientQuotas, error) {
		return admin.AlterClientQuotas(s.ctx, []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}},
			Ops:    []kadm.AlterClientQuotaOp{{Key: "consumer_byte_rate", Value: 5e6}},
		}})
	})
	must(t, err)
}

// leaveOpen begins a transaction.
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
	answer := k.produce(&id, topic, 0, batch.bytes(t))
	if answer[0].ErrorCode != 0 {
		t.Fatalf("the source refuses to leave a transaction hanging: %s", name(answer[0].ErrorCode))
	}
}
