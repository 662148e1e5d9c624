package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/workload"
	"replicator/pkg/versions"
)

const versionsRunbook = "../docs/runbooks/partition-count-by-versions.md"

// procedure are the commands of the runbook, by its headings.
func procedure(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(versionsRunbook)
	must(t, err)
	if n := len(strings.Fields(string(text))); n > 400 {
		t.Errorf("the runbook has %d words", n)
	}
	commands, headings := map[string][]string{}, []string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		headings = append(headings, heading)
		lines := regexp.MustCompile(`(?m)^replicator .*$`).FindAllString(body, -1)
		commands[heading] = append(commands[heading], lines...)
	}
	if got := strings.Join(headings, ", "); got != "When, Check first, Do, You should see, If not, Undo" {
		t.Errorf("the runbook's headings are %s", got)
	}
	if len(commands["Check first"]) != 1 || len(commands["Do"]) != 2 || len(commands["Undo"]) != 1 {
		t.Fatalf("the runbook's commands are %v", commands)
	}
	return commands
}

// shop is an application: publishers and a group, which follow the topic's
// versions and count every record.
type shop struct {
	t         *testing.T
	ctx       context.Context
	bootstrap string
	topic     string
	wg        sync.WaitGroup

	mu      sync.Mutex
	wrote   map[string]int
	read    map[string][]int
	reads   int
	last    time.Time     // of the last write that was acknowledged
	longest time.Duration // between two writes of all publishers, while any ran
}

func (s *shop) client(opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(s.bootstrap, ",")...)}, opts...)...)
	must(s.t, err)
	return client
}

// follow runs a follower beside what uses it.
func (s *shop) follow(ctx context.Context, use func(*versions.Follower) error) {
	client := s.client()
	f := versions.NewFollower(client, s.topic)
	following, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.Run(following); err != nil {
			s.t.Errorf("a follower ended: %v", err)
		}
	})
	s.wg.Go(func() {
		defer client.Close()
		defer running.Wait()
		defer stop()
		if err := use(f); err != nil && ctx.Err() == nil {
			s.t.Errorf("an application ended: %v", err)
		}
	})
}

