package repartition

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/kafka"
	announce "replicator/pkg/versions"
)

// world is a cluster, or two, and a topic that applications use.
type world struct {
	t     *testing.T
	ctx   context.Context
	fakes []*kafkatest.Cluster
	opts  Options
	mu    sync.Mutex
	said  []string
}

func newWorld(t *testing.T, clusters int) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx}
	var cfgs []kafka.Config
	for i := range clusters {
		name := fmt.Sprint("c", i)
		fake := kafkatest.Start(t, kfake.ClusterID(name))
		w.fakes = append(w.fakes, fake)
		cfgs = append(cfgs, kafka.Config{Name: name, Properties: fake.Properties()})
	}
	w.opts = Options{From: cfgs[0], To: cfgs[clusters-1], Topic: "orders", FromVersion: "v0", ToVersion: "v1",
		Partitions: 12, Groups: Wait, SilentFor: 400 * time.Millisecond, Say: w.say}
	t.Cleanup(func() {
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("the command said:\n%s", strings.Join(w.said, "\n"))
		}
	})
	return w
}

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *world) heard(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.said, "\n"), what)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// preload writes records in transactions, some of which are aborted.
func (w *world) preload(a *apps, topic string, keys, rounds int) {
	w.t.Helper()
	client := w.fakes[0].Client(kgo.TransactionalID("preload"))
	for i := range rounds {
		w.must(client.BeginTransaction())
		aborted := i%3 == 2
		for k := range keys {
			key := fmt.Sprint("key-", k)
			text := fmt.Sprintf("%s:aborted", key)
			if !aborted {
				text = a.next(key)
			}
			w.must(client.ProduceSync(w.ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(text)}).FirstErr())
			if aborted {
				continue
			}
			w.must(client.ProduceSync(w.ctx, &kgo.Record{Topic: topic, Value: []byte(a.next("none"))}).FirstErr())
		}
		w.must(client.EndTransaction(w.ctx, kgo.TransactionEndTry(!aborted)))
	}
}

// apps are publishers and a consumer group that count every record.
type apps struct {
	w       *world
	publish context.CancelFunc
	stop    context.CancelFunc
	wg      sync.WaitGroup
	mu      sync.Mutex
	wrote   map[string]int   // by key
	read    map[string][]int // by key, in the order of reading
	reads   int
}

func (w *world) apps() *apps {
	return &apps{w: w, wrote: map[string]int{}, read: map[string][]int{}}
}

// next is the next value of a key.
func (a *apps) next(key string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrote[key]++
	return fmt.Sprintf("%s:%d", key, a.wrote[key]-1)
}

// follow runs a follower; clusters are found by their names.
func (a *apps) follow(ctx context.Context) *announce.Follower {
	clients := map[string]*kgo.Client{}
	for i := range a.w.fakes {
		clients[fmt.Sprint("c", i)] = a.w.fakes[i].Client()
	}
	f := announce.NewFollower(clients["c0"], "orders", announce.Clusters(func(name string) *kgo.Client {
		if c := clients[name]; c != nil {
			return c
		}
		return clients["c0"]
	}))
	a.wg.Go(func() {
		if err := f.Run(ctx); err != nil {
			a.w.t.Errorf("the follower ended: %v", err)
		}
	})
	return f
}

// start starts publishers, each with keys of its own, and members of one group.
func (a *apps) start(publishers, members int) {
	ctx, stop := context.WithCancel(a.w.ctx)
	publishing, publish := context.WithCancel(ctx)
	a.publish, a.stop = publish, stop
	a.w.t.Cleanup(func() { stop(); a.wg.Wait() })
	for p := range publishers {
		f := a.follow(ctx)
		a.wg.Go(func() { a.publishing(publishing, f, p) })
	}
	for range members {
		f := a.follow(ctx)
		a.wg.Go(func() {
			if err := f.Read(ctx, "billing", a.member); err != nil {
				a.w.t.Errorf("a consumer ended: %v", err)
			}
		})
	}
}

func (a *apps) cluster(v announce.Version) int {
	if v.Cluster == "c1" {
		return 1
	}
	return 0
}

