package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
)

const (
	onTopic = kmsg.ACLResourceTypeTopic
	onGroup = kmsg.ACLResourceTypeGroup
	onTxn   = kmsg.ACLResourceTypeTransactionalId

	ledgerTopic = "__replicator.old.new"
)

// right lets user mirror do something on everything whose name begins so.
func right(resource kmsg.ACLResourceType, name string, operation kmsg.ACLOperation) kfake.ACL {
	return kafkatest.Allow(resource, name+"*", operation)[0]
}

// everything is what a flow needs on its target.
func everything() []kfake.ACL {
	var acls []kfake.ACL
	for _, o := range []kmsg.ACLOperation{
		kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate,
		kmsg.ACLOperationAlter, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs,
	} {
		acls = append(acls, right(onTopic, "orders", o), right(onTopic, ledgerTopic, o))
	}
	return append(acls, right(onGroup, "", kmsg.ACLOperationRead), right(onGroup, "", kmsg.ACLOperationDescribe),
		right(onTxn, "replicator.", kmsg.ACLOperationWrite), right(onTxn, "replicator.", kmsg.ACLOperationDescribe))
}

// without takes rights away.
func without(acls []kfake.ACL, resource kmsg.ACLResourceType, name string,
	operations ...kmsg.ACLOperation) []kfake.ACL {
	var left []kfake.ACL
	for _, acl := range acls {
		taken := false
		for _, o := range operations {
			taken = taken || acl.Resource == resource && acl.Name == name && acl.Operation == o
		}
		if !taken {
			left = append(left, acl)
		}
	}
	return left
}

func newGuardedWorld(t *testing.T, acls []kfake.ACL) *world {
	t.Helper()
	w := newWorld(t)
	w.target = kafkatest.Guarded(t, acls, kfake.ClusterID("guarded-id"))
	text := fmt.Sprintf(`clusters:
  old: {bootstrap.servers: "%s"}
  new: {bootstrap.servers: "%s", security.protocol: sasl_plaintext, sasl.mechanism: PLAIN,
        sasl.username: mirror, sasl.password: secret}
flows:
  - {from: old, to: new, shards: 2}
http: {listen: ""}
`, w.source.Address(), w.target.Address())
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	w.source.Commit("billing", "orders", 0, 2)
	return w
}

func TestMissingRightsAreNamed(t *testing.T) {
	t.Parallel()
	topic := func(name string, operations ...kmsg.ACLOperation) []kfake.ACL {
		return without(everything(), onTopic, name, operations...)
	}
	for _, c := range []struct {
		why       string
		acls      []kfake.ACL
		ledger    bool // it is there already
		want      string
		statusToo bool // status cannot answer either
	}{
		{"all there", everything(), false, "", false},
		{"all there, and the ledger", everything(), true, "", false},
		{"no ledger may be made", topic(ledgerTopic, kmsg.ACLOperationCreate), false,
			"do Create on the cluster or topic " + ledgerTopic, false},
		{"the ledger may not be written", topic(ledgerTopic, kmsg.ACLOperationWrite), true,
			"do Write on topic " + ledgerTopic, false},
		{"the ledger may not be read", topic(ledgerTopic, kmsg.ACLOperationRead), true,
			"do Read on topic " + ledgerTopic, true},
		{"the ledger is hidden: that is not a flow that has never run", without(everything(), onTopic, ledgerTopic,
			kmsg.ACLOperationDescribe, kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate,
			kmsg.ACLOperationAlter), true, "do Describe on topic " + ledgerTopic, true},
		{"no topic may be made", topic("orders", kmsg.ACLOperationCreate), false,
			"do Create on the cluster or topic orders", false},
		{"the group of the replicas", without(everything(), onGroup, "", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
			false, "do Read on group replicator.old.new", false},
		{"the transactional ids", without(everything(), onTxn, "replicator.", kmsg.ACLOperationWrite,
			kmsg.ACLOperationDescribe), false, "do Write on transactional id replicator.old.new. (prefixed)", false},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			w := newGuardedWorld(t, c.acls)
			if c.ledger {
				w.target.Topic(ledgerTopic, 2)
			}
			got := w.run("check", "--connect")
			if c.want == "" {
				if got.code != exitDone {
					t.Errorf("exit %d, want %d\n%s%s", got.code, exitDone, got.stdout, got.stderr)
				}
				return
			}
			if got.code != exitFailed || !strings.Contains(got.stderr, "User:mirror "+c.want) ||
				!strings.Contains(got.stderr, "\nremedy: grant User:mirror") {
				t.Errorf("exit %d, want %d with %q\n%s%s", got.code, exitFailed, c.want, got.stdout, got.stderr)
			}
			if got := w.run("status"); (got.code == exitFailed) != c.statusToo ||
				c.statusToo && !strings.Contains(got.stderr, c.want) {
				t.Errorf("status: exit %d, to fail: %v\n%s%s", got.code, c.statusToo, got.stdout, got.stderr)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, everything())
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(strings.Replace(string(text), "secret", "guessed", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "--connect"}, {"status"}} {
		got := w.run(args...)
		if got.code != exitFailed || !strings.Contains(got.stderr, "refused the credentials") ||
			!strings.Contains(got.stderr, `the credentials of user "mirror"`) || strings.Contains(got.stderr, "guessed") {
			t.Errorf("%v: exit %d\n%s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	if err := w.target.Client().Ping(w.ctx); err != nil {
		t.Errorf("the cluster lets nobody in at all: %v", err)
	}
}

// A one-off copy that could not position a group is not done.
func TestCatchUpFailsWhereAGroupCannotBePositioned(t *testing.T) {
	t.Parallel()
	w := newGuardedWorld(t, append(without(everything(), onGroup, "", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
		right(onGroup, "replicator.", kmsg.ACLOperationRead), right(onGroup, "replicator.", kmsg.ACLOperationDescribe),
		right(onGroup, "", kmsg.ACLOperationDescribe)))
	got := w.run("run", "--until-caught-up")
	for _, want := range []string{
		"0 partitions and 1 group positions were not", "group billing in orders/0: ", "Read on group billing",
	} {
		if got.code != exitFailed || !strings.Contains(got.stderr, want) {
			t.Errorf("exit %d, without %q\n%s%s", got.code, want, got.stdout, got.stderr)
		}
	}
}
