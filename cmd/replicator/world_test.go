package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// world is two embedded clusters and a configuration that joins them.
type world struct {
	t              *testing.T
	ctx            context.Context
	source, target *kfake.Cluster
	config         string // path
}

func newWorld(t *testing.T, flow ...string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, source: fake(t, "source-id"), target: fake(t, "target-id")}
	w.config = w.write(addresses(w.source), addresses(w.target), flow...)
	return w
}

func fake(t *testing.T, id string) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func addresses(c *kfake.Cluster) string { return strings.Join(c.ListenAddrs(), ",") }

// write makes a configuration file; flow holds further lines of its flow.
func (w *world) write(source, target string, flow ...string) string {
	w.t.Helper()
	text := fmt.Sprintf(`clusters:
  old: {bootstrap.servers: "%s"}
  new: {bootstrap.servers: "%s"}
flows:
  - from: old
    to: new
    shards: 2
    commit_interval: 50ms
`, source, target)
	for _, line := range flow {
		text += "    " + line + "\n"
	}
	text += "http: {listen: \"\"}\n"
	path := filepath.Join(w.t.TempDir(), "replicator.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// outcome is what a command line did.
type outcome struct {
	code           int
	stdout, stderr string
}

// run carries out a command line; -c and the configuration are put behind the verb.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	args = append([]string{args[0], "-c", w.config}, args[1:]...)
	return command(w.ctx, args...)
}

func command(ctx context.Context, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := execute(ctx, args, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// must carries out a command line that is to succeed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	got := w.run(args...)
	if got.code != exitDone {
		w.t.Fatalf("%v: exit %d\n%s%s", args, got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

func (w *world) client(c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

func (w *world) admin(c *kfake.Cluster) *kadm.Client { return kadm.NewClient(w.client(c)) }

func (w *world) topic(c *kfake.Cluster, name string, partitions int32) {
	w.t.Helper()
	if err := c.CreateTopic(name, partitions, nil); err != nil {
		w.t.Fatal(err)
	}
}

// plain writes n records to a partition.
func (w *world) plain(c *kfake.Cluster, topic string, partition int32, n int) {
	w.t.Helper()
	client := w.client(c)
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%s/%d:%d", topic, partition, i)}
		if err := client.ProduceSync(w.ctx, r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// transactions writes several of n records each to a partition; every third is aborted.
func (w *world) transactions(c *kfake.Cluster, topic string, partition int32, count, n int) {
	w.t.Helper()
	client := w.client(c, kgo.TransactionalID("test-"+topic))
	for i := range count {
		if err := client.BeginTransaction(); err != nil {
			w.t.Fatal(err)
		}
		for j := range n {
			r := &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d.%d", i, j)}
			if err := client.ProduceSync(w.ctx, r).FirstErr(); err != nil {
				w.t.Fatal(err)
			}
		}
		end := kgo.TryCommit
		if i%3 == 2 {
			end = kgo.TryAbort
		}
		if err := client.EndTransaction(w.ctx, end); err != nil {
			w.t.Fatal(err)
		}
	}
}

// commit sets a group's position.
func (w *world) commit(c *kfake.Cluster, group, topic string, partition int32, at int64) {
	w.t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, at, -1)
	if err := w.admin(c).CommitAllOffsets(w.ctx, group, offsets); err != nil {
		w.t.Fatal(err)
	}
}

// next is the value that a committed reader at an offset reads first; "" at the end.
func (w *world) next(c *kfake.Cluster, topic string, partition int32, at int64) string {
	w.t.Helper()
	ends, err := w.admin(c).ListCommittedOffsets(w.ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.client(c, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(at)}}))
	end, _ := ends.Lookup(topic, partition)
	for seen := at; seen < end.Offset; {
		fetched := client.PollFetches(w.ctx)
		if err := fetched.Err(); err != nil {
			w.t.Fatalf("read %s/%d at %d: %v", topic, partition, at, err)
		}
		for _, r := range fetched.Records() {
			if !r.Attrs.IsControl() {
				return string(r.Value)
			}
			seen = r.Offset + 1
		}
	}
	return ""
}

// topics lists what a cluster holds, with partitions and explicit settings.
func (w *world) topics(c *kfake.Cluster) string {
	w.t.Helper()
	listed, err := w.admin(c).ListTopicsWithInternal(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for _, topic := range listed.Sorted() {
		info := c.TopicInfo(topic.Topic)
		fmt.Fprintf(&b, "%s %x %d %d\n", topic.Topic, topic.ID, len(topic.Partitions), len(info.Configs))
	}
	return b.String()
}
