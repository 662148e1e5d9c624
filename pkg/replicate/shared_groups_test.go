package replicate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
)

// application is a group with one consumer that assigns the partitions of a topic by hand, on either side of a pair.
type application struct {
	*flowtest.Pair
	group, topic string
	partitions   int32
	reads        []judge.Reads
}

// side is a cluster as an application sees it.
type side struct {
	bootstrap string
	admin     *kadm.Client
}

func (a *application) sides() [2]side {
	return [2]side{{a.Sides.Source, a.From}, {a.Sides.Target, a.To}}
}

// log lists where the records of a partition are on a side, up to its last stable offset.
func (a *application) log(on side, number int32) (records []int64, end int64) {
	a.T.Helper()
	ends, err := on.admin.ListCommittedOffsets(a.Ctx, a.topic)
	a.Must("list ends", err)
	listed, _ := ends.Lookup(a.topic, number)
	if listed.Offset == 0 {
		return nil, 0
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(on.bootstrap), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			a.topic: {number: kgo.NewOffset().AtStart()}}))
	a.Must("open a reader", err)
	defer client.Close()
	for next := int64(0); next < listed.Offset; {
		fetched := client.PollFetches(a.Ctx)
		a.Must("read", fetched.Err0())
		fetched.EachRecord(func(r *kgo.Record) {
			if next = r.Offset + 1; !r.Attrs.IsControl() && r.Offset < listed.Offset {
				records = append(records, r.Offset)
			}
		})
	}
	return records, listed.Offset
}

// read has the application read at most n records of each partition, from where it stands on a side, and commit.
func (a *application) read(on side, n int) {
	a.T.Helper()
	var positions []workload.Position
	for number := range a.partitions {
		records, end := a.log(on, number)
		from := max(a.Position(on.admin, a.group, a.topic, number), 0)
		at, left := end, n
		for _, r := range records {
			if r < from {
				continue
			}
			if left == 0 {
				at = r
				break
			}
			left--
		}
		a.reads = append(a.reads, judge.Reads{OnTarget: on.bootstrap == a.Sides.Target, Topic: a.topic, Partition: number,
			From: from, To: at})
		positions = append(positions, workload.Position{Group: a.group, Topic: a.topic, Partition: number, At: at})
	}
	a.Must("commit", workload.Commit(a.Ctx, on.bootstrap, positions))
}

// follows waits until the group stands at the best position on a side, and says how many records it would read again
// there. It must never stand behind a record that it has not read.
func (a *application) follows(on side) (again int64) {
	a.T.Helper()
	a.Await("the group stands at its first unread record", func() (best bool) {
		report, err := judge.BothWays(a.Ctx, a.World.Sides, a.group, []string{a.topic}, a.reads)
		a.Must("judge", err)
		if report.Lost() > 0 {
			a.T.Fatal(report)
		}
		again, best = report.OnSide(on.bootstrap == a.Sides.Target)
		return best
	})
	return again
}

// look opens a look at one direction.
func (a *application) look(flow settings.Config) *snapshot.Viewer {
	a.T.Helper()
	view, err := snapshot.Open(a.Ctx, a.Clusters(), flow, nil)
	a.Must("look", err)
	a.T.Cleanup(view.Close)
	return view
}

// status is what status says of the group.
func (a *application) status(look *snapshot.Viewer) inspect.GroupStatus {
	a.T.Helper()
	list, err := inspect.GroupStatuses(a.Ctx, look)
	a.Must("look", err)
	for _, g := range list {
		if g.Group == a.group {
			return g
		}
	}
	a.T.Fatalf("status does not tell of group %s", a.group)
	return inspect.GroupStatus{}
}

