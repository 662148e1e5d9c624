package replicate_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

var (
	simSeed  = flag.Uint64("seed", 0, "run the simulation of this seed alone")
	simSteps = flag.Int("steps", 32, "steps of one simulation")

	simStories = flag.Uint64("stories", 200, "short stories of two sites")
	simFirst   = flag.Uint64("first", 1, "the first one's seed")
)

// simClient is what the client ids of replicas begin with.
const simClient = "replica-"

// simPatience is how long a checkpoint waits for what must come.
const simPatience = 90 * time.Second

// sim is a random story of two clusters, of those who use them, and of the replicas
// between them. All that is decided is decided by the seed; how far the replicas are
// at each step is not, so that a seed meets a fault at the same step, not the same byte.
type sim struct {
	*flowtest.World
	rand             *rand.Rand
	onSource, onSink *simNet
	replicas         []*simReplica
	started          int
	number           int            // of the next record
	partitions       map[string]int // by topic
	names            []string       // of topics, in the order they came
	plainly, safely  *kgo.Client    // without and with idempotence
	txn              *kgo.Client
	operator         *kgo.Client                  // of the target
	open             bool                         // a transaction of txn
	history          map[simPartition][]simRecord // visible source records, those that are deleted since as well
	ends             map[simPartition]int64       // up to where history was read
	holes            map[simPartition]int64       // where the last hole ended
	positions        map[string]workload.Position // by group and partition
	faults           []*kfake.FaultHandle
	broken           simBroken
	transcript       strings.Builder
}

type simReplica struct {
	*replicate.Engine
	client string
	cancel context.CancelFunc
	done   chan error
}

// TestSimulation runs random stories: those of -seed, of testdata/seeds, which have
// failed before, and REPLICATOR_SIM many others.
func TestSimulation(t *testing.T) {
	for _, seed := range simSeeds(t) {
		for _, lane := range []settings.Lane{settings.LaneBatch, settings.LaneRecord} {
			t.Run(fmt.Sprintf("%d/%s", seed, lane), func(t *testing.T) {
				t.Parallel()
				delivery := settings.ExactlyOnce
				if lane == settings.LaneRecord && seed%4 == 0 {
					delivery = settings.AtLeastOnce
				}
				simulate(t, seed, lane, delivery)
			})
		}
	}
}

