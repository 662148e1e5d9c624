package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// within bounds a test's talk with its brokers.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, c *cluster.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(strings.Split(c.Bootstrap(), ",")...),
		kgo.AlwaysRetryEOF()) // an engine takes connections to a broker that is away, and cuts them
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func makeTopic(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	admin := kadm.NewClient(connect(t, c))
	if _, err := admin.CreateTopic(within(t, 30*time.Second), 1, -1, nil, name); err != nil {
		t.Fatalf("create topic %s on %s: %v", name, c.Name(), err)
	}
}

// transact writes one transaction of n records "prefix-0"... and ends it as told.
func transact(t *testing.T, client *kgo.Client, topic, prefix string, n int, end kgo.TransactionEndTry) {
	t.Helper()
	ctx := within(t, time.Minute)
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		client.Produce(ctx, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%s-%d", prefix, i)}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		t.Fatal(err)
	}
}

// read gives the first n values that a read_committed reader sees.
func read(t *testing.T, c *cluster.Cluster, topic string, n int) []string {
	t.Helper()
	ctx := within(t, time.Minute)
	client := connect(t, c, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var values []string
	for len(values) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s on %s after %d of %d records: %v", topic, c.Name(), len(values), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

// Data of committed transactions outlives a graceful stop and a SIGKILL at the
// same address, and the two clusters of a pair are really two.
func TestSmoke(t *testing.T) {
	source, target := cluster.Pair(t)
	if source.Bootstrap() == target.Bootstrap() {
		t.Fatalf("source and target are both at %s", source.Bootstrap())
	}
	for _, c := range []*cluster.Cluster{source, target} {
		t.Logf("%s at %s by %s", c.Name(), c.Bootstrap(), c.Provider())
		makeTopic(t, c, "orders")
		writer := connect(t, c, kgo.TransactionalID("smoke"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		transact(t, writer, "orders", c.Name()+"-one", 10, kgo.TryCommit)
		transact(t, writer, "orders", c.Name()+"-lost", 5, kgo.TryAbort)
	}
	source.Stop()
	target.Kill()
	source.Start()
	target.Start()
	for _, c := range []*cluster.Cluster{source, target} {
		writer := connect(t, c, kgo.TransactionalID("smoke"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		transact(t, writer, "orders", c.Name()+"-two", 10, kgo.TryCommit)
		for i, got := range read(t, c, "orders", 20) {
			want := fmt.Sprintf("%s-%s-%d", c.Name(), []string{"one", "two"}[i/10], i%10)
			if got != want {
				t.Errorf("%s: record %d is %q, want %q", c.Name(), i, got, want)
			}
		}
	}
}

// Any of three brokers may go, gently or not, and comes back with what was written
// meanwhile.
func TestSmokeOfSeveral(t *testing.T) {
	c := cluster.Start(t, cluster.Brokers(3), cluster.Named("several"))
	makeTopic(t, c, "orders")
	writer := connect(t, c, kgo.TransactionalID("smoke"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	inSync := func() (n int) {
		topics, err := kadm.NewClient(connect(t, c)).ListTopics(within(t, 30*time.Second), "orders")
		if err != nil {
			t.Fatal(err)
		}
		return len(topics["orders"].Partitions[0].ISR)
	}
	for i, end := range []func(*cluster.Cluster){(*cluster.Cluster).Stop, (*cluster.Cluster).Kill} {
		one := c.Broker(i + 1)
		end(one)
		transact(t, writer, "orders", one.Bootstrap(), 10, kgo.TryCommit)
		if n := inSync(); n != 2 {
			t.Errorf("without broker %d %d replicas are in sync, want 2", i+1, n)
		}
		one.Start()
		until(t, "all are in sync again", func() bool { return inSync() == 3 })
	}
	for i, got := range read(t, c, "orders", 20) {
		if want := fmt.Sprintf("%s-%d", c.Broker(i/10+1).Bootstrap(), i%10); got != want {
			t.Errorf("record %d is %q, want %q", i, got, want)
		}
	}
}