// TestSharedGroupLivesOnEitherSide: an application that is stopped on one side and started on the other, again and
// again while both are written to, reads every record, and again only what the orders of both logs have it read.
func TestSharedGroupLivesOnEitherSide(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.SharedGroups = []string{"app"}
	p := w.Pair()
	a := &application{p, "app", "orders", 2, nil}
	w.Topic("orders", 2)
	w.Must("make the topic", workload.Topics(w.Ctx, w.Sides.Target, 2, workload.KeepConfigs(), "orders"))
	rnd := rand.New(rand.NewPCG(1, 2))
	written := 0
	write := func() {
		for number := range a.partitions {
			for _, on := range a.sides() {
				n := 1 + rnd.IntN(3)
				w.Plain(on.bootstrap, "orders", number, n)
				written += n
			}
		}
	}
	write()
	p.StartFlows(p.There, p.Back)
	looks := [2]*snapshot.Viewer{a.look(p.There), a.look(p.Back)}
	all := int64(0)
	for round := range 12 {
		here := round % 2
		a.read(a.sides()[here], 1+rnd.IntN(3))
		write()
		a.read(a.sides()[here], rnd.IntN(4))
		p.SameOnBoth("orders", written)
		again := a.follows(a.sides()[1-here])
		all += again
		a.Await("status counts the same", func() bool {
			g := a.status(looks[here])
			return g.ReadAgain != nil && *g.ReadAgain == again && g.Side != groups.OnTarget
		})
	}
	if all == 0 {
		t.Error("nothing was ever to be read again: the test shows little")
	}
	a.read(a.sides()[0], written)
	if again := a.follows(a.sides()[1]); again != 0 {
		t.Errorf("who has read all would read %d records again", again)
	}
}

// member joins a group on a side, and leaves it at the end of what it returns.
func (a *application) member(on side) (leave func()) {
	a.T.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(on.bootstrap), kgo.ConsumerGroup(a.group), kgo.ConsumeTopics(a.topic),
		kgo.DisableAutoCommit())
	a.Must("join", err)
	a.Await("it is a member", func() bool {
		ctx, cancel := context.WithTimeout(a.Ctx, 50*time.Millisecond)
		defer cancel()
		client.PollFetches(ctx)
		described, err := on.admin.DescribeGroups(a.Ctx, a.group)
		return err == nil && described[a.group].State == "Stable" && len(described[a.group].Members) == 1
	})
	return client.Close
}

// TestSharedGroupOnBothSides: with members on both sides a shared group is left alone, and named in status, the log and
// a metric; when one of them has left it follows again. One with members on the target alone is right as it is.
func TestSharedGroupOnBothSides(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.SharedGroups = []string{"app"}
	p := w.Pair()
	a := &application{p, "app", "orders", 1, nil}
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	look := a.look(p.There)
	here, there := a.sides()[0], a.sides()[1]
	a.read(here, 4)
	a.follows(there)
	leaveHere, leaveThere := a.member(here), a.member(there)
	defer leaveHere()
	a.Await("the metric shows it", func() bool { return r.Scrape("replicator_group_positions")["on_both_sides"] > 0 })
	g := a.status(look)
	if g.Side != groups.OnBoth || g.SourceMembers != 1 || g.Members != 1 || len(g.Positions) != 1 ||
		g.Positions[0].State != string(groups.OnBothSides) || g.Positions[0].Remedy == "" {
		t.Errorf("status says %+v", g)
	}
	if !strings.Contains(w.Log.String(), `group=app kind=on_both_sides`) {
		t.Error("the log does not say so")
	}
	leaveThere()
	a.Await("it lives on the source again", func() bool { return a.status(look).Side == groups.OnSource })
	leaveHere()
	a.read(here, 3)
	a.follows(there)
	defer a.member(there)()
	a.Await("it lives on the target", func() bool {
		g := a.status(look)
		return g.Side == groups.OnTarget && g.Positions[0].State == string(groups.InSync) && g.ReadAgain == nil
	})
}