func simSeeds(t *testing.T) []uint64 {
	t.Helper()
	if *simSeed != 0 {
		return []uint64{*simSeed}
	}
	text, err := os.ReadFile(filepath.Join("testdata", "seeds"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for _, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		seed, err := strconv.ParseUint(line, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	if many := os.Getenv("REPLICATOR_SIM"); many != "" {
		n, err := strconv.Atoi(many)
		if err != nil {
			t.Fatalf("REPLICATOR_SIM: %v", err)
		}
		for range n {
			seeds = append(seeds, rand.Uint64N(1<<40)+1)
		}
	}
	return seeds
}

func simulate(t *testing.T, seed uint64, lane settings.Lane, delivery settings.Delivery) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute) // a story takes seconds
	t.Cleanup(cancel)
	s := &sim{World: &flowtest.World{T: t, Ctx: ctx, Cfg: settings.DefaultConfig()}, rand: rand.New(rand.NewPCG(seed, 0)),
		onSource: newSimNet(), onSink: newSimNet(), partitions: map[string]int{}, history: map[simPartition][]simRecord{},
		ends: map[simPartition]int64{}, holes: map[simPartition]int64{}, positions: map[string]workload.Position{},
		broken: simBroken{left: map[step]int{}}}
	s.Cfg.From, s.Cfg.To, s.Cfg.Shards, s.Cfg.Lane, s.Cfg.Delivery = "old", "new", 3, lane, delivery
	s.Cfg.CommitInterval, s.Cfg.GroupSyncInterval = 40*time.Millisecond, 200*time.Millisecond
	s.Cfg.RefreshInterval = 200 * time.Millisecond
	t.Cleanup(func() {
		if !t.Failed() && os.Getenv("REPLICATOR_SIM_LOG") == "" {
			return
		}
		t.Logf("again: go test ./pkg/replicate -run '^TestSimulation$/^%d$/^%s$' -seed %d -steps %d\n%s",
			seed, lane, seed, *simSteps, s.transcript.String())
		if name := os.Getenv("REPLICATOR_SIM_LOG"); name != "" {
			_ = os.WriteFile(fmt.Sprintf("%s.%d.%s", name, seed, lane), []byte(s.Log.String()), 0o644)
		}
	})
	s.Source, s.Sides.Source, s.From = s.Cluster("old", kfake.NumBrokers(2), kfake.ListenFn(s.onSource.listen))
	s.Target, s.Sides.Target, s.To = s.Cluster("new", kfake.NumBrokers(2), kfake.ListenFn(s.onSink.listen))
	operator, err := kgo.NewClient(kgo.SeedBrokers(s.Target.ListenAddrs()...))
	s.Must("open", err)
	t.Cleanup(operator.Close)
	s.operator = operator
	s.applications()
	t.Cleanup(func() { s.closeApplications() })
	s.newTopic()
	s.startReplica()
	t.Cleanup(s.endReplicas)
	for n := range *simSteps {
		s.say("step %d", n)
		s.step()
		if n%8 == 7 {
			s.checkpoint()
		}
	}
	s.endTransaction()
	s.checkpoint()
	s.ledgerTells()
	if wrote := s.onSource.written(); len(wrote) > 0 {
		t.Errorf("the engine wrote to the source: %v", wrote)
	}
}

// applications are those that write to the source.
func (s *sim) applications() {
	open := func(opts ...kgo.Opt) *kgo.Client {
		client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.Source.ListenAddrs()...),
			kgo.MetadataMinAge(20*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.UnknownTopicRetries(-1))...)
		s.Must("open", err)
		return client
	}
	s.plainly = open(kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	s.safely = open()
	s.txn = open(kgo.TransactionalID("application"), kgo.TransactionTimeout(10*time.Minute))
}

func (s *sim) closeApplications() {
	for _, client := range []*kgo.Client{s.plainly, s.safely, s.txn} {
		client.Close()
	}
}

