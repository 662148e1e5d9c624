package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// once runs a one-off copy beside whatever runs already.
func (w *world) once() chan error {
	w.t.Helper()
	e := New(Options{
		Clusters: w.clusters(), Flows: []Config{w.cfg}, Registry: prometheus.NewRegistry(), UntilCaughtUp: true,
		Onlook: Onlook(w.clusters(), nil),
		Log:    slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		done <- e.Run(w.ctx)
	}()
	w.t.Cleanup(func() { <-ended })
	return done
}

// ends waits for the end of a one-off copy.
func (w *world) ends(done chan error) error {
	w.t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		w.t.Fatal("the one-off copy goes on and on")
		return nil
	}
}

// TestOnceBesideAnotherReplica: what another replica has stopped is told, and not
// waited for; what it has copied counts.
func TestOnceBesideAnotherReplica(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 4)
	w.topic("taken", 4)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 4, workload.KeepConfigs(), "taken"))
	w.mixed("orders", 4, 100)
	for number := range int32(4) {
		w.plain(w.sides.Target, "taken", number, 1)
		w.plain(w.sides.Source, "taken", number, 1)
	}
	daemon := w.start(nil)
	for number := range int32(4) {
		daemon.stopped("taken", number, chunk.StopForeign)
	}
	done := w.once()
	w.await("the shards are shared", func() bool { return daemon.owned() < 4 || len(done) > 0 })
	err := w.ends(done)
	var unfinished *UnfinishedError
	if !errors.As(err, &unfinished) || len(unfinished.Stops) != 4 || len(unfinished.Groups) != 0 {
		t.Fatalf("the one-off copy ends with %v, want the 4 partitions of taken", err)
	}
	for number, stop := range unfinished.Stops {
		if want := (chunk.Partition{Topic: "taken", Number: int32(number)}); stop.Partition != want || stop.Remedy() == "" ||
			stop.Kind != chunk.StopForeign {
			t.Errorf("stop %d is %+v, want one of %s with a remedy", number, stop, want)
		}
	}
	w.equal([]string{"orders"})
}

// TestOnceOntoTopicsMadeBeforehand: a topic on the target that has to be altered before a
// record is written is waited for, and is no reason to end.
func TestOnceOntoTopicsMadeBeforehand(t *testing.T) { onLanes(t, testOnceOntoTopicsMadeBeforehand) }

func testOnceOntoTopicsMadeBeforehand(t *testing.T, w *world) {
	w.cfg.RefreshInterval = time.Hour // what is waited for is looked at sooner
	w.topic("orders", 2)
	w.topic("stamped", 2)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2,
		map[string]string{"message.timestamp.after.max.ms": "3600000"}, "orders"))
	w.must("create", workload.Topics(w.ctx, w.sides.Target, 2,
		map[string]string{"message.timestamp.type": "LogAppendTime"}, "stamped"))
	w.mixed("orders", 2, 200)
	w.mixed("stamped", 2, 200)
	w.must("the one-off copy", w.ends(w.once()))
	w.equal([]string{"orders", "stamped"})
}

// TestGroupsOfOtherShards: a one-off copy waits for the groups of shards that it does
// not own, and of those that are between two sessions.
func TestGroupsOfOtherShards(t *testing.T) {
	for why, workers := range map[string]int{"another's": 0, "starting over": 4} {
		t.Run(why, func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 4)
			w.mixed("orders", 4, 100)
			w.cfg.GroupSyncInterval = time.Hour // whoever owns the shards does not come round to it
			r := w.start(nil)
			w.equal([]string{"orders"})
			r.stop()
			for number := range int32(4) {
				w.commit("g", "orders", number, 1)
			}

			options := Options{Clusters: w.clusters(), Flows: []Config{w.cfg}, Registry: prometheus.NewRegistry(),
				Onlook: Onlook(w.clusters(), nil)}
			goal := map[chunk.Partition]offsets.Source{}
			for number := range int32(4) {
				goal[chunk.Partition{Topic: "orders", Number: number}] = 0
			}
			done := make(chan error, 1)
			go func() {
				open, err := SettleGroups(w.ctx, options, workers, goal)
				if len(open) > 0 {
					err = fmt.Errorf("not right: %v", open)
				}
				done <- err
			}()
			select {
			case err := <-done:
				t.Fatalf("the groups are said to be right: %v", err)
			case <-time.After(2 * GroupsEvery): // this is what is tested: that it is still waiting
			}
			for number := range int32(4) { // a consumer on the target settles it
				w.must("commit", workload.Commit(w.ctx, w.sides.Target,
					[]workload.Position{{Group: "g", Topic: "orders", Partition: number, At: 0}}))
			}
			if err := w.ends(done); err != nil {
				t.Errorf("after all positions were settled: %v", err)
			}
		})
	}
}

// TestAtGoal: a one-off copy has nothing to wait for once all that it was to copy here is read.
func TestAtGoal(t *testing.T) {
	a, b := chunk.Partition{Topic: "a"}, chunk.Partition{Topic: "b"}
	elsewhere := chunk.Partition{Topic: "elsewhere"}
	for _, c := range []struct {
		why   string
		goals map[chunk.Partition]offsets.Source
		next  offsets.Source // of b; a is at 5
		want  bool
	}{
		{"no goal is known", nil, 9, false},
		{"one is behind", map[chunk.Partition]offsets.Source{a: 5, b: 9}, 8, false},
		{"all are there", map[chunk.Partition]offsets.Source{a: 5, b: 9, elsewhere: 7}, 9, true},
		{"one is new", map[chunk.Partition]offsets.Source{a: 5}, 2, true},
	} {
		s := &session{worker: &worker{flow: &shared{goal: goal{ends: c.goals}}}, routes: map[chunk.Partition]*route{
			a: {next: 5}, b: {next: c.next}}}
		if got := s.atGoal(); got != c.want {
			t.Errorf("%s: %t", c.why, got)
		}
	}
}
