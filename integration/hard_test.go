package integration

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// fault is something that happens while records flow. do returns when it is over.
type fault struct {
	name       string
	do         func(*hardDay)
	sourceAway bool // meanwhile
}

var faults = []fault{
	{name: "a replica is killed", do: (*hardDay).killReplica},
	{name: "a replica sleeps", do: (*hardDay).sleepReplica},
	{name: "the target stops", do: func(h *hardDay) { again(h.site.target, (*cluster.Cluster).Stop) }},
	{name: "the target is killed", do: func(h *hardDay) { again(h.site.target, (*cluster.Cluster).Kill) }},
	{name: "the target freezes", do: func(h *hardDay) { h.freeze(h.site.target) }},
	{name: "the source stops", do: func(h *hardDay) { again(h.site.source, (*cluster.Cluster).Stop) }, sourceAway: true},
	{name: "the source is killed", sourceAway: true,
		do: func(h *hardDay) { again(h.site.source, (*cluster.Cluster).Kill) }},
	{name: "the source freezes", do: func(h *hardDay) { h.freeze(h.site.source) }, sourceAway: true},
	{name: "both stop", do: (*hardDay).restartBoth, sourceAway: true},
}

// Two replicas share a flow, applications write and groups move, and each fault
// comes in the middle of it: the sides are equal after each.
func TestHardDays(t *testing.T) {
	source, target := cluster.Pair(t)
	onLanes(t, func(t *testing.T, lane string) { hardDays(t, source.For(t), target.For(t), lane) })
}

func hardDays(t *testing.T, source, target *cluster.Cluster, lane string) {
	h := startHardDay(t, source, target, lane, 1, 4000)
	for _, f := range faults {
		began := time.Now()
		h.do(f)
		t.Logf("%s: over after %s", f.name, time.Since(began).Round(time.Second))
		h.check()
	}
	h.end()
}

// hardDay is a flow between two replicas of the daemon, with applications at work.
type hardDay struct {
	t        *testing.T
	ctx      context.Context
	site     *site
	replicas [2]*replica
	topics   []string
	groups   []string
	seed     uint64
	writers  []*workload.Producer
	reader   *workload.Consumer
}

// replica is one process of the daemon.
type replica struct {
	*daemon
	site    *site
	address string // of its metrics
}

// startHardDay fills topics, starts two replicas that share the shards, and live
// applications.
func startHardDay(t *testing.T, source, target *cluster.Cluster, lane string, seed uint64, records int) *hardDay {
	t.Helper()
	name := unique(t)
	h := &hardDay{t: t, ctx: deadline(t, 12*time.Minute), seed: seed, topics: []string{name + "-mixed", name + "-plain"}}
	must(t, workload.Topics(h.ctx, source.Bootstrap(), 4, workload.KeepConfigs(), h.topics...))
	mixed(h.ctx, t, source.Bootstrap(), h.topics[0], seed, records, 4)
	_, err := workload.Plain(h.ctx, source.Bootstrap(), h.topics[1],
		workload.PlainSpec{Seed: seed, Records: 1000, Partitions: 4})
	must(t, err)
	h.groups = append(stand(h.ctx, t, source.Bootstrap(), seed, 12, h.topics...), name+"-live")
	h.site = newSite(t, source, target, fmt.Sprintf("topics: [\"%s-.*\"]", name), fmt.Sprintf("groups: [\"%s-.*\"]", name),
		"commit_interval: 200ms", "lane: "+lane)
	for i := range h.replicas {
		s, address := h.site.replica()
		h.replicas[i] = &replica{daemon: s.run(), site: s, address: address}
	}
	h.shared()
	h.startApplications()
	return h
}

// check judges while the applications rest.
func (h *hardDay) check() {
	h.t.Helper()
	h.stopApplications()
	stand(h.ctx, h.t, h.site.source.Bootstrap(), h.seed, 12, h.topics...)
	h.judge()
	h.startApplications()
}

// shared waits until both replicas have a part of the shards.
func (h *hardDay) shared() {
	h.t.Helper()
	for _, r := range h.replicas {
		owned(h.t, r.address, func(shards float64) bool { return shards > 0 && shards < 8 })
	}
}

