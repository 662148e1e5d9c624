package integration

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// Both sides have three brokers, and every topic three replicas. Six brokers keep a small
// machine busy for minutes, so that this runs when it is asked for: make brokers.
func TestSeveralBrokers(t *testing.T) {
	if os.Getenv("REPLICATOR_SEVERAL") == "" {
		t.Skip("REPLICATOR_SEVERAL is not set")
	}
	source, target := cluster.Pair(t, cluster.Brokers(3))
	for _, c := range []struct {
		name string
		test func(t *testing.T, source, target *cluster.Cluster, lane string)
	}{{"leaders", leadersMove}, {"nearest", nearest}, {"small batches", smallBatches}} {
		t.Run(c.name, func(t *testing.T) {
			onLanes(t, func(t *testing.T, lane string) { c.test(t, source.For(t), target.For(t), lane) })
		})
	}
}

// leaves is, by lane, how the brokers that lead everything leave.
var leaves = map[string]struct{ source, target func(*cluster.Cluster) }{
	"batch":  {source: (*cluster.Cluster).Stop, target: (*cluster.Cluster).Kill},
	"record": {source: (*cluster.Cluster).Kill, target: (*cluster.Cluster).Stop},
}

// One broker of each side comes to lead everything there, the ledger, the groups and
// the transactions too, and then leaves and comes back, while applications write and
// read: the flow goes on each time, in the same two processes, and nothing differs in
// the end.
func leadersMove(t *testing.T, source, target *cluster.Cluster, lane string) {
	const leader = 1
	h := startHardDay(t, source, target, lane, 2, 1000)
	sides := []*cluster.Cluster{source, target}
	for _, c := range sides {
		lead(h.ctx, t, c, func(int32) int { return leader })
	}
	h.flowing("after an election")
	leaves[lane].source(source.Broker(leader))
	leaves[lane].target(target.Broker(leader))
	h.flowing("without the leaders")
	for _, c := range sides {
		c.Broker(leader).Start()
	}
	for _, c := range sides {
		whole(h.ctx, t, c)
	}
	h.flowing("with all brokers again")
	h.end()
}

// A flow that names its rack reads from the replica there, as the source's brokers say
// themselves; from the leaders when that replica is dead; and from it again later.
func nearest(t *testing.T, source, target *cluster.Cluster, lane string) {
	const near = 2
	ctx := deadline(t, 6*time.Minute)
	topic := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 4, workload.KeepConfigs(), topic))
	lead(ctx, t, source, func(partition int32) int { return []int{1, 3}[partition%2] })
	logRequests(ctx, t, source, 1, 2, 3)
	s := newSite(t, source, target, patterns(t, []string{topic}, "lane: "+lane)...)
	s.edit("old: {", fmt.Sprintf("old: {client.rack: %q, client.id: %q, ", source.Rack(near), topic))
	d := s.run()
	write := func(seed uint64) {
		t.Helper()
		must(t, workload.Bulk(ctx, source.Bootstrap(), topic, workload.BulkSpec{Seed: seed, Records: 8000, Size: 100}))
		judged(ctx, t, s.sides(), []string{topic}, nil)
	}
	write(1) // a leader may serve what its follower does not have yet
	before := served(source, topic)
	write(2)
	now := served(source, topic)
	t.Logf("broker %d is near; bytes by broker: %v, then %v", near, before, now)
	if fromNear, fromFar := now[near]-before[near], now[1]-before[1]+now[3]-before[3]; fromNear < 4*fromFar+1 {
		t.Errorf("%d bytes came from the near replica, %d from others", fromNear, fromFar)
	}

	writer, err := workload.StartProducer(ctx, source.Bootstrap(), topic,
		workload.ProducerSpec{Seed: 3, Rate: 500, Transactional: topic, AbortEvery: 5})
	must(t, err)
	source.Broker(near).Kill()
	arrived := copied(ctx, t, s.sides(), topic)
	eventually(t, 2*time.Minute, "records arrive without the near replica", func() bool {
		return copied(ctx, t, s.sides(), topic) > arrived+1000
	})
	source.Broker(near).Start()
	logRequests(ctx, t, source, near)
	before = served(source, topic)
	eventually(t, 2*time.Minute, "the near replica is read again", func() bool {
		return served(source, topic)[near] > before[near]
	})
	_, err = writer.Stop()
	must(t, err)
	judged(ctx, t, s.sides(), []string{topic}, stand(ctx, t, source.Bootstrap(), 4, 12, topic))
	whole(ctx, t, source)
	d.stop()
}

// A source whose batches have one record each is copied, although the target's replicas
// take few requests in the time that a transaction has.
func smallBatches(t *testing.T, source, target *cluster.Cluster, lane string) {
	const records = 30_000
	ctx := deadline(t, 6*time.Minute)
	topic := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	must(t, workload.Bulk(ctx, source.Bootstrap(), topic,
		workload.BulkSpec{Seed: 1, Records: records, Size: 300, BatchBytes: 600}))
	s, address := newSite(t, source, target, patterns(t, []string{topic}, "lane: "+lane)...).replica()
	begun := time.Now()
	d := s.run()
	judged(ctx, t, s.sides(), []string{topic}, stand(ctx, t, source.Bootstrap(), 4, 12, topic))
	joined, _ := metric(t, address, "rebuilt_batches_total", "reason", "small")
	retries, found := metric(t, address, "retries_total")
	t.Logf("%d records in %s; %g batches were joined", records, time.Since(begun), joined)
	if _, serves := metric(t, address, "records_total"); !serves || found && retries > 0 {
		t.Errorf("shards started over %g times; the daemon serves its metrics: %t", retries, serves)
	}
	d.stop()
}

