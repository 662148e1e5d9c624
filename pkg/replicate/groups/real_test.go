//go:build integration

package groups

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/pkg/replicate/chunk"
)

// TestRealBrokers runs on brokers what the tests beside run on a fake, and tells
// what a round with many groups takes.
func TestRealBrokers(t *testing.T) {
	source, target := cluster.Pair(t)
	run := func(name string, test func(*fixture)) {
		t.Run(name, func(t *testing.T) {
			f := onClusters(t, source.Bootstrap(), target.Bootstrap())
			for _, admin := range []*kadm.Client{f.source, f.target} {
				f.clean(admin)
			}
			test(f)
		})
	}
	run("sync", testSync)
	run("consumer on the target", testConsumerOnTheTarget)
	run("active group", testActiveGroup)
	run("active group, new protocol", testNewProtocol)
	run("pending transaction", testPendingTransaction)
	run("many groups", testTime)
}

// clean makes the topics, and deletes the groups of the test before. A fresh broker
// has no coordinators yet.
func (f *fixture) clean(admin *kadm.Client) {
	f.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !coordinated(admin.FetchManyOffsets(f.ctx, "g", "g1", "g2")) && f.ctx.Err() == nil {
		<-tick.C
	}
	for _, err := range []error{createTopics(f.ctx, admin), deleteGroups(f.ctx, admin)} {
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

func coordinated(groups kadm.FetchOffsetsResponses) bool {
	for _, g := range groups {
		if g.Err != nil && kindOf(g.Err) == Retried {
			return false
		}
	}
	return true
}

func createTopics(ctx context.Context, admin *kadm.Client) error {
	made, err := admin.CreateTopics(ctx, 2, 1, nil, "t", "u")
	if err == nil {
		err = made.Error()
	}
	if err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
		return err
	}
	return nil
}

func deleteGroups(ctx context.Context, admin *kadm.Client) error {
	list, err := admin.ListGroups(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	deleted, err := admin.DeleteGroups(ctx, list.Groups()...)
	if err != nil {
		return err
	}
	return deleted.Error()
}

// testNewProtocol has a member by KIP-848 on the target.
func testNewProtocol(f *fixture) {
	f.commit(f.source, "g", "t", 0, 10, "")
	f.expect("first", map[Kind]int{Moved: 1})
	next := context.WithValue(f.ctx, "opt_in_kafka_next_gen_balancer_beta", true) // kgo's own key
	client, err := kgo.NewClient(kgo.SeedBrokers(f.config.Target.Properties["bootstrap.servers"]),
		kgo.WithContext(next), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit())
	if err != nil {
		f.t.Fatal(err)
	}
	defer client.Close()
	f.waitState("g", "Stable", func() { client.PollFetches(shortly(f.ctx)) })
	f.commit(f.source, "g", "t", 0, 20, "")
	f.expect("refused", map[Kind]int{Active: 1})
	f.holds("g", 0, 1010)
	held, _, err := f.groups.Look(f.ctx)
	if err != nil || len(held) != 1 || held[0].Members != 1 || held[0].State != "Stable" {
		f.t.Errorf("look: %+v %v", held, err)
	}
}

// testPendingTransaction has a commit on the target that a transaction holds open.
func testPendingTransaction(f *fixture) {
	f.commit(f.source, "g", "t", 0, 10, "")
	f.expect("first", map[Kind]int{Moved: 1})
	end := f.hold("g", 5)
	f.commit(f.source, "g", "t", 0, 20, "")
	f.expect("pending", map[Kind]int{Active: 1})
	f.holds("g", 0, 1010)
	end()
	for { // the marker is written after the answer
		if r := f.sync(); r.Kinds[ForeignCommit] == 1 {
			break
		}
	}
	f.holds("g", 0, 5)
}

// hold commits t/0 for a group inside a transaction and gives the function that ends it.
func (f *fixture) hold(group string, at int64) (end func()) {
	f.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.config.Target.Properties["bootstrap.servers"]))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	id := "pending"
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis = &id, 30000
	producer, err := begin.RequestWith(f.ctx, client)
	f.must(err, func() int16 { return producer.ErrorCode })
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.Group = id, group
	add.ProducerID, add.ProducerEpoch = producer.ProducerID, producer.ProducerEpoch
	added, err := add.RequestWith(f.ctx, client)
	f.must(err, func() int16 { return added.ErrorCode })
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch = id, producer.ProducerID, producer.ProducerEpoch
	commit.Group = group
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	topic.Topic, partition.Offset = "t", at
	topic.Partitions = append(topic.Partitions, partition)
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(f.ctx, client)
	f.must(err, func() int16 { return committed.Topics[0].Partitions[0].ErrorCode })
	return func() {
		finish := kmsg.NewPtrEndTxnRequest()
		finish.TransactionalID, finish.Commit = id, true
		finish.ProducerID, finish.ProducerEpoch = producer.ProducerID, producer.ProducerEpoch
		finished, err := finish.RequestWith(f.ctx, client)
		f.must(err, func() int16 { return finished.ErrorCode })
	}
}

// must fails on either error; a failed request has no answer to hold a code.
func (f *fixture) must(err error, code func() int16) {
	f.t.Helper()
	if err == nil {
		err = kerr.ErrorForCode(code())
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// testTime measures; it fails only if the work is wrong.
func testTime(f *fixture) {
	const groups, partitions = 500, 10
	for _, admin := range []*kadm.Client{f.source, f.target} {
		if _, err := admin.CreateTopic(f.ctx, partitions, 1, nil, "wide"); err != nil {
			f.t.Fatal(err)
		}
	}
	for i := range groups {
		var list kadm.Offsets
		for p := range int32(partitions) {
			list.Add(kadm.Offset{Topic: "wide", Partition: p, At: int64(i), LeaderEpoch: -1})
		}
		if err := f.source.CommitAllOffsets(f.ctx, fmt.Sprintf("many-%03d", i), list); err != nil {
			f.t.Fatal(err)
		}
	}
	round := func(why string, want map[Kind]int) {
		began := time.Now()
		f.expect(why, want)
		f.t.Logf("%s: %d groups x %d partitions in %s", why, groups, partitions, time.Since(began).Round(time.Millisecond))
	}
	f.sync() // topic ids are looked up
	round("steady", map[Kind]int{InSync: groups * partitions})
	allocated := testing.AllocsPerRun(5, func() { f.sync() })
	f.t.Logf("%.0f allocations a steady round", allocated)
	if _, err := f.target.DeleteGroups(f.ctx, names(f.sync())...); err != nil {
		f.t.Fatal(err)
	}
	round("all written", map[Kind]int{Moved: groups * partitions})
	round("steady", map[Kind]int{InSync: groups * partitions})
	began := time.Now()
	held, _, err := f.groups.Look(f.ctx)
	if err != nil || len(held) != groups || held[7].Positions[3].Partition != (chunk.Partition{Topic: "wide", Number: 3}) {
		f.t.Errorf("look: %d groups, %v", len(held), err)
	}
	f.t.Logf("look: %s", time.Since(began).Round(time.Millisecond))
}

func names(r Report) []string {
	var list []string
	for _, p := range r.Positions {
		if n := len(list); n == 0 || list[n-1] != p.Group {
			list = append(list, p.Group)
		}
	}
	return list
}
