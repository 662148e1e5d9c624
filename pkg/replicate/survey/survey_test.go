package survey

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

var now = time.UnixMilli(1_700_000_000_000)

func TestJudge(t *testing.T) {
	t.Parallel()
	at := chunk.Partition{Topic: "orders", Number: 2}
	here, elsewhere := map[chunk.Partition]bool{at: true}, map[chunk.Partition]bool{{Topic: "bills"}: true}
	known := func(age time.Duration, where map[chunk.Partition]bool) []Transaction {
		return []Transaction{{ID: "shop", Producer: 7, State: "Ongoing", Started: now.Add(-age), Timeout: time.Minute,
			Partitions: where}}
	}
	for _, c := range []struct {
		why   string
		last  time.Duration // age of the last record
		known []Transaction
		want  Verdict
	}{
		{"young", time.Second, known(time.Second, here), Running},
		{"its coordinator is about to end it", time.Minute, known(90*time.Second, here), Running},
		{"longer than its time-out", time.Second, known(3*time.Minute, here), Hanging},
		{"the coordinator knows another one of this producer", time.Second, known(time.Second, elsewhere), Hanging},
		{"not shown: a right may be missing", time.Second, nil, Unseen},
		{"not shown, within the longest time-out and a minute", 15*time.Minute + 30*time.Second, nil, Unseen},
		{"not shown, and older than any may be", 17 * time.Minute, nil, Hanging},
		{"that of another producer", 17 * time.Minute, []Transaction{{ID: "other", Producer: 8, Partitions: here}}, Hanging},
	} {
		producers := []Producer{{Partition: at, ID: 7, Last: now.Add(-c.last), Open: 40},
			{Partition: at, ID: 8, Last: now, Open: -1}}
		got := Judge(producers, c.known, 15*time.Minute, now)
		if len(got) != 1 || got[0].Verdict != c.want || got[0].Offset != 40 || got[0].Why == "" {
			t.Errorf("%s: %+v, want one that is %s", c.why, got, c.want)
		}
	}
	want := "kafka-transactions.sh --bootstrap-server a:1 abort --topic orders --partition 2 --start-offset 40"
	open := Open{Topic: "orders", Partition: 2, Offset: 40}
	if got := open.Remedy("a:1"); got != want {
		t.Errorf("remedy %q, want %q", got, want)
	}
}