// TestSharedGroupsOfAOneWayFlow: they are refused while no flow goes the opposite way, and nothing is copied. One of
// another configuration makes it good, which calls the clusters otherwise, and the group lives on either side.
func TestSharedGroupsOfAOneWayFlow(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.SharedGroups, w.Cfg.RefreshInterval = []string{"app"}, 200*time.Millisecond
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	oneWay := func(err error) bool { return errors.As(err, new(*provenance.OneWayError)) && chunk.Remedy(err) != "" }
	if found := w.PlanOf(w.Cfg).InTheWay(); !slices.ContainsFunc(found, oneWay) {
		t.Errorf("check says %v, want that the flow is a one-way flow", found)
	}
	cfg := w.Cfg
	cfg.Topics = []string{"orders"}
	r := w.StartFlows(w.Clusters(), cfg)
	w.Await("the flow waits", func() bool { return oneWay(r.Ready()) })
	if n := len(w.Holds(w.Sides.Target, "orders")); n != 10 {
		t.Errorf("the target holds %d records, want its own 10", n)
	}
	launch(w, other(w, "west", "east", func(c *settings.Config) { c.SyncTopicConfigs = false }))
	p := &flowtest.Pair{World: w, There: cfg}
	p.SameOnBoth("orders", 20)
	a := &application{p, "app", "orders", 1, nil}
	for round := range 4 {
		a.read(a.sides()[round%2], 4)
		a.follows(a.sides()[1-round%2])
	}
}

// TestGroupsOfALostSide: a topic that is lost on one side and refilled has its groups find there, by both maps, the
// first record that they have not read; on which side they read it does not matter.
func TestGroupsOfALostSide(t *testing.T) {
	for lost, name := range []string{"old", "new"} {
		t.Run(name, func(t *testing.T) { testGroupsOfALostSide(t, lost) })
	}
}

func testGroupsOfALostSide(t *testing.T, lost int) {
	w := flowtest.New(t)
	w.Cfg.SharedGroups = []string{"app"}
	p := w.Pair()
	a := &application{p, "app", "orders", 1, nil}
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	write := func() {
		w.Plain(w.Sides.Source, "orders", 0, 6)
		w.Plain(w.Sides.Target, "orders", 0, 5)
	}
	write()
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 11)
	there, gone := a.sides()[1-lost], a.sides()[lost]
	a.read(there, 3)
	a.follows(gone)
	write()
	p.SameOnBoth("orders", 22)
	a.read(there, 9)
	w.Delete(gone.admin, "orders")
	w.Await("the topic is there again", func() bool { return w.There(gone.admin, "orders") })
	p.SameOnBoth("orders", 22)
	if again := a.follows(gone); again != 0 { // it is refilled in the order of the other side
		t.Errorf("side %d was lost: %d records would be read again, want 0", lost, again)
	}
	write()
	p.SameOnBoth("orders", 33)
	a.read(gone, 8)
	a.follows(there)
}

// TestGroupOfAPair: a group that is not shared goes by both maps too. It passes nothing that began its way on the
// target before it has read the copy on the source, and with all read it has no lag. What a consumer commits on the
// target is the consumer's.
func TestGroupOfAPair(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	a := &application{p, "app", "orders", 1, nil}
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	here, there := a.sides()[0], a.sides()[1]
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	for _, n := range []int{4, 9, 20} {
		a.read(here, n)
		again := a.follows(there)
		if want := map[int]int64{4: 4, 9: 10, 20: 0}[n]; again != want {
			t.Errorf("after %d more it would read %d records again, want %d", n, again, want)
		}
	}
	look := a.look(p.There)
	a.Await("it has no lag", func() bool {
		at := a.status(look).Positions[0]
		return at.State == string(groups.InSync) && at.TargetLag != nil && *at.TargetLag == 0
	})
	a.read(there, 0)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	a.read(here, 5)
	a.Await("it is the consumer's", func() bool {
		g := a.status(look)
		return g.Positions[0].State == string(groups.ForeignCommit) && g.Side == ""
	})
}
