package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"golang.org/x/sync/errgroup"

	"replicator/integration/cluster"
)

// Producers of other makes than franz-go, which package workload is written with:
// each lays out and compresses batches in its own way.

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// sentence compresses well: clients send what does not grow smaller as it is.
func sentence(i int) string {
	return fmt.Sprintf("record %d: ", i) + strings.Repeat("the same words again, ", 6)
}

// javaClients writes with Kafka's own producer: n records of each codec, with
// idempotence as is its default; and n in transactions to another topic.
func javaClients(ctx context.Context, t *testing.T, bootstrap, topic, transactional string, n int) {
	t.Helper()
	libs := cluster.Jars(t, cluster.DefaultVersion)
	lines := filepath.Join(t.TempDir(), "values")
	must(t, os.WriteFile(lines, []byte(sentence(0)+"\n"+sentence(1)+"\n"), 0o600))
	var input strings.Builder
	for i := range n {
		key := fmt.Sprintf("key %d", i)
		if i%10 == 0 {
			key = "NULL"
		}
		fmt.Fprintf(&input, "number:%d,kind:text\t%s\t%s\n", i, key, sentence(i))
	}
	var group errgroup.Group
	group.SetLimit(2)
	for _, codec := range codecs {
		group.Go(func() error {
			return java(ctx, libs, input.String(), "org.apache.kafka.tools.ConsoleProducer",
				"--bootstrap-server", bootstrap, "--topic", topic, "--compression-codec", codec,
				"--property", "parse.headers=true", "--property", "parse.key=true", "--property", "null.marker=NULL")
		})
	}
	group.Go(func() error {
		return java(ctx, libs, "", "org.apache.kafka.tools.ProducerPerformance",
			"--topic", transactional, "--num-records", fmt.Sprint(n), "--payload-file", lines, "--throughput", "2000",
			"--transactional-id", transactional, "--transaction-duration-ms", "50",
			"--producer-props", "bootstrap.servers="+bootstrap, "compression.type=lz4")
	})
	must(t, group.Wait())
}

// java runs a class of Kafka's tools, with the jars in libs.
func java(ctx context.Context, libs, input, class string, args ...string) error {
	program := "java"
	if root := os.Getenv("JAVA_HOME"); root != "" {
		program = filepath.Join(root, "bin", "java")
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(libs, "*"), class}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", class, err, out)
	}
	return nil
}

// librdkafka writes n records of each codec, every other codec with idempotence,
// and transactions to another topic, the second of three aborted.
func librdkafka(ctx context.Context, t *testing.T, bootstrap, topic, transactional string, n int) {
	t.Helper()
	for i, codec := range codecs {
		p := open(t, ck.ConfigMap{"bootstrap.servers": bootstrap, "compression.type": codec,
			"enable.idempotence": i%2 == 0, "linger.ms": 5, "batch.num.messages": 50})
		deliver(ctx, t, p, topic, n)
		p.Close()
	}
	p := open(t, ck.ConfigMap{"bootstrap.servers": bootstrap, "compression.type": "zstd", "linger.ms": 5,
		"batch.num.messages": 50, "transactional.id": transactional})
	defer p.Close()
	must(t, p.InitTransactions(ctx))
	for i := range 3 {
		must(t, p.BeginTransaction())
		deliver(ctx, t, p, transactional, n/3)
		if i == 1 {
			must(t, p.AbortTransaction(ctx))
		} else {
			must(t, p.CommitTransaction(ctx))
		}
	}
}

func open(t *testing.T, settings ck.ConfigMap) *ck.Producer {
	t.Helper()
	p, err := ck.NewProducer(&settings)
	must(t, err)
	return p
}

// deliver writes to the two partitions of a topic, and waits for all answers.
func deliver(ctx context.Context, t *testing.T, p *ck.Producer, topic string, n int) {
	t.Helper()
	reports := make(chan ck.Event, n)
	for i := range n {
		must(t, p.Produce(&ck.Message{
			TopicPartition: ck.TopicPartition{Topic: &topic, Partition: int32(i / 7 % 2)},
			Key:            fmt.Appendf(nil, "key %d", i), Value: []byte(sentence(i)),
			Headers: []ck.Header{{Key: "number", Value: fmt.Append(nil, i)}, {Key: "null"}},
		}, reports))
	}
	for range n {
		select {
		case report := <-reports:
			must(t, report.(*ck.Message).TopicPartition.Error)
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}
