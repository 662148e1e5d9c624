package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/shard"
)

// pairSim is a random story of two clusters that both live: applications write on either, flows carry both ways under
// the same names, and topics or whole sides are lost.
type pairSim struct {
	*flowtest.World
	rand       *rand.Rand
	sites      [2]*simSite
	flows      []settings.Config // from the first site to the second, and back
	replicas   []*pairReplica
	started    int
	number     int            // of the next record
	partitions map[string]int // by topic
	names      []string
	apps       []*simApp
	faults     []*kfake.FaultHandle
	broken     simBroken
	transcript strings.Builder
}

// simSite is one of the clusters, with who writes there.
type simSite struct {
	name, bootstrap       string
	cluster               *kafkatest.Cluster
	admin                 *kadm.Client
	net                   *simNet
	plainly, safely, txn  *kgo.Client
	open                  bool // a transaction of txn
	operator              *kgo.Client
	written               map[simPartition][]string // what was committed there, in order
	pending               map[simPartition][]string // the same, in the open transaction
	logs                  map[simPartition]simLog   // as they were read last
	began                 int                       // transactional ids
	closeThoseWhoWriteNow func()
}

// pairReplica is a replica of one of the flows.
type pairReplica struct {
	simReplica
	flow int
}

// TestPairSimulation runs random stories of two sites that both live: those of -seed and of testdata/seeds, and
// REPLICATOR_SIM many others.
func TestPairSimulation(t *testing.T) {
	for _, seed := range simSeeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			simulatePair(t, seed, *simSteps)
		})
	}
}

// TestPairStories runs many short ones, always the same: those of -stories seeds, from -first on.
func TestPairStories(t *testing.T) {
	if *simSeed != 0 || os.Getenv("REPLICATOR_SIM") != "" || !testing.Short() {
		t.Skip("they are for make check and make stories; long ones are for make sim")
	}
	const atOnce = 16 // they mostly wait
	var group errgroup.Group
	group.SetLimit(atOnce)
	for seed := *simFirst; seed < *simFirst+*simStories; seed++ {
		group.Go(func() error {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { simulatePair(t, seed, shortStory) })
			return nil
		})
	}
	_ = group.Wait() // what failed is the tests' own
}

const shortStory = 6 // steps

func simulatePair(t *testing.T, seed uint64, steps int) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute) // a story takes seconds
	t.Cleanup(cancel)
	s := &pairSim{World: &flowtest.World{T: t, Ctx: ctx, Cfg: settings.DefaultConfig()},
		rand:       rand.New(rand.NewPCG(seed, 1)),
		partitions: map[string]int{}, broken: simBroken{left: map[step]int{}}}
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("REPLICATOR_SIM_LOG") != "" {
			t.Logf("again: go test ./pkg/replicate -run '^TestPairSimulation$/^%d$' -seed %d -steps %d\n%s",
				seed, seed, steps, s.transcript.String())
		}
		if name := os.Getenv("REPLICATOR_SIM_LOG"); name != "" {
			_ = os.WriteFile(fmt.Sprintf("%s.%d.pair", name, seed), []byte(s.Log.String()), 0o644)
		}
	})
	for i, name := range []string{"old", "new"} {
		site := &simSite{name: name, net: newSimNet(), written: map[simPartition][]string{},
			pending: map[simPartition][]string{}, logs: map[simPartition]simLog{}}
		site.cluster, site.bootstrap, site.admin = s.Cluster(name, kfake.NumBrokers(2), kfake.ListenFn(site.net.listen))
		s.sites[i] = site
		s.applications(site)
		t.Cleanup(func() { site.closeThoseWhoWriteNow() })
		operator, err := kgo.NewClient(kgo.SeedBrokers(site.cluster.ListenAddrs()...))
		s.Must("open", err)
		t.Cleanup(operator.Close)
		site.operator = operator
	}
	s.Sides.Source, s.Sides.Target = s.sites[0].bootstrap, s.sites[1].bootstrap
	for i := range s.sites {
		cfg := s.Cfg
		cfg.From, cfg.To, cfg.Shards, cfg.SyncTopicConfigs = s.sites[i].name, s.sites[1-i].name, 3, i == 0
		cfg.CommitInterval, cfg.GroupSyncInterval = 40*time.Millisecond, 200*time.Millisecond
		cfg.RefreshInterval, cfg.SharedGroups = 200*time.Millisecond, []string{simShared}
		s.flows = append(s.flows, cfg)
	}
	settings.Introduce(s.flows)
	s.newTopic()
	s.newApps()
	t.Cleanup(s.endReplicas)
	s.checkpoint()
	for n := range steps {
		s.say("step %d", n)
		s.step()
		if n%8 == 7 {
			s.checkpoint()
		}
	}
	for _, site := range s.sites {
		s.endTransaction(site)
	}
	for _, a := range s.apps {
		s.ends(a)
	}
	s.checkpoint()
}

