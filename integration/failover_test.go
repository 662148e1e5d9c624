package integration

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// The source and the daemon die in one moment, under live applications. The runbook is followed to the letter; then
// every record that was copied was read, each group reads again no more than it was said to, and the first record is
// read within seconds of the command.
func TestFailover(t *testing.T) {
	source, target := cluster.Pair(t, brokerConfig()...)
	a := newApps(t, source, target)
	a.daemon = a.site.run()
	a.command("replicator wait -c site.yaml --lag 1000")
	a.await("the group follows", func() bool {
		seen := len(a.consumers[source].So())
		sum, everywhere := a.standsOnTarget()
		return seen > 1500 && everywhere && sum > int64(seen)/2
	})
	a.await("the ends of all partitions are noted", func() bool {
		return a.failedOver("--source-is-dead").Record.EndsUnknown == 0
	})
	began := time.Now()
	a.follow(filepath.Join("..", "docs", "runbooks", "failover.md"))
	t.Logf("death, a look, the verb, and the first record: %.1f s", time.Since(began).Seconds())

	told := a.failedOver()
	first := a.read.went.Sub(told.Record.Begun)
	t.Logf("from the verb to the first record read: %.2f s; failed over in %.2f s; the source was last seen %.1f s before",
		first.Seconds(), told.Record.Ended.Sub(told.Record.Begun).Seconds(),
		told.Record.Begun.Sub(told.Record.SeenAt).Seconds())
	if first > 5*time.Second || !told.Done || told.Record.Source != "silent" || told.Record.EndsUnknown != 0 {
		t.Errorf("%s to the first record: %+v", first, told)
	}

	a.await("the producers are at work", func() bool { return a.producers[target].So().Acked > 600 })
	a.stopProducing(target)
	written := a.next - a.written[target][0][0]
	everything, err := workload.StartConsumer(a.ctx, target.Bootstrap(), workload.ConsumerSpec{Group: a.group + "-all",
		Topics: []string{a.topic}})
	a.must(err)
	late := func(reads []workload.Read) (n int) {
		for _, r := range reads {
			if len(r.Key) > len("live-")+6 { // one of those written on the target
				n++
			}
		}
		return n
	}
	a.await("all is read", func() bool {
		return late(everything.So()) >= written && late(a.consumers[target].So()) >= written
	})
	a.stopConsuming(target)
	all, err := everything.Stop()
	a.must(err)
	times, twice := a.keys(), 0
	onTarget := map[string]int{}
	for _, r := range all {
		if onTarget[r.Key]++; times[r.Key] == 0 {
			t.Errorf("%s at %d of partition %d was never read", r.Key, r.Offset, r.Partition)
		}
		if onTarget[r.Key] > 1 {
			t.Errorf("%s is on the target %d times", r.Key, onTarget[r.Key])
		}
		twice += max(times[r.Key]-1, 0)
	}
	t.Logf("%d records are on the target, %d of them written there; %d were read again, at most %d were said to be",
		len(all), written, twice, told.lag(a.group))
	if most := told.lag(a.group); int64(twice) > most || len(a.reads[source]) == 0 {
		t.Errorf("%d records were read again, at most %d were said to be: %+v", twice, most, told.Groups)
	}
	a.comesBack()
}

// comesBack follows the runbook of a failback: what the source held all the time is on the target then, each record
// once.
func (a *apps) comesBack() {
	a.t.Helper()
	a.follow(filepath.Join("..", "docs", "runbooks", "failback.md"))
	a.daemon.stop()
	source, target := a.log(a.source), a.log(a.target)
	for key, n := range target {
		if n != 1 {
			a.t.Errorf("%s is on the target %d times", key, n)
		}
	}
	for key := range source {
		if target[key] == 0 {
			a.t.Errorf("%s is on the source alone", key)
		}
	}
	if len(source) == 0 {
		a.t.Error("the source holds nothing: the test shows nothing")
	}
	a.t.Logf("%d records are on the source, %d on the target", len(source), len(target))
}

// log counts each record that committed readers of a cluster see, by its key.
func (a *apps) log(on *cluster.Cluster) map[string]int {
	a.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(on.Bootstrap()), kgo.ConsumeTopics(a.topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	a.must(err)
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(a.ctx, a.topic)
	a.must(err)
	times, left := map[string]int{}, map[int32]int64{}
	for number, end := range ends[a.topic] {
		if end.Offset > 0 {
			left[number] = end.Offset
		}
	}
	for len(left) > 0 {
		fetched := client.PollFetches(a.ctx)
		a.must(fetched.Err0())
		fetched.EachRecord(func(r *kgo.Record) {
			if end, more := left[r.Partition]; more && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				times[string(r.Key)]++
			}
		})
	}
	return times
}

// oldDies ends the source's brokers and the daemon in one moment; its applications are left with what they did.
func (a *apps) oldDies() {
	a.t.Helper()
	a.daemon.kill()
	a.source.Kill()
	a.abandon()
}

// abandon leaves the applications on a source that is gone with what they did.
func (a *apps) abandon() {
	producer, consumer := a.producers[a.source], a.consumers[a.source]
	a.reads[a.source], a.next = append(a.reads[a.source], consumer.So()...), 1_000_000
	delete(a.producers, a.source)
	delete(a.consumers, a.source)
	go func() { _, _ = producer.Stop() }() // they end with the test
	go func() { _, _ = consumer.Stop() }()
}

// standsOnTarget sums the offsets at which the group stands there, and says whether it has one in each partition:
// where it has none, its auto.offset.reset decides what it reads again.
func (a *apps) standsOnTarget() (sum int64, everywhere bool) {
	a.t.Helper()
	partitions := 0
	for _, answer := range adminOf(a.t, a.target).FetchManyOffsets(a.ctx, a.group) {
		for _, one := range answer.Fetched.Sorted() {
			sum += one.At
			partitions++
		}
	}
	return sum, partitions == appsPartitions
}

// toldOfFailover is what failover --json says, as far as it is used here.
type toldOfFailover struct {
	Done   bool `json:"done"`
	Record struct {
		Begun       time.Time `json:"begun"`
		Ended       time.Time `json:"ended"`
		Source      string    `json:"source"`
		EndsUnknown int       `json:"ends_unknown"`
		SeenAt      time.Time `json:"seen_at"`
	} `json:"record"`
	Groups []struct {
		Group     string `json:"group"`
		Positions []struct {
			Lag int64 `json:"target_lag"`
		} `json:"positions"`
	} `json:"groups"`
}

// lag is what a group was said to read again at most.
func (f *toldOfFailover) lag(group string) (sum int64) {
	for _, g := range f.Groups {
		for _, p := range g.Positions {
			if g.Group == group {
				sum += p.Lag
			}
		}
	}
	return sum
}

// failedOver asks for the record, or for what it would be now.
func (a *apps) failedOver(flags ...string) (told toldOfFailover) {
	a.t.Helper()
	flags = append([]string{"failover", "-c", a.site.path, "--json", "--dry-run"}, flags...)
	out, err := exec.CommandContext(a.ctx, a.site.binary, flags...).Output()
	a.must(err)
	a.must(json.Unmarshal(out, &told))
	return told
}
