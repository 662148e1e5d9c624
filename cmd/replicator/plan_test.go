package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/operate/preflight"
)

// planned runs plan --json on a world's only flow.
func (w *world) planned(code int, args ...string) *preflight.Migration {
	w.t.Helper()
	got := w.run(append([]string{"plan", "--json"}, args...)...)
	var all struct{ Flows []*preflight.Migration }
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil || got.code != code || len(all.Flows) != 1 {
		w.t.Fatalf("plan: exit %d, want %d; %v\n%s%s", got.code, code, err, got.stdout, got.stderr)
	}
	return all.Flows[0]
}

func TestPlanSizesAndSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	w.source.Topic("bills", 1)
	w.source.Fill("orders", 0, 10)
	w.source.Fill("orders", 1, 5)
	w.target.Topic("bills", 1)
	values := map[string]string{"compression.type": "zstd"}
	if _, err := w.target.Admin().AlterTopicConfigs(w.ctx,
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: "compression.type", Value: ptr(values["compression.type"])}},
		"bills"); err != nil {
		t.Fatal(err)
	}
	m := w.planned(exitDone)
	if m.Flow != "old->new" || len(m.Topics) != 2 || m.Topics[0].Action == "create" || m.Topics[1].Action != "create" {
		t.Fatalf("topics: %+v", m.Topics)
	}
	orders := m.Topics[1]
	if orders.Records != 15 || orders.Size == nil || *orders.Size == 0 || *orders.Left != *orders.Size {
		t.Errorf("orders: %+v, want 15 records, and all of its bytes to be copied", orders)
	}
	if disk := *orders.Left * int64(orders.ReplicationFactor); orders.Disk == nil || *orders.Disk != disk {
		t.Errorf("orders: takes %v on the target, want %d", orders.Disk, disk)
	}
	if m.Totals.Partitions != 2 || m.Totals.Left == nil || *m.Totals.Left != *orders.Left {
		t.Errorf("totals: %+v", m.Totals)
	}
	if len(m.Rooms) != 1 || m.Rooms[0].Usable <= 0 || m.Rooms[0].Needed != *m.Totals.Disk {
		t.Errorf("rooms: %+v", m.Rooms)
	}
	differs := false
	for _, d := range m.Topics[0].Differing {
		differs = differs || d.Key == "compression.type" && d.Target == "zstd" && d.Why != ""
	}
	if !differs {
		t.Errorf("bills: differs in %+v, want compression.type", m.Topics[0].Differing)
	}
	if m.Pace.From != "unknown" || m.Pace.Bytes != nil || !strings.Contains(m.Pace.Why, "too little") {
		t.Errorf("a rate is told from 15 records: %+v", m.Pace)
	}

	given := w.planned(exitDone, "--rate", "1KiB")
	if given.Pace.From != "given" || given.Pace.Duration == nil || *given.Pace.Duration != (*orders.Left+1023)/1024 {
		t.Errorf("with --rate 1KiB: %+v for %d bytes", given.Pace, *orders.Left)
	}
	w.must("run", "--until-caught-up")
	if m := w.planned(exitDone); m.Totals.Records != 0 || *m.Totals.Left != 0 || *m.Pace.Duration != 0 {
		t.Errorf("after the run %+v %+v is left", m.Totals, m.Pace)
	}
}

func ptr[T any](v T) *T { return &v }

func TestPlanNamesUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	consumer := w.source.Client(kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.ClientID("biller"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	consumer.PollFetches(w.ctx)
	if err := consumer.CommitUncommittedOffsets(w.ctx); err != nil {
		t.Fatal(err)
	}
	writer := w.source.Writer(kgo.TransactionalID("shop"))
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(w.ctx, &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	limit := kadm.AlterClientQuotaOp{Key: "consumer_byte_rate", Value: 1000}
	if _, err := w.source.Admin().AlterClientQuotas(w.ctx, []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: ptr("replicator")}}, Ops: []kadm.AlterClientQuotaOp{limit},
	}}); err != nil {
		t.Fatal(err)
	}
	m := w.planned(exitDone)
	if len(m.SourceGroups) != 1 || !m.SourceGroups[0].Active || m.SourceGroups[0].Members != 1 ||
		!strings.HasPrefix(m.SourceGroups[0].Clients[0], "biller on ") {
		t.Errorf("groups: %+v, want billing with one member", m.SourceGroups)
	}
	if wr := m.Topics[0].Writers; wr == nil || wr.Active != 1 { // kfake remembers those with transactions alone
		t.Errorf("producers of orders: %+v, want an active one", wr)
	}
	if len(m.Open) != 1 || m.Open[0].Verdict != "running" || m.Open[0].ID != "shop" || m.Open[0].Offset != 3 {
		t.Errorf("open: %+v, want that of shop at 3", m.Open)
	}
	if len(m.Quotas) != 1 || m.Quotas[0].Cluster != "old" || m.Quotas[0].Value != 1000 || m.Pace.From != "quota" ||
		*m.Pace.Bytes != 1000 {
		t.Errorf("quotas %+v, pace %+v: want 1000 bytes/s on old", m.Quotas, m.Pace)
	}
	text := w.must("plan")
	for _, want := range []string{"billing on the source", "biller on ", "1 producer still writing",
		"orders/0 at 3: shop, running", "consumer_byte_rate = 1000", "nothing is in the way"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("plan does not say %q:\n%s", want, text)
		}
	}
}

// What a cluster refuses is said, and nothing else is lost by it.
func TestPlanSaysWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, everything())
	w.source.ControlKey(int16(kmsg.DescribeACLs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		answer := request.ResponseKind().(*kmsg.DescribeACLsResponse)
		answer.ErrorCode = kerr.SecurityDisabled.Code
		return answer, nil, true
	})
	m := w.planned(exitDone, "--rate", "1000")
	var all []string
	for _, p := range m.NotKnown {
		all = append(all, p.Error)
	}
	said := strings.Join(all, "\n")
	for _, want := range []string{
		"room on the target's disks: cluster new does not let User:mirror do Describe on the cluster",
		"quotas on cluster new: cluster new does not let User:mirror do DescribeConfigs on the cluster",
		"ACLs of applications on the source: it has no authorizer",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("not known: no %q in\n%s", want, said)
		}
	}
	if m.Totals.Records != 3 || m.Totals.Left == nil || m.Pace.Duration == nil {
		t.Errorf("totals %+v, pace %+v: what the source tells is lost", m.Totals, m.Pace)
	}
}

func TestPlanFailsOnWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, without(everything(), onTopic, "orders", kmsg.ACLOperationCreate))
	got := w.run("plan")
	if got.code != exitFailed || !strings.Contains(got.stderr, "do Create on") ||
		!strings.Contains(got.stderr, "remedy: ") {
		t.Errorf("exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if m := w.planned(exitFailed); len(m.Obstacles) == 0 || m.Obstacles[0].Remedy == "" {
		t.Errorf("obstacles: %+v", m.Obstacles)
	}
}
