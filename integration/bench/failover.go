package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

// Loss is a source that dies under load: what is lost with it, and how long it takes until applications read on the
// target. The settings of the flow are the defaults.
type Loss struct {
	Stream
	Rounds int
}

// TheLoss is what is measured.
func TheLoss(rounds int) Loss {
	return Loss{Stream{Name: "j", Partitions: 8, Rate: 1000, Size: 100, Settle: 10 * time.Second}, rounds}
}

// Wanted says whether the pattern that limits the contestants leaves it in.
func (l Loss) Wanted(only *regexp.Regexp) bool {
	return only == nil || only.MatchString(l.Name+"/"+exactlyOnce)
}

// load is what applications do meanwhile.
func (l Loss) load() string {
	return fmt.Sprintf("%d partitions, %s records of %d bytes a second in all, one group", l.Partitions,
		thousands(int64(l.Rate)), l.Size)
}

// LossRun is what one round has shown.
type LossRun struct {
	Records int           // acknowledged by the source, and not on the target afterwards
	Age     time.Duration // of the oldest of these when the source was killed
	// What a drill said right before.
	SaidRPO, SaidRTO time.Duration
	Verb             time.Duration // from the start of `replicator failover` to its end
	First            time.Duration // from its start until a consumer of the group has its first record on the target
}

func (r LossRun) String() string {
	ms := time.Millisecond
	return fmt.Sprintf("%d records lost, the oldest %s old; drill said rpo %s, rto %s; the verb took %s, the first "+
		"record %s", r.Records, r.Age.Round(ms), r.SaidRPO.Round(ms), r.SaidRTO.Round(ms), r.Verb.Round(ms),
		r.First.Round(ms))
}

// Pair is two clusters of one round.
type Pair struct {
	Source, Target string // bootstrap addresses
	Kill           func() // kills the source
}

const (
	lossTopic, lossGroup = "orders", "billing"
	lossLimit            = 2 * time.Minute
)

// Lose lets a source die while a topic of it is written to, read and copied.
func (l Loss) Lose(ctx context.Context, p Pair, program, dir string) (LossRun, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.Settle+lossLimit, errors.New("not done in time"))
	defer cancel()
	if err := workload.Topics(ctx, p.Source, int32(l.Partitions), nil, lossTopic); err != nil {
		return LossRun{}, err
	}
	config := filepath.Join(dir, "flow.yaml")
	text := fmt.Sprintf(`clusters: {old: {bootstrap.servers: %q}, new: {bootstrap.servers: %q}}
http: {listen: ""}
flows: [{from: old, to: new, topics: [%s], groups: [%s]}]
`, p.Source, p.Target, lossTopic, lossGroup)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return LossRun{}, err
	}
	daemon, err := start(exec.Command(program, "run", "-c", config), filepath.Join(dir, "log"))
	if err != nil {
		return LossRun{}, err
	}
	defer daemon.kill()
	w, err := l.start(ctx, p.Source)
	if err != nil {
		return LossRun{}, err
	}
	defer w.close()
	if err := l.settle(ctx, program, config); err != nil {
		return LossRun{}, fmt.Errorf("%w; the daemon said:\n%s", err, daemon.said())
	}
	run, err := drilled(ctx, program, config)
	if err != nil {
		return run, err
	}
	killed := time.Now()
	p.Kill()
	w.close()
	begun := time.Now()
	out, err := exec.CommandContext(ctx, program, "failover", "-c", config, "--yes").CombinedOutput()
	if err != nil {
		return run, fmt.Errorf("failover: %w\n%s", err, out)
	}
	run.Verb = time.Since(begun)
	if err := l.goOn(ctx, p.Target); err != nil {
		return run, err
	}
	run.First = time.Since(begun)
	run.Records, run.Age, err = w.lost(ctx, p.Target, l.Partitions, killed)
	return run, err
}

