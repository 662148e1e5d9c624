package flowtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// LedgerSays compares what the ledger holds of orders/0.
func (w *World) LedgerSays(why string, marked bool, foreign ...offsets.Stretch) {
	w.T.Helper()
	state := w.State("orders", 0)
	if got := state.Map.Foreign(); state.MarkerFollows != marked || !slices.Equal(got, foreign) {
		w.T.Errorf("%s: marked %v, foreign %v, want %v and %v", why, state.MarkerFollows, got, marked, foreign)
	}
}

// Identity is what the ledger says of its flow.
func (w *World) Identity() *ledger.Identity {
	w.T.Helper()
	kept, err := ledger.ReadIdentity(w.Ctx, w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic())
	w.Must("read identity", err)
	return kept
}

// EqualAgain is equal while target topics are being deleted and created again.
func (w *World) EqualAgain(topics []string) {
	w.T.Helper()
	var report *judge.Report
	w.Await("both sides are equal", func() bool {
		var err error
		report, err = judge.Compare(w.Ctx, w.Sides, topics)
		return err == nil && report.Equal()
	})
}

// Equal waits until the target holds what the source holds.
func (w *World) Equal(topics []string, opts ...judge.Option) *judge.Report {
	w.T.Helper()
	report, err := judge.WaitEqual(w.Ctx, Patience, w.Sides, topics, opts...)
	w.Must("compare", err)
	w.Must("compare", report.Err())
	return report
}

// Groups gives random positions to groups on the source, on records, markers and
// aborted records alike, and waits until the target's are right.
func (w *World) Groups(topics []string, opts ...judge.Option) {
	w.T.Helper()
	w.seed++
	random := rand.New(rand.NewPCG(w.seed, 1))
	starts, err := w.From.ListStartOffsets(w.Ctx, topics...)
	w.Must("list starts", err)
	ends, err := w.From.ListCommittedOffsets(w.Ctx, topics...)
	w.Must("list ends", err)
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
				Group: fmt.Sprintf("%sg-%02d", w.Cfg.SourcePrefix, i), Topic: end.Topic, Partition: end.Partition, At: at})
		}
	})
	w.Must("commit positions", workload.Commit(w.Ctx, w.Sides.Source, positions))
	w.GroupsStand(workload.Groups(positions), topics, opts...)
}

// GroupsStand waits until groups that have positions on the source stand right on the target.
func (w *World) GroupsStand(names, topics []string, opts ...judge.Option) {
	w.T.Helper()
	report, err := judge.WaitGroups(w.Ctx, Patience, w.Sides, names, topics, opts...)
	w.Must("judge groups", err)
	w.Must("judge groups", report.Err())
}

// States reads all that the ledger says of a partition, one state for each topic id.
func (w *World) States(topic string, number int32) []*ledger.State {
	w.T.Helper()
	reader, err := ledger.OpenReader(w.Kafka("new", w.Sides.Target), w.Cfg.LedgerTopic())
	w.Must("open ledger", err)
	defer reader.Close() // only read
	p := chunk.Partition{Topic: topic, Number: number}
	book, err := reader.Shard(w.Ctx, int32(p.Shard(w.Cfg.Shards)), 0)
	w.Must("read ledger", err)
	var states []*ledger.State
	for _, k := range book.Keys() {
		if k.Partition == p {
			states = append(states, book.State(k))
		}
	}
	return states
}

// State is the ledger's only state of a partition.
func (w *World) State(topic string, number int32) *ledger.State {
	w.T.Helper()
	states := w.States(topic, number)
	if len(states) != 1 {
		w.T.Fatalf("the ledger holds %d states of %s/%d, want 1", len(states), topic, number)
	}
	return states[0]
}

// Position is what a group has committed on a cluster, -1 for nothing.
func (w *World) Position(admin *kadm.Client, group, topic string, number int32) int64 {
	w.T.Helper()
	for _, answer := range admin.FetchManyOffsets(w.Ctx, group) {
		if at, ok := answer.Fetched.Lookup(topic, number); ok && at.Err == nil {
			return at.At
		}
	}
	return -1
}

// Stands waits until a group stands at that offset on the target.
func (w *World) Stands(group, topic string, number int32, want offsets.Target) {
	w.T.Helper()
	got := int64(-1)
	w.Await(fmt.Sprintf("group %s stands at %d in %s/%d", group, want, topic, number), func() bool {
		got = w.Position(w.To, group, topic, number)
		return got == int64(want)
	})
}