func (h *hardDay) startApplications() {
	h.t.Helper()
	name := unique(h.t)
	h.seed += 100 // other records than before, other positions
	for i, spec := range []workload.ProducerSpec{
		{Seed: h.seed, Rate: 400, Transactional: name + fmt.Sprint(h.seed), AbortEvery: 5}, {Seed: h.seed + 1, Rate: 400},
	} {
		writer, err := workload.StartProducer(h.ctx, h.site.source.Bootstrap(), h.topics[i], spec)
		must(h.t, err)
		h.writers = append(h.writers, writer)
	}
	group := name + "-live"
	reader, err := workload.StartConsumer(h.ctx, h.site.source.Bootstrap(),
		workload.ConsumerSpec{Group: group, Topics: h.topics})
	must(h.t, err)
	h.reader = reader
	eventually(h.t, time.Minute, "the live consumer has begun", func() bool { return len(reader.So()) > 0 })
	h.flowing("the applications have begun")
}

// stopApplications ends what writes and reads on the source.
func (h *hardDay) stopApplications() {
	h.t.Helper()
	for _, w := range h.writers {
		wrote, err := w.Stop()
		must(h.t, err)
		if wrote.Acked == 0 {
			h.t.Error("a live producer has written nothing")
		}
	}
	_, err := h.reader.Stop()
	must(h.t, err)
	h.writers, h.reader = nil, nil
}

// flowing waits until new records of both topics have arrived on the target.
func (h *hardDay) flowing(when string) {
	h.t.Helper()
	for _, topic := range h.topics {
		before := int64(-1)
		eventually(h.t, 2*time.Minute, "records arrive, "+when, func() bool {
			now, err := stableOffsets(h.ctx, h.site.target.Bootstrap(), topic)
			if err != nil { // a broker that was just started has no leaders yet
				return false
			}
			if before < 0 {
				before = now
			}
			return now > before
		})
	}
}

// do makes one fault. The applications rest while the source is away: what they
// cannot do then is theirs to repeat, and not what is tested here.
func (h *hardDay) do(f fault) {
	h.t.Helper()
	if !f.sourceAway {
		f.do(h)
		h.flowing("after: " + f.name)
		return
	}
	h.stopApplications()
	// Enough to be in the middle of copying when it happens.
	for i, topic := range h.topics {
		must(h.t, workload.Bulk(h.ctx, h.site.source.Bootstrap(), topic,
			workload.BulkSpec{Seed: h.seed + uint64(i), Records: 20_000, Size: 100}))
	}
	f.do(h)
	h.startApplications()
}

// end judges, and lets the replicas go.
func (h *hardDay) end() {
	h.t.Helper()
	h.stopApplications()
	stand(h.ctx, h.t, h.site.source.Bootstrap(), h.seed, 12, h.topics...)
	h.judge()
	for _, r := range h.replicas {
		r.stop()
	}
}

func (h *hardDay) judge() {
	h.t.Helper()
	r, err := judge.WaitEqual(h.ctx, 2*time.Minute, h.site.sides(), h.topics)
	must(h.t, err)
	h.t.Log(r)
	must(h.t, r.Err())
	g, err := judge.WaitGroups(h.ctx, time.Minute, h.site.sides(), h.groups, h.topics)
	must(h.t, err)
	h.t.Log(g)
	must(h.t, g.Err())
}

// killReplica kills one; the other takes all shards, and shares them with the next.
func (h *hardDay) killReplica() {
	h.t.Helper()
	h.replicas[0].kill()
	owned(h.t, h.replicas[1].address, func(shards float64) bool { return shards == 8 })
	h.flowing("while one replica is dead")
	h.replicas[0].daemon = h.replicas[0].site.run()
	h.shared()
}

// sleepReplica stops one for longer than its session, so that it wakes as a
// former owner with a chunk under way.
func (h *hardDay) sleepReplica() {
	h.t.Helper()
	process := h.replicas[0].cmd.Process
	must(h.t, process.Signal(syscall.SIGSTOP))
	owned(h.t, h.replicas[1].address, func(shards float64) bool { return shards == 8 })
	h.flowing("while one replica sleeps")
	must(h.t, process.Signal(syscall.SIGCONT))
	h.shared()
}

// again takes a broker away in the middle of copying, and starts it again.
func again(c *cluster.Cluster, end func(*cluster.Cluster)) {
	end(c)
	c.Start()
}

// freeze pauses a broker until the replicas have lost their sessions or wait for it.
func (h *hardDay) freeze(c *cluster.Cluster) {
	h.t.Helper()
	before, _ := metric(h.t, h.replicas[0].address, "errors_total")
	c.Pause()
	defer c.Resume()
	eventually(h.t, 2*time.Minute, "the replica notices", func() bool {
		now, _ := metric(h.t, h.replicas[0].address, "errors_total")
		return now > before
	})
}

func (h *hardDay) restartBoth() {
	h.t.Helper()
	h.site.source.Kill()
	h.site.target.Stop()
	h.site.source.Start()
	h.site.target.Start()
}