func (s *sim) say(format string, args ...any) {
	fmt.Fprintf(&s.transcript, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05.000")}, args...)...)
}

func (s *sim) startReplica() {
	s.started++
	ctx, cancel := context.WithCancel(s.Ctx)
	r := &simReplica{client: fmt.Sprintf("%s%d", simClient, s.started), cancel: cancel, done: make(chan error, 1)}
	clusters := map[string]kafka.Config{"old": s.Kafka("old", s.Sides.Source), "new": s.Kafka("new", s.Sides.Target)}
	for _, c := range clusters {
		c.Properties["client.id"] = r.client
	}
	r.Engine = replicate.New(replicate.Options{Clusters: clusters, Flows: []settings.Config{s.Cfg},
		Registry: prometheus.NewRegistry(), Wrap: s.wrap,
		Log: slog.New(slog.NewTextHandler(&s.Log, nil)).With("replica", r.client)})
	go func() { r.done <- r.Run(ctx) }()
	s.replicas = append(s.replicas, r)
	s.say("%s starts", r.client)
}

// stopReplica ends a replica as SIGTERM does.
func (s *sim) stopReplica(i int) {
	r := s.replicas[i]
	s.say("%s stops", r.client)
	s.replicas = slices.Delete(s.replicas, i, i+1)
	r.cancel()
	if err := <-r.done; err != nil {
		s.T.Fatalf("%s ended: %v", r.client, err)
	}
}

// killReplica cuts a replica off for ever, and has the group forget it as it does after
// its session's timeout. Whatever its process still does reaches nobody.
func (s *sim) killReplica(i int) {
	r := s.replicas[i]
	s.say("%s is killed", r.client)
	s.replicas = slices.Delete(s.replicas, i, i+1)
	s.onSource.kill(r.client)
	s.onSink.kill(r.client)
	r.cancel()
	s.T.Cleanup(func() { <-r.done })
	forgetMember(s.World, s.operator, r.client)
}

// forgetMember has the target's coordinator drop a client's members, as when they are silent for too long.
func forgetMember(w *flowtest.World, operator *kgo.Client, client string) {
	var described kadm.DescribedGroups
	w.Await("the target describes the group", func() bool { // a fault may refuse it at present
		var err error
		described, err = w.To.DescribeGroups(w.Ctx, w.Cfg.GroupID())
		return err == nil
	})
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = w.Cfg.GroupID()
	for _, m := range described[w.Cfg.GroupID()].Members {
		if m.ClientID == client {
			one := kmsg.NewLeaveGroupRequestMember()
			one.MemberID = m.MemberID
			leave.Members = append(leave.Members, one)
		}
	}
	if len(leave.Members) > 0 {
		w.Await("the target forgets the members", func() bool {
			_, err := leave.RequestWith(w.Ctx, operator)
			return err == nil
		})
	}
}

func (s *sim) endReplicas() {
	s.onSource.heal()
	s.onSink.heal()
	for _, r := range s.replicas {
		r.cancel()
	}
	for _, r := range s.replicas {
		<-r.done
	}
}

// heal ends what would last: errors that clusters answer with, and frozen replicas. What
// befalls a certain number of requests stays until they have come.
func (s *sim) heal() {
	for _, f := range s.faults {
		f.Remove()
	}
	s.faults = nil
	s.onSource.heal()
	s.onSink.heal()
	if len(s.replicas) == 0 {
		s.startReplica()
	}
}

// checkpoint ends the faults, and waits until both sides are as they should be.
func (s *sim) checkpoint() {
	s.heal()
	s.settle()
}

// settle waits until both sides are as they should be.
func (s *sim) settle() {
	s.remember()
	var why error
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for deadline := begun.Add(simPatience); ; <-tick.C {
		if why = s.right(); why == nil {
			break
		}
		if errors.Is(why, errSimWrong) || time.Now().After(deadline) {
			s.T.Fatalf("not right: %v", why)
		}
	}
	s.say("all is right after %s", time.Since(begun).Round(time.Millisecond))
}

// remember reads what is new at the source.
func (s *sim) remember() {
	for _, p := range s.all() {
		records, end, err := simRead(s.Ctx, s.Sides.Source, p, s.ends[p])
		s.Must("read the source", err)
		s.history[p], s.ends[p] = append(s.history[p], records...), end
	}
}

// all lists the partitions.
func (s *sim) all() []simPartition {
	var all []simPartition
	for _, topic := range s.names {
		for number := range s.partitions[topic] {
			all = append(all, simPartition{topic, int32(number)})
		}
	}
	return all
}

// right says what is not yet right, or wrong.
func (s *sim) right() error {
	for _, r := range s.replicas {
		select {
		case err := <-r.done:
			r.done <- err
			return fmt.Errorf("%w: %s ended: %w", errSimWrong, r.client, err)
		default:
		}
		for _, f := range r.States() {
			for _, p := range f.Partitions {
				if p.Stop != nil {
					return fmt.Errorf("%w: %s stopped: %w", errSimWrong, p.Partition, p.Stop)
				}
			}
		}
	}
	again := s.Cfg.Delivery == settings.AtLeastOnce
	for _, p := range s.all() {
		ctx, cancel := context.WithTimeout(s.Ctx, simPatience)
		target, end, err := simRead(ctx, s.Sides.Target, p, 0)
		cancel()
		if err != nil {
			return err
		}
		if err := simCompare(p, s.history[p], target, again); err != nil {
			return err
		}
		for _, at := range s.positions {
			if (simPartition{at.Topic, at.Partition}) != p {
				continue
			}
			to := s.Position(s.To, at.Group, at.Topic, at.Partition)
			if err := simStands(s.history[p], target, at.At, to, end, again); err != nil {
				return fmt.Errorf("group %s in %s: %w", at.Group, p, err)
			}
		}
	}
	return nil
}

// ledgerTells: each hole that was made is in the ledger, soon: one that has left nothing
// to copy may not have been met yet.
func (s *sim) ledgerTells() {
	for p, to := range s.holes {
		s.Await(fmt.Sprintf("the ledger tells of a hole in %s that ends at %d", p, to), func() bool {
			return int64(s.State(p.topic, p.number).LastHole.To) == to
		})
	}
}
