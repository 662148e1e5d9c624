package integration

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// runbooks are followed to the letter: each command of "Check first" and "Do" is run,
// each line that begins with # is done by live applications that count every record.
var runbooks = []struct {
	name string
	back bool // the applications end on the source
	lost bool // the source was given up before
	both bool // both sides are in use
	// again is how many records the consumers may read twice; nil: none.
	again func(*apps) int
}{
	{name: "maintenance-window"},
	{name: "keep-old-events"},
	{name: "do-not-keep-old-events"},
	{name: "production-first"},
	{name: "production-later"},
	{name: "double-write", again: (*apps).readOnBoth},
	{name: "rollback", back: true},
	{name: "drill"},
	{name: "return", lost: true, again: (*apps).readBefore},
	{name: "two-sites", both: true, again: (*apps).readOnEither},
}

func TestRunbooks(t *testing.T) {
	for _, book := range runbooks {
		t.Run(book.name, func(t *testing.T) {
			source, target := shared(t)
			a := newApps(t, source, target)
			if book.back {
				a.moveOver()
			}
			if book.lost {
				a.giveUp()
			}
			if book.both {
				a.bothWays()
			}
			a.follow(filepath.Join("..", "docs", "runbooks", book.name+".md"))
			a.finish()
			again := 0
			if book.again != nil {
				again = book.again(a)
			}
			a.count(again)
			if book.back {
				a.goesOn()
			}
			if book.both {
				a.areTheSame()
			}
			t.Logf("standstill %s producers %.1f s consumers %.1f s", book.name, a.standstill(a.produced), a.standstill(a.read))
		})
	}
}

// An hour's writes stand on the target when a rollback begins: as many as the
// producer of the other runbooks would make in one.
func TestRollbackAfterAnHour(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target, func(a *apps) { a.atOnce = 1000 })
	a.moveOver()
	a.stopProducing(target)
	first := a.next
	a.rate = 60_000
	a.produce(target, first)
	a.await("an hour's records are written", func() bool { return a.producers[target].So().Next-first >= 3600*liveRate })
	a.stopProducing(target)
	a.rate = liveRate
	a.produce(target, a.next)
	began := time.Now()
	a.follow(filepath.Join("..", "docs", "runbooks", "rollback.md"))
	t.Logf("rollback of %d records took %.1f s, standstill producers %.1f s consumers %.1f s", a.next-first,
		time.Since(began).Seconds(), a.standstill(a.produced), a.standstill(a.read))
	a.finish()
	a.count(0)
	a.goesOn()
}

// The applications of a rollback may use the group protocol of KIP-848.
func TestRollbackOfNextProtocol(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target, func(a *apps) { a.nextProtocol = true })
	a.isNext(source)
	a.moveOver()
	a.isNext(target)
	a.follow(filepath.Join("..", "docs", "runbooks", "rollback.md"))
	a.isNext(source)
	a.finish()
	a.count(0)
	a.goesOn()
}

// isNext sees that the group is one of KIP-848 on a cluster.
func (a *apps) isNext(on *cluster.Cluster) {
	a.t.Helper()
	request := kmsg.NewPtrListGroupsRequest()
	request.TypesFilter = []string{"consumer"}
	listed := direct[*kmsg.ListGroupsResponse](newTalker(a.ctx, a.t, on.Bootstrap()), request)
	for _, g := range listed.Groups {
		if g.Group == a.group {
			return
		}
	}
	a.t.Fatalf("group %s is not of the protocol of KIP-848 on %s: %+v", a.group, on.Bootstrap(), listed.Groups)
}

// apps are a producer and a consumer group, each on one cluster or on both.
type apps struct {
	t              *testing.T
	ctx            context.Context
	site           *site
	source, target *cluster.Cluster
	topic, group   string
	daemon         *daemon
	background     chan error // of the command that runs beside the applications
	printed        *syncBuffer
	before         int // bytes that were printed before that command began

	producers map[*cluster.Cluster]*workload.Producer
	consumers map[*cluster.Cluster]*workload.Consumer
	from      map[*cluster.Cluster]int // number of the first record of the running producer
	written   map[*cluster.Cluster][][2]int
	reads     map[*cluster.Cluster][]workload.Read
	next      int // number of the next record that nobody has written yet

	readAtLoss int // records that were read on the source when it was given up

	acts map[string]func() // of this test alone
	// words replaces those of a runbook's commands that it leaves to the operator.
	words *strings.Replacer
	// givenUp are records of the source that an operator leaves there; those that were never read nobody reads any more.
	givenUp map[string]bool

	nextProtocol bool // of the group
	rate         int  // of producers, in records a second
	atOnce       int  // records that consumers read between two commits

	produced, read pauses
}

const (
	liveRate       = 300
	appsPartitions = 3 // of their topic
)

// pauses are when the applications of a kind stopped and went on.
type pauses struct{ stopped, went time.Time }

