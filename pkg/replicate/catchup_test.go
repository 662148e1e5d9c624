package replicate_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/settings"
)

// TestCatchUpReportsStopsOfOtherReplicas: what another replica has stopped is told, and not
// waited for; what it has copied counts.
func TestCatchUpReportsStopsOfOtherReplicas(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 4)
	w.Topic("taken", 4)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 4, workload.KeepConfigs(), "taken"))
	w.Mixed("orders", 4, 100)
	for number := range int32(4) {
		w.Plain(w.Sides.Target, "taken", number, 1)
		w.Plain(w.Sides.Source, "taken", number, 1)
	}
	daemon := w.Start(nil)
	for number := range int32(4) {
		daemon.Stopped("taken", number, chunk.StopForeign)
	}
	done := w.Once()
	w.Await("the shards are shared", func() bool { return daemon.Owned() < 4 || len(done) > 0 })
	err := w.Ends(done)
	var unfinished *replicate.UnfinishedError
	if !errors.As(err, &unfinished) || len(unfinished.Stops) != 4 || len(unfinished.Groups) != 0 {
		t.Fatalf("the one-off copy ends with %v, want the 4 partitions of taken", err)
	}
	for number, stop := range unfinished.Stops {
		if want := (chunk.Partition{Topic: "taken", Number: int32(number)}); stop.Partition != want || stop.Remedy() == "" ||
			stop.Kind != chunk.StopForeign {
			t.Errorf("stop %d is %+v, want one of %s with a remedy", number, stop, want)
		}
	}
	w.Equal([]string{"orders"})
}

// TestCatchUpOntoTopicsMadeBeforehand: a topic on the target that has to be altered before a
// record is written is waited for, and is no reason to end.
func TestCatchUpOntoTopicsMadeBeforehand(t *testing.T) {
	flowtest.OnLanes(t, testCatchUpOntoTopicsMadeBeforehand)
}

func testCatchUpOntoTopicsMadeBeforehand(t *testing.T, w *flowtest.World) {
	w.Cfg.RefreshInterval = time.Hour // what is waited for is looked at sooner
	w.Topic("orders", 2)
	w.Topic("stamped", 2)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2,
		map[string]string{"message.timestamp.after.max.ms": "3600000"}, "orders"))
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 2,
		map[string]string{"message.timestamp.type": "LogAppendTime"}, "stamped"))
	w.Mixed("orders", 2, 200)
	w.Mixed("stamped", 2, 200)
	w.Must("the one-off copy", w.Ends(w.Once()))
	w.Equal([]string{"orders", "stamped"})
}

// TestCatchUpWaitsForGroupsOfOtherShards: a one-off copy waits for the groups of shards that it does
// not own, and of those that are between two sessions.
func TestCatchUpWaitsForGroupsOfOtherShards(t *testing.T) {
	for why, workers := range map[string]int{"another's": 0, "starting over": 4} {
		t.Run(why, func(t *testing.T) {
			w := flowtest.New(t)
			w.Topic("orders", 4)
			w.Mixed("orders", 4, 100)
			w.Cfg.GroupSyncInterval = time.Hour // whoever owns the shards does not come round to it
			r := w.Start(nil)
			w.Equal([]string{"orders"})
			r.Stop()
			for number := range int32(4) {
				w.Commit("g", "orders", number, 1)
			}

			options := replicate.Options{Clusters: w.Clusters(), Flows: []settings.Config{w.Cfg},
				Registry:   prometheus.NewRegistry(),
				ViewGroups: inspect.ViewGroups(w.Clusters(), nil)}
			goal := map[chunk.Partition]offsets.Source{}
			for number := range int32(4) {
				goal[chunk.Partition{Topic: "orders", Number: number}] = 0
			}
			done := make(chan error, 1)
			go func() {
				open, err := replicate.SettleGroups(w.Ctx, options, workers, goal)
				if len(open) > 0 {
					err = fmt.Errorf("not right: %v", open)
				}
				done <- err
			}()
			select {
			case err := <-done:
				t.Fatalf("the groups are said to be right: %v", err)
			case <-time.After(2 * replicate.GroupsEvery): // this is what is tested: that it is still waiting
			}
			for number := range int32(4) { // a consumer on the target settles it
				w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target,
					[]workload.Position{{Group: "g", Topic: "orders", Partition: number, At: 0}}))
			}
			if err := w.Ends(done); err != nil {
				t.Errorf("after all positions were settled: %v", err)
			}
		})
	}
}
