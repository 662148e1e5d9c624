package kafkatest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func values(records []*kgo.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	return strings.Join(all, " ")
}

// A reader sees what is committed, from where it begins, and ends behind what is not.
func TestReadSeesWhatIsCommitted(t *testing.T) {
	c := Start(t)
	c.Topic("orders", 2)
	c.Produce(Records("orders", 1, 3)...)
	c.Transaction(kgo.TryAbort, Records("orders", 1, 5)...) // 3 to 7, and a marker
	c.Transaction(kgo.TryCommit, Records("orders", 1, 1)...)
	c.Transaction(kgo.TryAbort, Records("orders", 1, 1)...)
	for from, want := range map[int64]string{
		0: "orders/1:0 orders/1:1 orders/1:2 orders/1:0", 2: "orders/1:2 orders/1:0", 4: "orders/1:0", 11: "",
	} {
		if got := values(c.Read("orders", 1, from)); got != want {
			t.Errorf("from %d on %q is read, want %q", from, got, want)
		}
	}
	if got := c.Read("orders", 0, 0); len(got) != 0 || len(c.Stored("orders", 0)) != 0 || len(c.Stored("orders", 1)) == 0 {
		t.Errorf("an empty partition holds %s", values(got))
	}
}

// A cluster that was put back holds what it held then, at the address where it was, and is
// written to again; one partition can be put back alone.
func TestRestore(t *testing.T) {
	c := OnDisk(t)
	address := c.Address()
	c.Topic("orders", 2)
	c.Produce(Records("orders", 0, 1)...)
	whole := c.Save()
	c.Produce(append(Records("orders", 0, 1), Records("orders", 1, 1)...)...)
	log := c.SaveLog("orders", 0)
	c.Produce(Records("orders", 0, 1)...)
	expect := func(when string, first, second int) {
		t.Helper()
		if got := len(c.Read("orders", 0, 0)); got != first || c.Address() != address {
			t.Errorf("%s: %d records of orders/0 at %s, want %d at %s", when, got, c.Address(), first, address)
		}
		if got := len(c.Read("orders", 1, 0)); got != second {
			t.Errorf("%s: %d records of orders/1, want %d", when, got, second)
		}
	}
	expect("before", 3, 1)
	was := c.Restore(log)
	expect("with one log put back", 2, 1)
	c.Restore(was)
	expect("with what it was in its place", 3, 1)
	c.Restore(whole)
	expect("with everything put back", 1, 0)
	c.Produce(Records("orders", 0, 1)...)
	expect("and written to", 2, 0)
}

// The user of a guarded cluster may do what is allowed and nothing else.
func TestGuarded(t *testing.T) {
	c := Guarded(t, append(Allow(kmsg.ACLResourceTypeTopic, "orders*", kmsg.ACLOperationDescribe),
		Allow(kmsg.ACLResourceTypeTopic, "bills", kmsg.ACLOperationDescribe)...))
	for _, topic := range []string{"orders-new", "bills", "bills-new"} {
		c.Topic(topic, 1, "retention.ms=7")
	}
	c.Commit("billing", "bills", 0, 0)
	p := c.Properties()
	user := plain.Auth{User: p["sasl.username"], Pass: p["sasl.password"]}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.SASL(user.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	mirror := kadm.NewClient(client)
	for topic, want := range map[string]error{
		"orders-new": nil, "bills": nil, "bills-new": kerr.TopicAuthorizationFailed,
	} {
		topics, err := mirror.ListTopics(context.Background(), topic)
		if got := errors.Join(err, topics[topic].Err); !errors.Is(got, want) {
			t.Errorf("%s is described with %v, want %v", topic, got, want)
		}
		if got := *c.TopicInfo(topic).Configs["retention.ms"]; got != "7" {
			t.Errorf("%s keeps for %s", topic, got)
		}
	}
}