func newApps(t *testing.T, source, target *cluster.Cluster, set ...func(*apps)) *apps {
	t.Helper()
	a := &apps{
		t: t, ctx: deadline(t, 4*time.Minute), source: source, target: target, topic: unique(t), group: unique(t) + "-app",
		producers: map[*cluster.Cluster]*workload.Producer{}, consumers: map[*cluster.Cluster]*workload.Consumer{},
		from: map[*cluster.Cluster]int{}, written: map[*cluster.Cluster][][2]int{},
		reads: map[*cluster.Cluster][]workload.Read{}, printed: &syncBuffer{}, rate: liveRate, atOnce: 20,
	}
	for _, one := range set {
		one(a)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("commands said:\n%s", a.printed)
			for on, c := range a.consumers {
				reads, err := c.Stop()
				t.Logf("the consumer on %s had read %d: %v", on.Bootstrap(), len(reads), err)
			}
		}
	})
	a.must(workload.Topics(a.ctx, source.Bootstrap(), appsPartitions, workload.KeepConfigs(), a.topic))
	a.site = newSite(t, source, target, patterns(t, []string{a.topic})...)
	admin := adminOf(t, target)
	a.await("no daemon of another test is in the flow's group", func() bool {
		described, err := admin.DescribeGroups(a.ctx, "replicator.old.new")
		return err == nil && len(described["replicator.old.new"].Members) == 0
	})
	a.produce(source, 0)
	a.consume(source)
	a.await("the group has read", func() bool { return len(a.consumers[source].So()) > 100 })
	return a
}

func (a *apps) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *apps) await(what string, ok func() bool) {
	a.t.Helper()
	eventually(a.t, time.Minute, what, ok)
}

// produce starts the producer on a cluster, with a transaction every 20 ms on the source.
func (a *apps) produce(on *cluster.Cluster, from int) {
	a.t.Helper()
	spec := workload.ProducerSpec{Seed: 7, Rate: a.rate, From: from}
	if on == a.source {
		spec.Transactional = a.topic // its markers take offsets that the target does not have
	}
	p, err := workload.StartProducer(a.ctx, on.Bootstrap(), a.topic, spec)
	a.must(err)
	a.producers[on], a.from[on] = p, from
	a.await("records are written", func() bool { return p.So().Acked > 0 })
	a.produced.went = time.Now()
}

func (a *apps) stopProducing(on *cluster.Cluster) {
	a.t.Helper()
	made, err := a.producers[on].Stop()
	a.must(err)
	delete(a.producers, on)
	if other := a.producers[a.target]; on == a.source && other != nil && a.from[on] <= a.from[a.target] &&
		a.from[a.target] < made.Next {
		a.await("the target has every record too", func() bool { return other.So().Next >= made.Next })
	}
	a.written[on] = append(a.written[on], [2]int{a.from[on], made.Next})
	a.next = max(a.next, made.Next)
	if len(a.producers) == 0 {
		a.produced = pauses{stopped: time.Now()}
	}
}

func (a *apps) consume(on *cluster.Cluster) {
	a.t.Helper()
	c, err := workload.StartConsumer(a.ctx, on.Bootstrap(), workload.ConsumerSpec{Group: a.group,
		Topics: []string{a.topic}, AtOnce: a.atOnce, Next: a.nextProtocol})
	a.must(err)
	a.consumers[on] = c
}

func (a *apps) stopConsuming(on *cluster.Cluster) {
	a.t.Helper()
	reads, err := a.consumers[on].Stop()
	a.must(err)
	delete(a.consumers, on)
	a.reads[on] = append(a.reads[on], reads...)
	if len(a.consumers) == 0 {
		a.read = pauses{stopped: time.Now()}
	}
}

// goOnReading starts the consumers on a cluster and waits for the first record.
func (a *apps) goOnReading(on *cluster.Cluster) {
	a.consume(on)
	a.await("consumers go on", func() bool { return len(a.consumers[on].So()) > 0 })
	a.read.went = time.Now()
}

// standstill is how long all applications of a kind were stopped, in seconds.
func (a *apps) standstill(p pauses) float64 {
	if p.stopped.IsZero() || p.went.Before(p.stopped) {
		return 0
	}
	return p.went.Sub(p.stopped).Seconds()
}