// applications are those that write to a site.
func (s *pairSim) applications(site *simSite) {
	open := func(opts ...kgo.Opt) *kgo.Client {
		client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(site.cluster.ListenAddrs()...),
			kgo.MetadataMinAge(20*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.UnknownTopicRetries(-1))...)
		s.Must("open", err)
		return client
	}
	site.began++
	plainly := open(kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	safely := open()
	txn := open(kgo.TransactionalID(fmt.Sprintf("application-%d", site.began)), kgo.TransactionTimeout(10*time.Minute))
	site.plainly, site.safely, site.txn = plainly, safely, txn
	site.closeThoseWhoWriteNow = func() {
		plainly.Close()
		safely.Close()
		txn.Close()
	}
}

func (s *pairSim) say(format string, args ...any) {
	fmt.Fprintf(&s.transcript, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05.000")}, args...)...)
}

// site picks one.
func (s *pairSim) site() *simSite { return s.sites[s.rand.IntN(2)] }

// startReplica starts a process that runs one of the flows.
func (s *pairSim) startReplica(flow int) {
	s.started++
	ctx, cancel := context.WithCancel(s.Ctx)
	cfg := s.flows[flow]
	r := &pairReplica{simReplica{client: fmt.Sprintf("%s%d", simClient, s.started), cancel: cancel,
		done: make(chan error, 1)}, flow}
	clusters := map[string]kafka.Config{}
	for _, site := range s.sites {
		c := s.Kafka(site.name, site.bootstrap)
		c.Properties["client.id"] = r.client
		clusters[site.name] = c
	}
	breaks := func(n int, out shard.Writer) shard.Writer {
		w := &flowtest.World{T: s.T, Ctx: s.Ctx, Cfg: cfg, Target: s.sites[1-flow].cluster}
		return &breaker{Writer: out, w: w, shard: n, due: s.broken.due}
	}
	r.Engine = replicate.New(replicate.Options{Clusters: clusters, Flows: []settings.Config{cfg},
		Registry: prometheus.NewRegistry(), Wrap: breaks, Log: slog.New(slog.NewTextHandler(&s.Log, nil)).With("replica",
			r.client)})
	go func() { r.done <- r.Run(ctx) }()
	s.replicas = append(s.replicas, r)
	s.say("%s starts, of %s", r.client, cfg.Name())
}

// stopReplica ends a replica as SIGTERM does.
func (s *pairSim) stopReplica(i int) {
	r := s.replicas[i]
	s.say("%s stops", r.client)
	s.replicas = slices.Delete(s.replicas, i, i+1)
	r.cancel()
	if err := <-r.done; err != nil {
		s.T.Fatalf("%s ended: %v", r.client, err)
	}
}

// killReplica cuts a replica off for ever, as SIGKILL and the session's timeout do.
func (s *pairSim) killReplica(i int) {
	r := s.replicas[i]
	s.say("%s is killed", r.client)
	s.replicas = slices.Delete(s.replicas, i, i+1)
	for _, site := range s.sites {
		site.net.kill(r.client)
	}
	r.cancel()
	s.T.Cleanup(func() { <-r.done })
	s.forget(r)
}

// forget has the coordinator drop a replica's members.
func (s *pairSim) forget(r *pairReplica) {
	to := s.sites[1-r.flow]
	forgetMember(&flowtest.World{T: s.T, Ctx: s.Ctx, Cfg: s.flows[r.flow], To: to.admin}, to.operator, r.client)
}

func (s *pairSim) endReplicas() {
	for _, site := range s.sites {
		site.net.heal()
	}
	for _, r := range s.replicas {
		r.cancel()
	}
	for _, r := range s.replicas {
		<-r.done
	}
}

// heal ends what would last.
func (s *pairSim) heal() {
	for _, f := range s.faults {
		f.Remove()
	}
	s.faults = nil
	for _, site := range s.sites {
		site.net.heal()
	}
	for flow := range s.flows {
		if !slices.ContainsFunc(s.replicas, func(r *pairReplica) bool { return r.flow == flow }) {
			s.startReplica(flow)
		}
	}
}

// checkpoint ends the faults, and waits until both sides are as they should be.
func (s *pairSim) checkpoint() {
	s.heal()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for deadline := begun.Add(simPatience); ; <-tick.C {
		why := s.right()
		if why == nil {
			s.say("all is right after %s", time.Since(begun).Round(time.Millisecond))
			return
		}
		if errors.Is(why, errSimWrong) || time.Now().After(deadline) {
			s.T.Fatalf("not right: %v", why)
		}
	}
}

// right says what is not yet right, or wrong: both sides hold what was committed on either, each record once, and those
// of one side in their order.
func (s *pairSim) right() error {
	for _, r := range s.replicas {
		select {
		case err := <-r.done:
			r.done <- err
			return fmt.Errorf("%w: %s ended: %w", errSimWrong, r.client, err)
		default:
		}
	}
	logs := map[*simSite]map[simPartition][]simRecord{s.sites[0]: {}, s.sites[1]: {}}
	for _, topic := range s.names {
		for number := range s.partitions[topic] {
			p := simPartition{topic, int32(number)}
			for _, site := range s.sites {
				held, err := s.log(site, p)
				if err != nil {
					return err
				}
				if err := s.holds(site, p, held); err != nil {
					return err
				}
				logs[site][p] = held
			}
		}
	}
	return s.stand(logs)
}

// simLog is what is visible in a log up to its last stable offset.
type simLog struct {
	topic   [16]byte
	stable  int64
	records []simRecord
}

// log reads what is visible on a side, once for each last stable offset.
func (s *pairSim) log(site *simSite, p simPartition) ([]simRecord, error) {
	topic, number := site.cluster.TopicInfo(p.topic), site.cluster.PartitionInfo(p.topic, p.number)
	if topic == nil || number == nil {
		return nil, fmt.Errorf("%s is not on %s", p, site.name)
	}
	known := site.logs[p]
	if known.topic == topic.TopicID && known.stable == number.LastStableOffset {
		return known.records, nil
	}
	ctx, cancel := context.WithTimeout(s.Ctx, simPatience/9)
	defer cancel()
	records, stable, err := simRead(ctx, site.bootstrap, p, 0)
	if err == nil {
		site.logs[p] = simLog{topic.TopicID, stable, records}
	}
	return records, err
}

// holds compares one partition of one side.
func (s *pairSim) holds(site *simSite, p simPartition, held []simRecord) error {
	seen := map[string]int{}
	for _, r := range held {
		if seen[r.text]++; seen[r.text] > 1 {
			return fmt.Errorf("%w: %s holds %s twice in %s, at %d again", errSimWrong, site.name, r.text, p, r.offset)
		}
	}
	for _, from := range s.sites {
		at := 0
		for _, r := range held {
			if at < len(from.written[p]) && r.text == from.written[p][at] {
				at++
			}
		}
		if at == len(from.written[p]) {
			continue
		}
		if next := from.written[p][at]; seen[next] > 0 {
			return fmt.Errorf("%w: %s holds %s, which began on %s, out of order in %s", errSimWrong, site.name, next,
				from.name, p)
		}
		return fmt.Errorf("%s lacks %s of %s, which began on %s: %d of %d are there", site.name, from.written[p][at], p,
			from.name, at, len(from.written[p]))
	}
	if want := len(s.sites[0].written[p]) + len(s.sites[1].written[p]); len(held) != want {
		return fmt.Errorf("%w: %s holds %d records of %s, want %d", errSimWrong, site.name, len(held), p, want)
	}
	return nil
}
