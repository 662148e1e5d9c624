package kafkatest

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records makes n records of a partition; each value tells where it belongs.
func Records(topic string, partition int32, n int) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		all[i] = &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%s/%d:%d", topic, partition, i)}
	}
	return all
}

// Produce writes records to the partitions that they name, each in a batch of its own.
func (c *Cluster) Produce(records ...*kgo.Record) {
	c.t.Helper()
	client := c.Writer()
	defer client.Close()
	c.write(client, records)
}

// Fill writes n records to a partition.
func (c *Cluster) Fill(topic string, partition int32, n int) {
	c.t.Helper()
	c.Produce(Records(topic, partition, n)...)
}

// transactions counts the producers of Transaction, so that none fences another.
var transactions atomic.Int64

// Transaction writes records as Produce does, in a transaction of a producer of its own.
func (c *Cluster) Transaction(end kgo.TransactionEndTry, records ...*kgo.Record) {
	c.t.Helper()
	client := c.Writer(kgo.TransactionalID(fmt.Sprint("kafkatest-", transactions.Add(1))))
	defer client.Close()
	c.must("begin a transaction", client.BeginTransaction())
	c.write(client, records)
	ctx, cancel := within()
	defer cancel()
	c.must("end a transaction", client.EndTransaction(ctx, end))
}

func (c *Cluster) write(client *kgo.Client, records []*kgo.Record) {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	for _, r := range records {
		c.must("write", client.ProduceSync(ctx, r).FirstErr())
	}
}

// Commit sets a group's position.
func (c *Cluster) Commit(group, topic string, partition int32, at int64) {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	var positions kadm.Offsets
	positions.AddOffset(topic, partition, at, -1)
	c.must("commit", c.Admin().CommitAllOffsets(ctx, group, positions))
}

// Read gives what a committed reader sees from an offset up to the end of a partition's
// log: it waits for transactions that are open.
func (c *Cluster) Read(topic string, partition int32, from int64) []*kgo.Record {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	admin := c.Admin()
	starts, err := admin.ListStartOffsets(ctx, topic)
	c.must("list offsets", err)
	ends, err := admin.ListEndOffsets(ctx, topic)
	c.must("list offsets", err)
	start, _ := starts.Lookup(topic, partition)
	end, there := ends.Lookup(topic, partition)
	if !there {
		c.t.Fatalf("there is no %s/%d", topic, partition)
	}
	at := max(from, start.Offset)
	client := c.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(at)}}))
	defer client.Close()
	var all []*kgo.Record
	for at < end.Offset {
		fetched := client.PollFetches(ctx)
		c.must(fmt.Sprintf("read %s/%d at %d", topic, partition, at), fetched.Err())
		for _, r := range fetched.Records() {
			at = r.Offset + 1
			if !r.Attrs.IsControl() && r.Offset < end.Offset {
				all = append(all, r)
			}
		}
	}
	return all
}

// Stored gives the bytes of a partition's log: batches and markers, committed or not.
func (c *Cluster) Stored(topic string, partition int32) []byte {
	c.t.Helper()
	ctx, cancel := within()
	defer cancel()
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes, request.SessionEpoch = math.MaxInt32, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, c.TopicInfo(topic).TopicID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset = partition, c.PartitionInfo(topic, partition).LogStartOffset
	p.PartitionMaxBytes = math.MaxInt32
	t.Partitions = append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	answer, err := c.Client().Broker(int(c.LeaderFor(topic, partition))).Request(ctx, request)
	c.must("fetch", err)
	got := answer.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	c.must("fetch", kerr.ErrorForCode(got.ErrorCode))
	return got.RecordBatches
}

// TellProducers has the cluster say (KIP-664) that these producer ids write to partition 0 of topics now.
func (c *Cluster) TellProducers(by map[string][]int64) {
	c.ControlKey(int16(kmsg.DescribeProducers), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		response := r.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, asked := range r.(*kmsg.DescribeProducersRequest).Topics {
			topic := kmsg.NewDescribeProducersResponseTopic()
			topic.Topic = asked.Topic
			partition := kmsg.NewDescribeProducersResponseTopicPartition()
			for _, id := range by[asked.Topic] {
				one := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				one.ProducerID, one.LastTimestamp, one.CurrentTxnStartOffset = id, time.Now().UnixMilli(), -1
				partition.ActiveProducers = append(partition.ActiveProducers, one)
			}
			topic.Partitions = append(topic.Partitions, partition)
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
}
