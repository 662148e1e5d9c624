package replicate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/retention"
)

// aged writes one record of each age to partition 0 of a source topic, each in a batch: the fake
// looks for times by batch.
func aged(w *flowtest.World, topic string, ages ...time.Duration) {
	w.T.Helper()
	for i, age := range ages {
		one := &kgo.Record{Value: fmt.Append(nil, i), Timestamp: time.Now().Add(-age)}
		w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, topic, one))
	}
}

// Long before the target's retention deletes what a group has not read, status and a metric say how much of it is
// left, and that it is shorter than the source's.
func TestRetentionIsToldBeforeItDeletes(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.SyncTopicConfigs = false
	w.Topic("orders", 1)
	const hour = time.Hour
	aged(w, "orders", 100*hour, 69*hour, 41*hour, 10*hour)
	w.Setting(w.From, "orders", "retention.ms", fmt.Sprint(int64(1000*hour/time.Millisecond)))
	groups := map[string]int64{"gone": 0, "near": 1, "half": 2, "fresh": 3, "done": 4}
	for group, at := range groups {
		w.Commit(group, "orders", 0, at)
	}
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Setting(w.To, "orders", "cleanup.policy", "delete")
	w.Setting(w.To, "orders", "retention.ms", fmt.Sprint(int64(80*hour/time.Millisecond)))
	look := w.Look()
	w.Stands("done", "orders", 0, w.OnTarget(look, "orders", 4).Target)
	w.Stands("gone", "orders", 0, w.OnTarget(look, "orders", 0).Target)

	// Of 80 h are left: less than none, 11 h, 39 h, 70 h.
	want := map[string]float64{"gone": 0, "near": 0.125, "half": 0.25, "fresh": 0.5}
	w.Await("the metric tells what is left", func() bool {
		seen := r.Scrape("replicator_group_retention_left_ratio")
		for group, share := range want {
			if got, known := seen[group+"/orders"]; !known || got != share {
				return false
			}
		}
		return len(seen) == len(want)
	})
	status, err := inspect.Status(w.Ctx, look)
	w.Must("look", err)
	for _, g := range status.Groups {
		share, unread := want[g.Group]
		at := g.Positions[0].KeptForAtLeast
		if unread != (at != nil) || unread && *at != int64(share*80*3600) {
			t.Errorf("%s is told as %+v, want %v of 80 h", g.Group, g.Positions[0], share)
		}
	}
	told := fmt.Sprint(status.Warnings)
	for _, s := range []string{"topic orders is kept 80h0m0s on new, and 1000h0m0s on old", "group gone has not read",
		"at least 10h0m0s more", "group half has not read"} {
		if !strings.Contains(told, s) {
			t.Errorf("the warnings do not say %q: %s", s, told)
		}
	}
	if strings.Contains(told, "group fresh") || strings.Contains(told, "group done") || !status.CaughtUp {
		t.Errorf("caught up %t, warned of %s", status.CaughtUp, told)
	}
}

// A partition that does not tell is not taken for one that is about to lose records.
func TestSilentPartitionIsNotAboutToLoseRecords(t *testing.T) {
	ever := listoffsets.Kept{For: -1, Bytes: -1}
	day := listoffsets.Kept{For: 24 * time.Hour, Bytes: -1}
	small := listoffsets.Kept{For: -1, Bytes: 1000}
	both := listoffsets.Kept{For: 48 * time.Hour, Bytes: 1000}
	for _, c := range []struct {
		here, there listoffsets.Kept
		want        bool
	}{
		{ever, ever, false}, {ever, day, false}, {day, ever, true}, {day, day, false}, {small, ever, true},
		{small, small, false}, {both, day, true}, {day, both, true}, {both, both, false}, {ever, small, false},
	} {
		if got := c.here.Shorter(c.there); got != c.want {
			t.Errorf("%v is shorter than %v: %t, want %t", c.here, c.there, got, c.want)
		}
	}
	w := flowtest.New(t)
	offsets, err := listoffsets.Open(w.Kafka("new", w.Sides.Target))
	w.Must("open", err)
	defer offsets.Close()
	nowhere := []retention.Unread{{Partition: chunk.Partition{Topic: "nowhere"}}}
	found, err := retention.LeftOf(w.Ctx, offsets, map[string]listoffsets.Kept{"nowhere": day}, nowhere, time.Now())
	if err != nil || len(found) > 0 {
		t.Errorf("a partition that is not there is told as %v, %v; want nothing", found, err)
	}
}