func (a *apps) publishing(ctx context.Context, f *announce.Follower, number int) {
	clients := map[int]*kgo.Client{}
	random := rand.New(rand.NewPCG(uint64(number), 3))
	for ctx.Err() == nil {
		err := f.Write(ctx, func(_ context.Context, v announce.Version) error {
			client := clients[a.cluster(v)]
			if client == nil {
				client = a.w.fakes[a.cluster(v)].Client()
				clients[a.cluster(v)] = client
			}
			key := fmt.Sprintf("p%d-%d", number, random.IntN(20))
			r := &kgo.Record{Topic: v.Physical, Key: []byte(key), Value: []byte(a.next(key))}
			return client.ProduceSync(a.w.ctx, r).FirstErr()
		})
		if err != nil && ctx.Err() == nil {
			a.w.t.Errorf("publish: %v", err)
			return
		}
	}
}

// member reads one version until the group is done with it.
func (a *apps) member(ctx context.Context, v announce.Version) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(a.w.fakes[a.cluster(v)].ListenAddrs()...),
		kgo.ConsumerGroup("billing"), kgo.ConsumeTopics(v.Physical), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetched := client.PollRecords(ctx, 200)
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(fetched.Err()); err != nil {
			return err
		}
		if err := client.CommitRecords(a.w.ctx, fetched.Records()...); err != nil {
			return err
		}
		a.count(fetched.Records())
		client.AllowRebalance()
	}
}

func (a *apps) count(records []*kgo.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range records {
		key, digits, _ := strings.Cut(string(r.Value), ":")
		n := -1
		_, _ = fmt.Sscan(digits, &n)
		a.read[key] = append(a.read[key], n)
		a.reads++
	}
}

// total is how much was written, and read.
func (a *apps) total() (wrote, read int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.wrote {
		wrote += n
	}
	return wrote, a.reads
}

// judge stops the publishers, waits until all is read, and looks at every record.
func (a *apps) judge() {
	a.w.t.Helper()
	a.publish()
	a.w.await("the group has read what was published", func() bool {
		wrote, read := a.total()
		return read >= wrote
	})
	a.stop()
	a.wg.Wait()
	for key, n := range a.wrote {
		a.judgeKey(key, n, a.read[key])
	}
	wrote, read := a.total()
	a.w.t.Logf("%d records written, %d read", wrote, read)
}

// judgeCopy reads the new version from its beginning: it holds all that was ever
// written, each key in the partition that publishers choose, in order.
func (a *apps) judgeCopy(cluster int, partitions int32) {
	a.w.t.Helper()
	total, _ := a.total()
	client := a.w.fakes[cluster].Client(kgo.ConsumeTopics("orders.v1"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	java, _ := partitionerNamed(Java)
	read := map[string][]int{}
	for n := 0; n < total; {
		fetched := client.PollFetches(a.w.ctx)
		a.w.must(a.w.ctx.Err())
		a.w.must(fetched.Err())
		for _, r := range fetched.Records() {
			if at, ok := java.of(r.Key, partitions); ok && at != r.Partition {
				a.w.t.Fatalf("key %s stands in partition %d of orders.v1, want %d", r.Key, r.Partition, at)
			}
			key, digits, _ := strings.Cut(string(r.Value), ":")
			number := -1
			_, _ = fmt.Sscan(digits, &number)
			read[key] = append(read[key], number)
			n++
		}
	}
	for key, n := range a.wrote {
		a.judgeKey(key, n, read[key])
	}
}

// judgeKey wants each number once, in order; records without a key have none.
func (a *apps) judgeKey(key string, n int, read []int) {
	a.w.t.Helper()
	times := map[int]int{}
	for i, got := range read {
		times[got]++
		if key != "none" && got != i {
			a.w.t.Fatalf("key %s: record %d was read as number %d: %v", key, got, i, read)
		}
	}
	for i := range n {
		if times[i] != 1 {
			a.w.t.Fatalf("key %s: record %d of %d was read %d times", key, i, n, times[i])
		}
	}
	if len(times) != n {
		a.w.t.Fatalf("key %s: %d records were read, %d written", key, len(times), n)
	}
}

func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-w.ctx.Done():
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			w.t.Fatalf("waited in vain: %s\n%s", what, stacks)
		case <-tick.C:
		}
	}
}

func (w *world) ends(cluster int, topic string) (all int64) {
	w.t.Helper()
	listed, err := w.fakes[cluster].Admin().ListEndOffsets(w.ctx, topic)
	w.must(err)
	listed.Each(func(o kadm.ListedOffset) { all += o.Offset })
	return all
}
