package replicate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/settings"
)

// application is a group with one consumer that assigns the partitions of a topic by hand, on either side of a pair.
type application struct {
	*flowtest.Pair
	group, topic string
	partitions   int32
	times        map[string]int // how often each record was read
}

// logged is a record of a log.
type logged struct {
	at    int64
	value string
}

// side is a cluster as an application sees it.
type side struct {
	bootstrap string
	admin     *kadm.Client
}

func (a *application) sides() [2]side {
	return [2]side{{a.Sides.Source, a.From}, {a.Sides.Target, a.To}}
}

// log reads a partition of a side, up to its last stable offset.
func (a *application) log(on side, number int32) (records []logged, end int64) {
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
				records = append(records, logged{r.Offset, string(r.Value)})
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
			if r.at < from {
				continue
			}
			if left == 0 {
				at = r.at
				break
			}
			a.times[fmt.Sprint(number, r.value)]++
			left--
		}
		positions = append(positions, workload.Position{Group: a.group, Topic: a.topic, Partition: number, At: at})
	}
	a.Must("commit", workload.Commit(a.Ctx, on.bootstrap, positions))
}

// follows waits until the application would find on a side, in each partition, the first record that it has not read,
// and says how many it would read again.
func (a *application) follows(on side) (again int64) {
	a.T.Helper()
	a.Await("the group stands at its first unread record", func() bool {
		again = 0
		for number := range a.partitions {
			records, end := a.log(on, number)
			best, found := end, false
			for _, r := range records {
				read := a.times[fmt.Sprint(number, r.value)] > 0
				if !read && !found {
					best, found = r.at, true
				}
				if read && found {
					again++
				}
			}
			if at := a.Position(on.admin, a.group, a.topic, number); at > best {
				a.T.Fatalf("the group stands at %d of partition %d, and has not read %d", at, number, best)
			} else if passed := between(records, max(at, 0), best); at < 0 || passed > 0 {
				return false
			}
		}
		return true
	})
	return again
}

// between counts records.
func between(records []logged, from, to int64) (n int) {
	for _, r := range records {
		if r.at >= from && r.at < to {
			n++
		}
	}
	return n
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
	a := &application{p, "app", "orders", 2, map[string]int{}}
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
	for number := range a.partitions {
		records, _ := a.log(a.sides()[0], number)
		for _, r := range records {
			if a.times[fmt.Sprint(number, r.value)] == 0 {
				t.Errorf("record %s of partition %d was never read", r.value, number)
			}
		}
	}
}
