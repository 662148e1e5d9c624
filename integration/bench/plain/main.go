// Command plain copies one topic with one consumer and one producer and nothing
// else: no groups, no maps, no look at single reports. It is what the benchmark
// measures against: the least that librdkafka takes from Go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func main() {
	source := flag.String("source", "", "bootstrap servers to read from")
	target := flag.String("target", "", "bootstrap servers to write to")
	from := flag.String("from", "", "source topic")
	to := flag.String("to", "", "target topic, which exists and has the same partitions")
	codec := flag.String("codec", "none", "compression on the target")
	follow := flag.Bool("follow", false, "go on at the end, until killed")
	flag.Parse()
	debug.SetGCPercent(400) // helps such a loop by up to a tenth
	if err := run(*source, *target, *from, *to, *codec, *follow); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run(source, target, from, to, codec string, follow bool) error {
	consumer, err := ck.NewConsumer(&ck.ConfigMap{
		"bootstrap.servers":      source,
		"group.id":               "plain", // librdkafka wants one; nothing is committed
		"enable.auto.commit":     false,
		"fetch.queue.backoff.ms": 10, // the default of a second would be most of the time
		"enable.metrics.push":    false,
	})
	if err != nil {
		return err
	}
	defer consumer.Close() // nothing is stored
	producer, err := ck.NewProducer(&ck.ConfigMap{
		"bootstrap.servers":            target,
		"compression.type":             codec,
		"linger.ms":                    5,
		"batch.size":                   1_000_000,
		"message.max.bytes":            4_000_000, // a record of 1 MB is above the default
		"batch.num.messages":           100_000,
		"queue.buffering.max.messages": 200_000,
		"queue.buffering.max.kbytes":   64 << 10,
		"go.delivery.reports":          false,
		"go.events.channel.size":       1000,
		"go.produce.channel.size":      0,
		"enable.metrics.push":          false,
	})
	if err != nil {
		return err
	}
	defer producer.Close()
	ends, err := assign(consumer, from, follow)
	if err != nil {
		return err
	}
	if err := copyAll(consumer, producer, ends, to); err != nil {
		return err
	}
	if left := producer.Flush(60_000); left > 0 {
		return fmt.Errorf("%d records are not written after a minute", left)
	}
	return nil
}

// assign begins to read all partitions and gives their ends, or ends that are never
// reached.
func assign(consumer *ck.Consumer, topic string, follow bool) (map[int32]ck.Offset, error) {
	const patience = 30_000 // ms
	meta, err := consumer.GetMetadata(&topic, false, patience)
	if err != nil {
		return nil, err
	}
	ends := map[int32]ck.Offset{}
	var list []ck.TopicPartition
	for _, p := range meta.Topics[topic].Partitions {
		low, high, err := consumer.QueryWatermarkOffsets(topic, p.ID, patience)
		if err != nil {
			return nil, err
		}
		if follow {
			high = math.MaxInt64
		}
		if low < high {
			ends[p.ID] = ck.Offset(high)
			list = append(list, ck.TopicPartition{Topic: &topic, Partition: p.ID, Offset: ck.Offset(low)})
		}
	}
	return ends, consumer.Assign(list)
}

// copyAll copies until the last record of each partition has been read.
func copyAll(consumer *ck.Consumer, producer *ck.Producer, ends map[int32]ck.Offset, to string) error {
	full := time.NewTicker(time.Millisecond)
	defer full.Stop()
	out := ck.Message{TopicPartition: ck.TopicPartition{Topic: &to}}
	for len(ends) > 0 {
		switch event := consumer.Poll(100).(type) {
		case *ck.Message:
			at := event.TopicPartition
			if at.Error != nil {
				return at.Error
			}
			out.TopicPartition.Partition = at.Partition
			out.Key, out.Value, out.Headers, out.Timestamp = event.Key, event.Value, event.Headers, event.Timestamp
			for {
				err := producer.Produce(&out, nil)
				var kerr ck.Error
				if err == nil {
					break
				}
				if !errors.As(err, &kerr) || kerr.Code() != ck.ErrQueueFull {
					return err
				}
				<-full.C
			}
			if at.Offset+1 >= ends[at.Partition] {
				delete(ends, at.Partition)
			}
		case ck.Error:
			if event.IsFatal() || event.Code() == ck.ErrAllBrokersDown {
				return event
			}
		}
	}
	return nil
}
