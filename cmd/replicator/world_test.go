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

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
)

// world is two embedded clusters and a configuration that joins them.
type world struct {
	t              *testing.T
	ctx            context.Context
	source, target *kafkatest.Cluster
	config         string // path
}

func newWorld(t *testing.T, flow ...string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, source: kafkatest.Start(t, kfake.ClusterID("source-id")),
		target: kafkatest.Start(t, kfake.ClusterID("target-id"))}
	w.config = w.write(w.source.Address(), w.target.Address(), flow...)
	return w
}

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

// transactions writes several of n records each to a partition; every third is aborted.
func (w *world) transactions(c *kafkatest.Cluster, topic string, partition int32, count, n int) {
	w.t.Helper()
	for i := range count {
		records := kafkatest.Records(topic, partition, n)
		for j, r := range records {
			r.Value = fmt.Appendf(nil, "%d.%d", i, j)
		}
		c.Transaction(kgo.TransactionEndTry(i%3 != 2), records...)
	}
}

// next is the value that a committed reader at an offset reads first; "" at the end.
func (w *world) next(c *kafkatest.Cluster, topic string, partition int32, at int64) string {
	w.t.Helper()
	for _, r := range c.Read(topic, partition, at) {
		return string(r.Value)
	}
	return ""
}

// topics lists what a cluster holds, with partitions and explicit settings.
func (w *world) topics(c *kafkatest.Cluster) string {
	w.t.Helper()
	listed, err := c.Admin().ListTopicsWithInternal(w.ctx)
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