func TestActiveProducersAreCounted(t *testing.T) {
	t.Parallel()
	one, two := chunk.Partition{Topic: "orders"}, chunk.Partition{Topic: "orders", Number: 1}
	got := Write([]Producer{{Partition: one, ID: 1, Last: now}, {Partition: two, ID: 1, Last: now.Add(-time.Hour)},
		{Partition: two, ID: 2, Last: now.Add(-time.Hour)}}, now.Add(-time.Minute))
	if w := got["orders"]; w.Known != 2 || w.Active != 1 || !w.Last.Equal(now) {
		t.Errorf("%+v, want 2 known ones, one of them active", w)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	acl := func(name string, operation kmsg.ACLOperation) ACL {
		return ACL{"User:app", "*", true, operation, kmsg.ACLResourceTypeTopic, name, false}
	}
	with := func(a ACL, edit func(*ACL)) ACL { edit(&a); return a }
	read := acl("orders", kmsg.ACLOperationRead)
	prefixed := func(a *ACL) { a.Name, a.Prefixed = "ord", true }
	for _, c := range []struct {
		why     string
		target  ACL
		source  ACL
		missing bool
	}{
		{"the same", read, read, false},
		{"another topic", acl("bills", kmsg.ACLOperationRead), read, true},
		{"another operation", acl("orders", kmsg.ACLOperationWrite), read, true},
		{"all operations", acl("orders", kmsg.ACLOperationAll), read, false},
		{"all topics", acl("*", kmsg.ACLOperationRead), read, false},
		{"a prefix of it", with(read, prefixed), read, false},
		{"a name does not do for a prefix", read, with(read, prefixed), true},
		{"all topics do for a prefix", acl("*", kmsg.ACLOperationRead), with(read, prefixed), false},
		{"a prefix does not do for all", with(read, func(a *ACL) { a.Name, a.Prefixed = "", true }),
			acl("*", kmsg.ACLOperationRead), true},
		{"everybody", with(read, func(a *ACL) { a.Principal = "User:*" }), read, false},
		{"somebody else", with(read, func(a *ACL) { a.Principal = "User:b" }), read, true},
		{"from one host only", with(read, func(a *ACL) { a.Host = "10.0.0.1" }), read, true},
		{"Read holds Describe", read, acl("orders", kmsg.ACLOperationDescribe), false},
		{"a denied Read denies no Describe", with(read, func(a *ACL) { a.Allow = false }),
			with(acl("orders", kmsg.ACLOperationDescribe), func(a *ACL) { a.Allow = false }), true},
		{"allowed is not denied", read, with(read, func(a *ACL) { a.Allow = false }), true},
		{"of a group", with(read, func(a *ACL) { a.Resource = kmsg.ACLResourceTypeGroup }), read, true},
	} {
		as := func(a ACL) (ACL, bool) { return a, true }
		if got := Missing([]ACL{c.source, c.source}, []ACL{c.target}, as); (len(got) == 1) != c.missing || len(got) > 1 {
			t.Errorf("%s: %v is missing beside %v, want it to be: %v", c.why, got, c.target, c.missing)
		}
	}
	none := func(a ACL) (ACL, bool) { return a, false }
	if got := Missing([]ACL{read}, nil, none); len(got) != 0 {
		t.Errorf("%v is missing, which concerns nobody", got)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]ACL{
		"--allow-principal User:app --operation Read --topic orders": {"User:app", "*", true, kmsg.ACLOperationRead,
			kmsg.ACLResourceTypeTopic, "orders", false},
		"--deny-principal 'User:CN=a b' --deny-host 10.0.0.1 --operation DescribeConfigs --topic o " +
			"--resource-pattern-type prefixed": {"User:CN=a b",
			"10.0.0.1", false, kmsg.ACLOperationDescribeConfigs, kmsg.ACLResourceTypeTopic, "o", true},
		"--allow-principal User:app --operation All --group '*'": {"User:app", "*", true, kmsg.ACLOperationAll,
			kmsg.ACLResourceTypeGroup, "*", false},
		"--allow-principal User:app --operation Write --transactional-id shop": {"User:app", "*", true,
			kmsg.ACLOperationWrite, kmsg.ACLResourceTypeTransactionalId, "shop", false},
		"--allow-principal User:app --operation IdempotentWrite --cluster": {"User:app", "*", true,
			kmsg.ACLOperationIdempotentWrite, kmsg.ACLResourceTypeCluster, "kafka-cluster", false},
	} {
		if got := a.Command("b:1"); got != "kafka-acls.sh --bootstrap-server b:1 --add "+want {
			t.Errorf("%v: %s, want %s", a, got, want)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	quota := func(user, client string, value float64) Quota {
		q := Quota{Values: map[string]float64{"rate": value}}
		if user != "-" {
			name := strings.TrimPrefix(user, "default")
			q.User = &name
		}
		if client != "-" {
			name := strings.TrimPrefix(client, "default")
			q.Client = &name
		}
		return q
	}
	list := []Quota{ // from the weakest on
		quota("-", "default", 1), quota("-", "c", 2), quota("default", "-", 3), quota("default", "default", 4),
		quota("default", "c", 5), quota("u", "-", 6), quota("u", "default", 7), quota("u", "c", 8),
	}
	for n := 1; n <= len(list); n++ {
		others := append([]Quota{quota("v", "c", 90), quota("u", "d", 91), quota("v", "-", 92)}, list[:n]...)
		if value, of, found := Limit(others, "rate", "u", "c"); !found || value != float64(n) || of.Entity() == "" {
			t.Errorf("of %d quotas %g (%s) holds", n, value, of.Entity())
		}
	}
	if _, _, found := Limit(list, "other", "u", "c"); found {
		t.Error("a quota of another key holds")
	}
	if got := list[4].Entity(); got != "every user, client id c" {
		t.Errorf("entity %q", got)
	}
}

func TestDiffering(t *testing.T) {
	t.Parallel()
	source := Settings{"retention.ms": "7", "segment.ms": "1", "cleanup.policy": "compact", "compression.type": "producer"}
	target := Settings{"retention.ms": "9", "segment.ms": "2", "cleanup.policy": "compact"}
	got := Differing(source, target, map[string]string{"retention.ms": "7"})
	if len(got) != 1 || got[0] != (Difference{"segment.ms", "1", "2", matters["segment.ms"]}) || got[0].Why == "" {
		t.Errorf("%+v, want segment.ms alone: one is set, one is equal, one is not known", got)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	dirs := []Dir{{1, "/a", 100, 50}, {1, "/b", 100, 50}, {1, "/c", 80, 30}, {2, "/a", 100, 10}, {3, "/a", -1, -1}}
	loads := []Load{{Bytes: 30, At: []int32{1, 2}}, {Bytes: 10, Replicas: 3}}
	rooms := Spread([]int32{1, 2, 3}, dirs, loads)
	want := []Room{{1, 180, 80, 40}, {2, 100, 10, 40}, {3, -1, -1, 10}}
	short := []bool{false, true, false}
	for i := range want {
		if rooms[i] != want[i] || rooms[i].Short() != short[i] {
			t.Errorf("broker %d: %+v, too little: %v; want %+v", i+1, rooms[i], rooms[i].Short(), want[i])
		}
	}
	if got := Left(1000, 25, 100); got != 250 {
		t.Errorf("a quarter of 1000 bytes is %d", got)
	}
	if got := Left(1000, 5, 0); got != 0 {
		t.Errorf("an empty log has %d bytes left", got)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, protocol, want string
		carries              bool
	}{
		{"", "consumer", "classic", true}, {"", "", "classic", true}, {"consumer", "consumer", "consumer", true},
		{"classic", "connect", "classic", false}, {"share", "share", "share", false},
		{"streams", "streams", "streams", false},
	} {
		g := Group{Type: c.kind}
		g.classify(c.protocol)
		if g.Type != c.want || g.Carries != c.carries || g.Carries == (g.Not != "") {
			t.Errorf("%+v: %+v", c, g)
		}
	}
}
