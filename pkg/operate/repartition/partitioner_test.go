package repartition

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/chunk"
)

// Answers that the Java client's and librdkafka's own tests hold.
func TestHashesAreThoseOfTheClients(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "abc": 479470107,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"kafka": -798503068, "giberish123456789": -1890243828, "1234": -1614185708, "234": -406844982,
		"34": -2026295078, "4": 1514888353, "": 275646681,
		"PreAmbleWillBeRemoved,ThePrePartThatIs": 2017611548,
		"reAmbleWillBeRemoved,ThePrePartThatIs":  1247982455,
	} {
		if got := int32(chunk.Murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	for key, want := range map[string]uint32{
		"kafka": 0xd33c4e1, "giberish123456789": 0x77a58295, "1234": 0x23bdd03, "234": 0x2dea3cd2, "34": 0x740fa83e,
		"4": 0x310ca263, "PreAmbleWillBeRemoved,ThePrePartThatIs": 0x65cbd69c,
		"reAmbleWillBeRemoved,ThePrePartThatIs": 0x6e49c79a, "": 0x7ee3623b,
	} {
		if got := fnv1a([]byte(key)); got != want {
			t.Errorf("fnv1a(%q) = %#x, want %#x", key, got, want)
		}
	}
	for key, want := range map[string]uint32{"kafka": 0x5bbc7517, "giberish123456789": 0x7b3a8e3f} {
		if got := checksum([]byte(key)); got != want {
			t.Errorf("crc32(%q) = %#x, want %#x", key, got, want)
		}
	}
}

// keys are of all lengths, one of them empty, and one is missing.
func keys() [][]byte {
	all := [][]byte{nil, {}}
	for i := range 300 {
		all = append(all, []byte(strings.Repeat("k", i%9)+fmt.Sprint(i)))
	}
	return append(all, []byte{0xff, 0x80, 0, 0x7f, 0xfe})
}

// What librdkafka itself writes stands where each partitioner of ours says.
func TestLibrdkafkaPlacesAlike(t *testing.T) {
	const partitions = 7
	cluster := kafkatest.Start(t, kfake.SeedTopics(partitions, "keys"))
	for _, name := range Partitioners() {
		producer, err := ck.NewProducer(&ck.ConfigMap{"bootstrap.servers": cluster.Address(),
			"partitioner": name, "enable.metrics.push": false, "sticky.partitioning.linger.ms": 0})
		if err != nil {
			t.Fatal(err)
		}
		put, _ := partitionerNamed(name)
		reports := make(chan ck.Event, len(keys()))
		topic := "keys"
		for _, key := range keys() {
			err := producer.Produce(&ck.Message{Key: key, Value: []byte("v"), Opaque: key,
				TopicPartition: ck.TopicPartition{Topic: &topic, Partition: ck.PartitionAny}}, reports)
			if err != nil {
				t.Fatal(err)
			}
		}
		for range keys() {
			m := (<-reports).(*ck.Message)
			if m.TopicPartition.Error != nil {
				t.Fatal(m.TopicPartition.Error)
			}
			key := m.Opaque.([]byte)
			if want, ok := put.of(key, partitions); ok && m.TopicPartition.Partition != want {
				t.Errorf("%s: key %q of length %d stands in %d, ours says %d", name, key, len(key),
					m.TopicPartition.Partition, want)
			}
		}
		producer.Close()
	}
}

// What franz-go writes by default stands where the Java client's partitioner says.
func TestFranzPlacesAlike(t *testing.T) {
	const partitions = 7
	cluster := kafkatest.Start(t, kfake.SeedTopics(partitions, "keys"))
	client := cluster.Client(kgo.DefaultProduceTopic("keys"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	java, _ := partitionerNamed(Java)
	for _, key := range keys() {
		r, err := client.ProduceSync(ctx, &kgo.Record{Key: key}).First()
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := java.of(key, partitions); ok && r.Partition != want {
			t.Errorf("key %q stands in %d, ours says %d", key, r.Partition, want)
		}
	}
}

// Each partitioner is found by where it puts keys, with its twin that differs in
// missing keys alone.
func TestPartitionerIsFoundByItsKeys(t *testing.T) {
	for _, p := range partitioners {
		var sample []placed
		for _, key := range keys() {
			if at, ok := p.of(key, 7); ok {
				sample = append(sample, placed{key, at})
			}
		}
		fit := fitting(sample, 7)
		twin := strings.TrimSuffix(p.name, "_random")
		for _, name := range fit {
			if strings.TrimSuffix(name, "_random") != twin {
				t.Errorf("what %s places is explained by %v", p.name, fit)
			}
		}
		if !slices.Contains(fit, p.name) {
			t.Errorf("what %s places is explained by %v alone", p.name, fit)
		}
		sample[5].partition = (sample[5].partition + 1) % 7
		if fit := fitting(sample, 7); len(fit) > 0 {
			t.Errorf("%s, one key elsewhere: explained by %v", p.name, fit)
		}
	}
}