// settle waits until everything is copied and the group has read for a while.
func (l Loss) settle(ctx context.Context, program, config string) error {
	out, err := exec.CommandContext(ctx, program, "wait", "-c", config, "--lag", "2000").CombinedOutput()
	if err != nil {
		return fmt.Errorf("wait: %w\n%s", err, out)
	}
	select {
	case <-time.After(l.Settle):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drilled asks a drill beforehand. Whether it finds everything ready is not asked here.
func drilled(ctx context.Context, program, config string) (run LossRun, err error) {
	var said struct {
		Drills []struct {
			RPO struct{ Seconds float64 } `json:"rpo"`
			RTO struct{ Seconds float64 } `json:"rto"`
		} `json:"drills"`
	}
	out, failed := exec.CommandContext(ctx, program, "drill", "-c", config, "--json").Output()
	if err := json.Unmarshal(out, &said); err != nil || len(said.Drills) != 1 {
		return run, fmt.Errorf("drill: %w\n%s", errors.Join(err, failed), out)
	}
	run.SaidRPO = time.Duration(said.Drills[0].RPO.Seconds * float64(time.Second))
	run.SaidRTO = time.Duration(said.Drills[0].RTO.Seconds * float64(time.Second))
	return run, nil
}

// goOn starts the applications on the target, and ends when the group has its first record there.
func (l Loss) goOn(ctx context.Context, target string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(target), kgo.ConsumerGroup(lossGroup), kgo.ConsumeTopics(lossTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic(lossTopic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	client.Produce(ctx, &kgo.Record{Value: dated(time.Now(), l.Size)}, nil) // it may have read all that is there
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read on the target: %w", err)
		}
		if fetches.NumRecords() > 0 {
			return nil
		}
	}
}

// load is applications on the source: one writes, one reads.
type load struct {
	stop    context.CancelFunc
	working sync.WaitGroup

	mu    sync.Mutex
	acked map[int64]bool // by when they were written
}

// start starts them.
func (l Loss) start(ctx context.Context, source string) (*load, error) {
	w := &load{acked: map[int64]bool{}}
	ctx, w.stop = context.WithCancel(ctx)
	writer, err := kgo.NewClient(kgo.SeedBrokers(source), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(lossTopic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(source), kgo.ConsumerGroup(lossGroup), kgo.ConsumeTopics(lossTopic),
		kgo.AutoCommitInterval(time.Second))
	if err != nil {
		writer.Close()
		return nil, err
	}
	w.working.Go(func() {
		defer writer.Close()
		ticker := time.NewTicker(writeEvery)
		defer ticker.Stop()
		for n, begun := 0, time.Now(); ctx.Err() == nil; {
			for due := int(time.Since(begun).Seconds() * float64(l.Rate)); n < due; n++ {
				at := time.Now()
				writer.Produce(ctx, &kgo.Record{Partition: int32(n % l.Partitions), Value: dated(at, l.Size)},
					func(_ *kgo.Record, err error) { w.ack(at, err) })
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	w.working.Go(func() {
		for ctx.Err() == nil {
			reader.PollFetches(ctx)
		}
		left, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = reader.LeaveGroupContext(left) // its cluster may be dead
		reader.Close()
	})
	return w, nil
}

func (w *load) ack(at time.Time, err error) {
	if err == nil {
		w.mu.Lock()
		w.acked[at.UnixNano()] = true
		w.mu.Unlock()
	}
}

// close ends both.
func (w *load) close() {
	w.stop()
	w.working.Wait()
}

// lost counts what was acknowledged and is not on the target, and how old the oldest of that was at a time.
func (w *load) lost(ctx context.Context, target string, partitions int, at time.Time) (int, time.Duration, error) {
	r, err := openReader(target)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	ends, err := r.stable(ctx, lossTopic, partitions)
	if err != nil {
		return 0, 0, err
	}
	from := map[int32]kgo.Offset{}
	for p, end := range ends {
		if end > 0 {
			from[int32(p)] = kgo.NewOffset().At(0)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(target), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{lossTopic: from}))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	missing := w.acked // who fills it has ended
	for len(from) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, 0, fmt.Errorf("read the target: %w", err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if written, err := dateOf(record.Value); err == nil && !record.Attrs.IsControl() {
				delete(missing, written.UnixNano())
			}
			if record.Offset+1 >= ends[record.Partition] {
				delete(from, record.Partition)
			}
		})
	}
	oldest := at
	for written := range missing {
		if t := time.Unix(0, written); t.Before(oldest) {
			oldest = t
		}
	}
	return len(missing), at.Sub(oldest), nil
}

// lossTable has a line for each round.
func lossTable(b *strings.Builder, runs []LossRun) {
	b.WriteString("| round | records lost | the oldest, s | a drill's RPO, s | a drill's RTO, s | the verb, s " +
		"| first record, s |\n|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, r := range runs {
		fmt.Fprintf(b, "| %d | %s | %.2f | %.2f | %.2f | %.2f | %.2f |\n", i+1, thousands(int64(r.Records)), r.Age.Seconds(),
			r.SaidRPO.Seconds(), r.SaidRTO.Seconds(), r.Verb.Seconds(), r.First.Seconds())
	}
}

// whenLost is the goal for a failover.
func whenLost(results Results) []goal {
	var first figures
	for _, r := range results.Losses {
		first = append(first, r.First.Seconds())
	}
	return []goal{{exactlyOnce, "from the start of 'failover' to the first record read, s, in the worst round", "j", 5,
		atMost, true, 1, first}}
}
