package replicate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// patience is how long a test waits for what must come: it only ends tests that fail.
const patience = 30 * time.Second

// world is two fake clusters, the flow between them, and what a test does to them.
type world struct {
	t              *testing.T
	ctx            context.Context
	source, target *kafkatest.Cluster
	sides          judge.Sides
	cfg            Config
	from, to       *kadm.Client
	log            logBuffer
	tune           func(*Options) // nil: nothing is to be changed
	seed           uint64
	written        int // records, aborted ones among them
}

// logBuffer keeps what the engine logs, for tests that fail.
type logBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// newWorld starts the clusters; tests run beside each other, since they mostly wait.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, cfg: DefaultConfig()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the engine:\n%s", w.log.String())
		}
	})
	w.cfg.From, w.cfg.To, w.cfg.Shards = "old", "new", 4
	w.cfg.CommitInterval, w.cfg.GroupSyncInterval = 50*time.Millisecond, 200*time.Millisecond
	w.cfg.RefreshInterval = 200 * time.Millisecond
	w.source, w.sides.Source, w.from = w.cluster("old")
	w.target, w.sides.Target, w.to = w.cluster("new")
	return w
}

// onLanes runs a test in both lanes.
func onLanes(t *testing.T, test func(*testing.T, *world)) {
	t.Parallel()
	for _, lane := range []Lane{LaneBatch, LaneRecord} {
		t.Run(string(lane), func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Lane = lane
			test(t, w)
		})
	}
}

func (w *world) cluster(name string, opts ...kfake.Opt) (*kafkatest.Cluster, string, *kadm.Client) {
	w.t.Helper()
	fake := kafkatest.Start(w.t, append([]kfake.Opt{kfake.ClusterID(name)}, opts...)...)
	return fake, fake.Address(), fake.Admin()
}

func (w *world) kafka(name, bootstrap string) kafka.Config {
	return kafka.Config{Name: name, Properties: map[string]string{"bootstrap.servers": bootstrap}}
}

// clusters are both, by the names that the flow has for them.
func (w *world) clusters() map[string]kafka.Config {
	return map[string]kafka.Config{"old": w.kafka("old", w.sides.Source), "new": w.kafka("new", w.sides.Target)}
}

// must ends the test on an error.
func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// topic creates a source topic that keeps everything.
func (w *world) topic(name string, partitions int32) {
	w.t.Helper()
	w.must("create topic", workload.Topics(w.ctx, w.sides.Source, partitions, workload.KeepConfigs(), name))
}

// mixed writes transactional data with aborted transactions to a source topic.
func (w *world) mixed(topic string, partitions, records int) {
	w.t.Helper()
	w.seed++
	_, err := workload.Mixed(w.ctx, w.sides.Source, topic, workload.MixedSpec{
		Seed: w.seed, Records: records, Partitions: partitions, From: w.written})
	w.must("write", err)
	w.written += records
}

// plain writes n small records to one partition of a cluster, outside of transactions.
func (w *world) plain(bootstrap, topic string, partition int32, n int) {
	w.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "plain-%d", w.written)}
		w.written++
	}
	w.must("write", workload.Produce(w.ctx, bootstrap, topic, records...))
}