// logRequests has brokers log every request that they answer (KIP-412), until the test
// ends or they do.
func logRequests(ctx context.Context, t *testing.T, c *cluster.Cluster, brokers ...int) {
	t.Helper()
	setRequestLog(ctx, t, c, kmsg.IncrementalAlterConfigOpSet, brokers)
	t.Cleanup(func() {
		setRequestLog(deadline(t, time.Minute), t, c, kmsg.IncrementalAlterConfigOpDelete, brokers)
	})
}

func setRequestLog(
	ctx context.Context, t *testing.T, c *cluster.Cluster, op kmsg.IncrementalAlterConfigOp, brokers []int,
) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.Bootstrap(), ",")...))
	must(t, err)
	defer client.Close()
	for _, broker := range brokers {
		set := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		set.Name, set.Op, set.Value = "kafka.request.logger", op, kmsg.StringPtr("DEBUG")
		logger := kmsg.NewIncrementalAlterConfigsRequestResource()
		logger.ResourceType, logger.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, strconv.Itoa(broker)
		logger.Configs = append(logger.Configs, set)
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.Resources = append(request.Resources, logger)
		answer, err := client.Broker(broker).Request(ctx, request)
		must(t, err)
		must(t, kerr.ErrorForCode(answer.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode))
	}
}

var recordBytes = regexp.MustCompile(`"recordsSizeInBytes":(\d+)`)

// served adds up, by broker, the bytes of records in the answers to a client's fetches
// that were logged.
func served(c *cluster.Cluster, clientID string) map[int]int64 {
	sums := map[int]int64{}
	for broker := 1; broker <= 3; broker++ {
		for _, n := range logged(c.Broker(broker), "FETCH", clientID, recordBytes) {
			sums[broker] += n
		}
	}
	return sums
}

// logged finds numbers in the log of a client's requests of one kind and their answers.
func logged(c *cluster.Cluster, kind, clientID string, number *regexp.Regexp) []int64 {
	var all []int64
	for line := range strings.Lines(c.Logs()) {
		if !holds(line, fmt.Sprintf(`"requestApiKeyName":%q`, kind), fmt.Sprintf(`"clientId":%q`, clientID)) {
			continue
		}
		for _, found := range number.FindAllStringSubmatch(line, -1) {
			n, _ := strconv.ParseInt(found[1], 10, 64)
			all = append(all, n)
		}
	}
	return all
}

// lead makes brokers the leaders of all partitions as an operator does: it puts them
// first among the replicas, and lets the first replicas be elected. It returns when
// they lead.
func lead(ctx context.Context, t *testing.T, c *cluster.Cluster, leader func(partition int32) int) {
	t.Helper()
	var order kadm.AlterPartitionAssignmentsReq
	var all kadm.TopicsSet
	for _, p := range partitionsOf(ctx, t, c) {
		first := int32(leader(p.Partition))
		replicas := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return id == first })
		order.Assign(p.Topic, p.Partition, append([]int32{first}, replicas...))
		all.Add(p.Topic, p.Partition)
	}
	_, err := ask(c.Bootstrap(), func(admin *kadm.Client) (kadm.AlterPartitionAssignmentsResponses, error) {
		answer, err := admin.AlterPartitionAssignments(ctx, order)
		if err == nil {
			err = answer.Error()
		}
		return answer, err
	})
	must(t, err)
	eventually(t, time.Minute, "the leaders are elected", func() bool {
		// Those that lead already are answered with an error: what counts is who leads.
		_, err := ask(c.Bootstrap(), func(admin *kadm.Client) (kadm.ElectLeadersResults, error) {
			return admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all)
		})
		must(t, err)
		return !slices.ContainsFunc(partitionsOf(ctx, t, c), func(p kadm.PartitionDetail) bool {
			return p.Leader != int32(leader(p.Partition))
		})
	})
}

// whole waits until all replicas are in sync, so that any broker may go.
func whole(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	eventually(t, time.Minute, "all replicas are in sync", func() bool {
		return !slices.ContainsFunc(partitionsOf(ctx, t, c), func(p kadm.PartitionDetail) bool {
			return len(p.ISR) < len(p.Replicas)
		})
	})
}

// partitionsOf are all partitions of a cluster, those of its own topics too.
func partitionsOf(ctx context.Context, t *testing.T, c *cluster.Cluster) []kadm.PartitionDetail {
	t.Helper()
	topics, err := ask(c.Bootstrap(), func(admin *kadm.Client) (kadm.TopicDetails, error) {
		return admin.ListTopicsWithInternal(ctx)
	})
	must(t, err)
	var all []kadm.PartitionDetail
	for _, topic := range topics {
		all = append(all, topic.Partitions.Sorted()...)
	}
	return all
}