// act does what a line of a runbook asks of the applications.
func (a *apps) act(line string) {
	a.t.Helper()
	acts := map[string]func(){
		"stop the producers":         func() { a.stopProducing(a.source) },
		"stop the producers on old":  func() { a.stopProducing(a.source) },
		"stop the producers on new":  func() { a.stopProducing(a.target) },
		"start the producers on new": func() { a.produce(a.target, a.nextNumber(a.target)) },
		"start the producers on old": func() { a.produce(a.source, a.nextNumber(a.source)) },
		"start the producers on new beside those on old": func() {
			a.produce(a.target, a.producers[a.source].So().Next) // from now on both have every record
			a.ageOut()
		},
		"stop the consumers":                         func() { a.stopConsuming(a.source) },
		"stop the consumers on old":                  func() { a.stopConsuming(a.source) },
		"stop the consumers on new":                  func() { a.stopConsuming(a.target) },
		"start the consumers on new":                 func() { a.goOnReading(a.target) },
		"start the consumers on old":                 func() { a.goOnReading(a.source) },
		"start consumers on new beside those on old": func() { a.consume(a.target) },
		"stop the daemon":                            func() { a.daemon.stop() },
		"old dies":                                   func() { a.oldDies() },
		"old comes back":                             func() { a.source.Start() },
		"wait until it says that records arrive": func() {
			a.says("silent    records arrive") // and not: no records arrive
		},
		"wait until it says that applications may start on old": func() { a.says("applications may start on old") },
		"wait for the rollback":                                 func() { a.must(<-a.background) },
		"wait for the failback":                                 func() { a.must(<-a.background) },
		"wait until it says that consumers are at work":         func() { a.says("idle      consumers are at work") },
		"let the consumers on new read everything": func() {
			a.await("consumers have read everything", func() bool { return len(a.keys()) >= a.wanted() })
			a.await("they stand at the end", func() bool { return a.lagOn(a.target) == 0 })
		},
	}
	maps.Copy(acts, a.acts)
	act := acts[line]
	if act == nil {
		a.t.Fatalf("nobody knows how to %q", line)
	}
	act()
}

// says waits until the command that runs beside the applications has printed a text.
func (a *apps) says(text string) {
	a.t.Helper()
	a.await("the command says: "+text, func() bool {
		return strings.Contains(a.printed.String()[a.before:], text)
	})
}

// nextNumber is that of the first record on a cluster: producers that still run on the other one leave room for what
// they will write.
func (a *apps) nextNumber(on *cluster.Cluster) int {
	first := a.next
	for other := range a.producers {
		if other != on {
			first = max(first, a.from[other]+1_000_000)
		}
	}
	return first
}

// ageOut does what retention does to what was written before both clusters were written to.
func (a *apps) ageOut() {
	a.t.Helper()
	a.await("every partition of the target has a record", func() bool {
		return len(a.producers[a.target].So().ByPartition) == 3
	})
	before := a.producers[a.source].So().Acked
	a.await("consumers have read what goes", func() bool { return int64(len(a.keys())) >= before })
	a.must(deleteBeforeFirst(a.ctx, a.source.Bootstrap(), a.target.Bootstrap(), a.topic))
}

// follow does what a runbook says.
func (a *apps) follow(path string) {
	a.t.Helper()
	text, err := os.ReadFile(path)
	a.must(err)
	section := ""
	for _, line := range strings.Split(string(text), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		line, isCode := strings.CutPrefix(line, "    ")
		if !isCode || section != "Check first" && section != "Do" {
			continue
		}
		if act, ok := strings.CutPrefix(line, "# "); ok {
			a.act(act)
			continue
		}
		a.command(line)
	}
	for _, want := range []string{"## When", "## Check first", "## Do", "## You should see", "## If not", "## Undo"} {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			a.t.Errorf("%s has no heading %q", path, want)
		}
	}
	if n := len(strings.Fields(string(text))); n > 400 {
		a.t.Errorf("%s has %d words; 400 at most", path, n)
	}
}

// command runs one line of a runbook; with & behind it beside the others.
func (a *apps) command(line string) {
	a.t.Helper()
	line = strings.Replace(strings.TrimPrefix(line, "nohup "), " >replicator.log 2>&1 &", " &", 1)
	if a.words != nil {
		line = a.words.Replace(line)
	}
	words := strings.Fields(strings.NewReplacer("site.yaml", a.site.path, "billing", a.group, `"`, "").Replace(line))
	background := words[len(words)-1] == "&"
	if background {
		words = words[:len(words)-1]
	}
	switch {
	case words[0] != "replicator":
		a.t.Fatalf("%q is no command of this tool", line)
	case background && words[1] == "run":
		a.daemon = a.site.run()
		return
	}
	cmd := exec.CommandContext(a.ctx, a.site.binary, words[1:]...)
	cmd.Stdout, cmd.Stderr = a.printed, a.printed
	if background {
		a.before = len(a.printed.String())
		a.must(cmd.Start())
		a.background = make(chan error, 1)
		go func() { a.background <- cmd.Wait() }()
		return
	}
	if err := cmd.Run(); err != nil {
		a.t.Fatalf("%s: %v\n%s", line, err, a.printed.String())
	}
}

// moveOver is what has gone before a rollback.
func (a *apps) moveOver() {
	a.t.Helper()
	a.follow(filepath.Join("..", "docs", "runbooks", "maintenance-window.md"))
	a.await("applications are at work on the target", func() bool { return len(a.consumers[a.target].So()) > 500 })
}

// finish lets the consumers read all that was written, and stops everybody.
func (a *apps) finish() {
	a.t.Helper()
	for on := range a.producers {
		stopped := a.produced
		a.stopProducing(on)
		a.produced = stopped
	}
	a.await("consumers have read everything", func() bool { return len(a.keys()) >= a.wanted() })
	for on := range a.consumers {
		read := a.read
		a.stopConsuming(on)
		a.read = read
	}
}
