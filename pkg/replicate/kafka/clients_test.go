package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"replicator/internal/kafkatest"
)

// logged is a log that a test reads while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *Logger { return NewLogger(slog.New(slog.NewTextHandler(l, nil))) }

func brokers(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	return kafkatest.Start(t, append([]kfake.Opt{kfake.SeedTopics(1, "orders")}, opts...)...).Address()
}

func seconds(t *testing.T, n int) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// How long to wait for an answer that is to come, and for one that is not.
const answers, fails = 20, 2

// reach asks the cluster for its topics with both libraries, each for some seconds.
func reach(t *testing.T, c Config, wait int) (librdkafka, franz error) {
	t.Helper()
	handle, err := NewConsumer(c, map[string]any{"group.id": "g"})
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	_, librdkafka = handle.GetMetadata(nil, true, wait*1000)
	return librdkafka, reachFranz(t, c, wait)
}

// reachFranz asks the cluster with franz-go alone.
func reachFranz(t *testing.T, c Config, wait int) error {
	t.Helper()
	client, err := NewFranz(c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = kadm.NewClient(client).ListTopics(seconds(t, wait))
	return err
}

func TestOpenSilently(t *testing.T) {
	var out logged
	c := Config{Name: "old", Logger: out.logger(), Properties: map[string]string{
		"bootstrap.servers": brokers(t),
		// One of each kind: librdkafka warns where the kind does not fit.
		"fetch.min.bytes": "1", "session.timeout.ms": "7000", "linger.ms": "1", "compression.type": "lz4",
	}}
	reader, err := NewConsumer(c, map[string]any{"group.id": "g", "enable.auto.commit": false})
	if err != nil {
		t.Fatal(err)
	}
	writer, err := NewProducer(c, map[string]any{"transactional.id": "t", "transaction.timeout.ms": 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.InitTransactions(seconds(t, 10)); err != nil {
		t.Errorf("InitTransactions: %v", err)
	}
	if _, err := reader.GetMetadata(nil, true, 5000); err != nil {
		t.Errorf("consumer's metadata: %v", err)
	}
	if librdkafka, franz := reach(t, c, answers); librdkafka != nil || franz != nil {
		t.Errorf("librdkafka: %v, franz-go: %v", librdkafka, franz)
	}
	writer.Close()
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if got := out.String(); got != "" {
		t.Errorf("logged while nothing happened:\n%s", got)
	}
}

// The tables leave properties out of one kind; librdkafka itself says that each
// of them has no effect there.
func TestKindsAreLibrdkafkas(t *testing.T) {
	settings := ck.ConfigMap{"go.logs.channel.enable": true, "log_level": 7}
	values := map[string]string{"fetch.min.bytes": "1", "session.timeout.ms": "7000", "check.crcs": "true",
		"queued.min.messages": "10", "fetch.queue.backoff.ms": "10"}
	for property, value := range values {
		if onlyFor[property] != consumer {
			t.Errorf("%s is for %q, want %q", property, onlyFor[property], consumer)
		}
		settings[property] = value
	}
	writer, err := ck.NewProducer(&settings)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	deadline := time.After(10 * time.Second)
	for len(values) > 0 {
		select {
		case line := <-writer.Logs():
			for property := range values {
				if strings.Contains(line.Message, "property "+property+" is a consumer property") {
					delete(values, property)
				}
			}
		case <-deadline:
			t.Fatalf("librdkafka did not call these consumer properties: %v", values)
		}
	}
}

func TestSettings(t *testing.T) {
	c := Config{Name: "old", Properties: with("linger.ms", "7", "fetch.min.bytes", "9", "client.id", "mine")}
	got, err := c.settings(producer, map[string]any{"queue.buffering.max.ms": 5, "acks": "all",
		"message.timeout.ms": 2 * time.Second, "enable.idempotence": true, "go.events.channel.size": 16})
	if err != nil {
		t.Fatal(err)
	}
	want := ck.ConfigMap{
		"metadata.broker.list":   "127.0.0.1:1", // under its first name, as all that has two
		"queue.buffering.max.ms": "7",           // the configuration stands above the caller, whatever the alias
		"request.required.acks":  "all",
		"message.timeout.ms":     "2000",
		"enable.idempotence":     "true",
		"client.id":              "mine",
		"enable.metrics.push":    false, "log.connection.close": false, "log.thread.name": false,
		"metadata.recovery.rebootstrap.trigger.ms": "15000", "topic.metadata.refresh.interval.ms": "10000",
		"go.events.channel.size": 16,
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for property, value := range want {
		if got[property] != value {
			t.Errorf("%s = %#v, want %#v", property, got[property], value)
		}
	}
	c.Properties["group.id"] = "mine"
	var problem *Problem
	if _, err := c.settings(consumer, nil); !errors.As(err, &problem) || !strings.Contains(problem.Remedy(), "group.id") {
		t.Errorf("an owned property: got %v, want a problem with a remedy that names it", err)
	}
	delete(c.Properties, "group.id")
	if _, err := c.settings(consumer, map[string]any{"linger.ms": 1.5}); err == nil {
		t.Error("a float as a value: got no error")
	}
}

func TestSASL(t *testing.T) {
	for mechanism, kfakes := range map[string]string{
		"PLAIN": "PLAIN", "SCRAM-SHA-256": "SCRAM-SHA-256", "SCRAM-SHA-512": "SCRAM-SHA-512",
	} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			servers := brokers(t, kfake.EnableSASL(), kfake.Superuser(kfakes, "mirror", "hunter2"))
			var out logged
			c := Config{Name: "old", Logger: out.logger(), Properties: map[string]string{
				"bootstrap.servers": servers, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism,
				"sasl.username": "mirror", "sasl.password": "hunter2",
			}}
			if librdkafka, franz := reach(t, c, answers); librdkafka != nil || franz != nil {
				t.Fatalf("right password: librdkafka %v, franz-go %v", librdkafka, franz)
			}
			c.Properties["sasl.password"] = "wrong-hunter3"
			librdkafka, _ := reach(t, c, fails)
			alone := c // knows nothing of what the other library met
			alone.Logger = out.logger()
			franz := reachFranz(t, alone, fails)
			for library, explained := range map[string]error{
				"librdkafka": c.Explain(librdkafka), "franz-go": alone.Explain(franz),
			} {
				t.Logf("%s: %v", library, explained)
				var problem *Problem
				if !errors.As(explained, &problem) {
					t.Fatalf("%s, wrong password: got %v, want a Problem", library, explained)
				}
				if !strings.Contains(problem.What, "refused the credentials") || !strings.Contains(problem.Fix, `"mirror"`) {
					t.Errorf("%s: got %q, remedy %q; want both to speak of the credentials of user mirror",
						library, problem, problem.Remedy())
				}
				if strings.Contains(problem.Error()+problem.Fix+out.String(), "hunter3") {
					t.Errorf("%s: the password is shown: %v; log: %s", library, problem, out.String())
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	var out logged
	c := Config{Name: "old", Logger: out.logger(), Properties: with()}
	librdkafka, franz := reach(t, c, fails)
	for library, err := range map[string]error{"librdkafka": librdkafka, "franz-go": franz} {
		var problem *Problem
		if !errors.As(c.Explain(err), &problem) ||
			!strings.Contains(problem.What, "cluster old (127.0.0.1:1) cannot be reached") ||
			!strings.Contains(problem.What, "Connection refused") ||
			!strings.Contains(problem.Fix, "clusters.old.bootstrap.servers") {
			t.Errorf("%s: got %q, want one that names cluster, host, cause and what to check", library, c.Explain(err))
		}
	}
	if n := strings.Count(out.String(), "Connection refused"); n < 1 || n > 4 {
		t.Errorf("the refused connection is logged %d times, want once a tag and handle name at most:\n%s", n, out.String())
	}
}

// A broker that is shut out by its controller tells of no brokers, once: the handles find the cluster again. Whether
// one does so at once is a race inside of librdkafka, which some of so many lose.
func TestNoBrokersInMetadata(t *testing.T) {
	t.Parallel()
	var handles errgroup.Group
	for range 24 {
		fake := kafkatest.Start(t, kfake.SeedTopics(1, "orders"))
		handles.Go(func() error { return findAgain(fake, "orders") })
	}
	if err := handles.Wait(); err != nil {
		t.Fatal(err)
	}
}

// findAgain reads a topic to its end, loses the cluster, and waits for the next record.
func findAgain(fake *kafkatest.Cluster, topic string) error {
	properties := fake.Properties()
	properties["topic.metadata.refresh.interval.ms"] = "500"
	consumer, err := NewConsumer(Config{Name: "old", Properties: properties}, map[string]any{
		"group.id": "x", "enable.partition.eof": true, "auto.offset.reset": "error",
	})
	if err != nil {
		return err
	}
	defer consumer.Close() // nothing is committed
	if err := consumer.Assign([]ck.TopicPartition{{Topic: &topic, Offset: 0}}); err != nil {
		return err
	}
	if at, isEnd := poll(consumer); at != 0 || !isEnd {
		return fmt.Errorf("offset %d is read, want the end at once", at)
	}
	namesNoBroker(fake, topic)
	client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(context.Background(), kgo.StringRecord("after")).FirstErr(); err != nil {
		return err
	}
	for {
		switch at, isEnd := poll(consumer); {
		case at < 0:
			return errors.New("the handle says nothing for a minute")
		case !isEnd:
			return nil
		}
	}
}

// namesNoBroker answers one question for metadata as such a broker does, and returns when it was asked.
func namesNoBroker(fake *kafkatest.Cluster, topic string) {
	told := make(chan struct{})
	fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		defer close(told)
		answer := r.ResponseKind().(*kmsg.MetadataResponse)
		one := kmsg.NewMetadataResponseTopic()
		one.Topic, one.TopicID = &topic, fake.TopicInfo(topic).TopicID
		none := kmsg.NewMetadataResponseTopicPartition()
		none.ErrorCode, none.Leader, none.LeaderEpoch = kerr.LeaderNotAvailable.Code, -1, -1
		one.Partitions = append(one.Partitions, none)
		answer.Topics = append(answer.Topics, one)
		return answer, nil, true
	})
	<-told
}

// poll gives the offset of the next record, or of the partition's end; -1 after a minute without.
func poll(consumer *Consumer) (at ck.Offset, isEnd bool) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		switch event := consumer.Poll(100).(type) {
		case ck.PartitionEOF:
			return event.Offset, true
		case *ck.Message:
			return event.TopicPartition.Offset, false
		}
	}
	return -1, false
}