func (s *shop) publisher(ctx context.Context, number int) {
	client := s.client()
	random := rand.New(rand.NewPCG(uint64(number), 1))
	s.follow(ctx, func(f *versions.Follower) error {
		defer client.Close()
		for ctx.Err() == nil {
			err := f.Write(ctx, func(_ context.Context, v versions.Version) error {
				var batch []*kgo.Record
				s.mu.Lock()
				for range 20 {
					key := fmt.Sprintf("p%d-%d", number, random.IntN(100))
					batch = append(batch, &kgo.Record{Topic: v.Physical, Key: []byte(key),
						Value: fmt.Append(nil, s.wrote[key])})
					s.wrote[key]++
				}
				s.mu.Unlock()
				err := client.ProduceSync(s.ctx, batch...).FirstErr()
				s.mu.Lock()
				defer s.mu.Unlock()
				if now := time.Now(); err == nil {
					if !s.last.IsZero() {
						s.longest = max(s.longest, now.Sub(s.last))
					}
					s.last = now
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *shop) consumer(ctx context.Context, group string) {
	s.follow(ctx, func(f *versions.Follower) error {
		return f.Read(ctx, group, func(ctx context.Context, v versions.Version) error {
			client := s.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(v.Physical), kgo.DisableAutoCommit(),
				kgo.BlockRebalanceOnPoll(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			defer client.CloseAllowingRebalance()
			for {
				fetched := client.PollRecords(ctx, 500)
				if ctx.Err() != nil {
					return nil
				}
				if err := fetched.Err(); err != nil {
					return err
				}
				if err := client.CommitRecords(s.ctx, fetched.Records()...); err != nil {
					return err
				}
				s.count(fetched.Records())
				client.AllowRebalance()
			}
		})
	})
}

func (s *shop) count(records []*kgo.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range records {
		n := -1
		_, _ = fmt.Sscan(string(r.Value), &n)
		s.read[string(r.Key)] = append(s.read[string(r.Key)], n)
		s.reads++
	}
}

func (s *shop) total() (wrote, read int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.wrote {
		wrote += n
	}
	return wrote, s.reads
}

func (s *shop) await(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-s.ctx.Done():
			wrote, read := s.total()
			s.t.Fatalf("waited in vain: %s; %d written, %d read", what, wrote, read)
		case <-tick.C:
		}
	}
}

func (s *shop) works(more int) {
	s.t.Helper()
	_, before := s.total()
	s.await("the applications work", func() bool { _, read := s.total(); return read >= before+more })
}

// judge wants every record of each key once, in order.
func (s *shop) judge() {
	s.t.Helper()
	for key, n := range s.wrote {
		if len(s.read[key]) != n {
			s.t.Fatalf("key %s: %d written, %d read", key, n, len(s.read[key]))
		}
		for i, got := range s.read[key] {
			if got != i {
				s.t.Fatalf("key %s: record %d was read as number %d", key, got, i)
			}
		}
	}
}

// A topic with live publishers and a live group goes from 3 to 12 partitions by the
// steps of the runbook, with SIGKILL on the way, and then to 5.
func TestTopicVersion(t *testing.T) {
	commands := procedure(t)
	source, target := cluster.SharedPair(t)
	site := newSite(t, source, target)
	s := &shop{t: t, ctx: deadline(t, 4*time.Minute), bootstrap: source.Bootstrap(), topic: unique(t),
		wrote: map[string]int{}, read: map[string][]int{}}
	must(t, workload.Topics(s.ctx, s.bootstrap, 3, map[string]string{"retention.ms": "86400000"}, s.topic))
	ctx, stop := context.WithCancel(s.ctx)
	publishing, stopPublishing := context.WithCancel(ctx)
	t.Cleanup(func() { stop(); s.wg.Wait() })
	for i := range 2 {
		s.publisher(publishing, i)
		s.consumer(ctx, s.topic+"-billing")
	}
	s.works(5000)

	do := func(line string) *exec.Cmd {
		line = strings.NewReplacer("replicator.yaml", site.path, "--topic orders", "--topic "+s.topic).Replace(line)
		cmd := exec.CommandContext(s.ctx, site.binary, strings.Fields(line)[1:]...)
		return cmd
	}
	finish := func(line string) string {
		t.Helper()
		out, err := do(line).CombinedOutput()
		t.Logf("%s\n%s", line, out)
		must(t, err)
		return string(out)
	}
	finish(commands["Check first"][0])

	kill := func(when string) { // the command, as soon as it says so
		t.Helper()
		out := &syncBuffer{}
		cmd := do(commands["Do"][0])
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		s.await("the command says that "+when, func() bool { return strings.Contains(out.String(), when) })
		must(t, cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait()
	}
	kill("is preparing")
	kill("is switching")
	finish(commands["Undo"][0])
	s.works(2000) // with the old version
	kill("is preparing")
	kill("is switching") // publishers stand still until the next run is done
	finish(commands["Do"][0])
	s.works(5000)
	finish(commands["Do"][1])

	// Once more, undisturbed: for how long do the applications stand still?
	s.mu.Lock()
	s.longest = 0
	s.mu.Unlock()
	again := strings.NewReplacer("v1", "v2", "v0", "v1", "partitions 12", "partitions 5").Replace(commands["Do"][0])
	finish(again + " --silent-for 3s")
	s.works(5000)
	stopPublishing()
	s.await("everything is read", func() bool { wrote, read := s.total(); return read >= wrote })
	stop()
	s.wg.Wait()
	s.judge()
	wrote, read := s.total()
	t.Logf("%d records written, %d read; no publisher had a write acknowledged for %.2f s", wrote, read,
		s.longest.Seconds())

	client := s.client()
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(s.ctx, s.topic, s.topic+".v1", s.topic+".v2")
	must(t, err)
	if topics.Has(s.topic) || len(topics[s.topic+".v1"].Partitions) != 12 ||
		len(topics[s.topic+".v2"].Partitions) != 5 {
		t.Errorf("afterwards there are %v", topics)
	}
}