// replica is one running engine.
type replica struct {
	*Engine
	w        *world
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

// start runs one more replica of the daemon; a test that does not stop it has it stopped at its end.
func (w *world) start(wrap func(shard int, out writer) writer) *replica {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	r := &replica{w: w, registry: prometheus.NewRegistry(), cancel: cancel, done: make(chan error, 1)}
	options := Options{
		Clusters: w.clusters(), Flows: []Config{w.cfg}, Registry: r.registry, wrap: wrap,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	if w.tune != nil {
		w.tune(&options)
	}
	r.Engine = New(options)
	go func() {
		err := r.Run(ctx)
		if err != nil {
			w.t.Errorf("the engine ended: %v", err)
		}
		r.done <- err
	}()
	w.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// stop ends the replica as SIGTERM does.
func (r *replica) stop() {
	r.w.t.Helper()
	r.cancel()
	err := <-r.done
	r.done <- nil // for the cleanup
	r.w.must("stop", err)
}

// await polls until the condition holds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) || w.ctx.Err() != nil {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// equal waits until the target holds what the source holds.
func (w *world) equal(topics []string, opts ...judge.Option) *judge.Report {
	w.t.Helper()
	report, err := judge.WaitEqual(w.ctx, patience, w.sides, topics, opts...)
	w.must("compare", err)
	w.must("compare", report.Err())
	return report
}

// groups gives random positions to groups on the source, on records, markers and
// aborted records alike, and waits until the target's are right.
func (w *world) groups(topics []string, opts ...judge.Option) {
	w.t.Helper()
	w.seed++
	random := rand.New(rand.NewPCG(w.seed, 1))
	starts, err := w.from.ListStartOffsets(w.ctx, topics...)
	w.must("list starts", err)
	ends, err := w.from.ListCommittedOffsets(w.ctx, topics...)
	w.must("list ends", err)
	var positions []workload.Position
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		for i := range int64(12) {
			at := start.Offset + random.Int64N(end.Offset-start.Offset+1)
			switch i {
			case 0:
				at = start.Offset
			case 1, 2, 3:
				at = end.Offset - min(i-1, end.Offset-start.Offset) // in and before trailing markers
			}
			positions = append(positions, workload.Position{
				Group: fmt.Sprintf("%sg-%02d", w.cfg.SourcePrefix, i), Topic: end.Topic, Partition: end.Partition, At: at})
		}
	})
	w.must("commit positions", workload.Commit(w.ctx, w.sides.Source, positions))
	w.groupsStand(workload.Groups(positions), topics, opts...)
}

// groupsStand waits until groups that have positions on the source stand right on the target.
func (w *world) groupsStand(names, topics []string, opts ...judge.Option) {
	w.t.Helper()
	report, err := judge.WaitGroups(w.ctx, patience, w.sides, names, topics, opts...)
	w.must("judge groups", err)
	w.must("judge groups", report.Err())
}

// shown is what a replica says of a partition.
func (r *replica) shown(topic string, number int32) (PartitionState, bool) {
	for _, f := range r.Look() {
		for _, p := range f.Partitions {
			if p.Partition == (chunk.Partition{Topic: topic, Number: number}) {
				return p, true
			}
		}
	}
	return PartitionState{}, false
}

// stopped waits until a partition has stopped for a reason of that kind.
func (r *replica) stopped(topic string, number int32, kind string) *chunk.Stop {
	r.w.t.Helper()
	var stop *chunk.Stop
	r.w.await(fmt.Sprintf("%s/%d stops with %s", topic, number, kind), func() bool {
		p, _ := r.shown(topic, number)
		stop = p.Stop
		return stop != nil && stop.Kind == kind
	})
	if stop.Remedy() == "" {
		r.w.t.Errorf("%v comes without a remedy", stop)
	}
	return stop
}

// copies waits until a partition is being copied.
func (r *replica) copies(topic string, number int32) {
	r.w.t.Helper()
	r.w.await(fmt.Sprintf("%s/%d is copied", topic, number), func() bool {
		p, known := r.shown(topic, number)
		return known && p.Stop == nil && p.State == partition.Copying
	})
}

// states reads all that the ledger says of a partition, one state for each topic id.
func (w *world) states(topic string, number int32) []*ledger.State {
	w.t.Helper()
	reader, err := ledger.OpenReader(w.kafka("new", w.sides.Target), w.cfg.LedgerTopic())
	w.must("open ledger", err)
	defer reader.Close() //nolint:errcheck // only read
	p := chunk.Partition{Topic: topic, Number: number}
	book, err := reader.Shard(w.ctx, int32(p.Shard(w.cfg.Shards)), 0)
	w.must("read ledger", err)
	var states []*ledger.State
	for _, k := range book.Keys() {
		if k.Partition == p {
			states = append(states, book.State(k))
		}
	}
	return states
}

// state is the ledger's only state of a partition.
func (w *world) state(topic string, number int32) *ledger.State {
	w.t.Helper()
	states := w.states(topic, number)
	if len(states) != 1 {
		w.t.Fatalf("the ledger holds %d states of %s/%d, want 1", len(states), topic, number)
	}
	return states[0]
}

// position is what a group has committed on a cluster, -1 for nothing.
func (w *world) position(admin *kadm.Client, group, topic string, number int32) int64 {
	w.t.Helper()
	for _, answer := range admin.FetchManyOffsets(w.ctx, group) {
		if at, ok := answer.Fetched.Lookup(topic, number); ok && at.Err == nil {
			return at.At
		}
	}
	return -1
}

// stands waits until a group stands at that offset on the target.
func (w *world) stands(group, topic string, number int32, want offsets.Target) {
	w.t.Helper()
	got := int64(-1)
	w.await(fmt.Sprintf("group %s stands at %d in %s/%d", group, want, topic, number), func() bool {
		got = w.position(w.to, group, topic, number)
		return got == int64(want)
	})
}
