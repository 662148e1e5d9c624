package flowtest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/judge"
	"replicator/internal/kafkatest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/settings"
)

// Patience is how long a test waits for what must come: it only ends tests that fail.
const Patience = 30 * time.Second

// World is two fake clusters, the flow between them, and what a test does to them.
type World struct {
	T              *testing.T
	Ctx            context.Context
	Source, Target *kafkatest.Cluster
	Sides          judge.Sides
	Cfg            settings.Config
	From, To       *kadm.Client
	Log            logBuffer
	Tune           func(*replicate.Options) // nil: nothing is to be changed
	MayClose       bool                     // replicas may end because their flow is closed
	seed           uint64
	Written        int // records, aborted ones among them
}

// New starts the clusters; tests run beside each other, since they mostly wait.
func New(t *testing.T) *World {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	t.Cleanup(cancel)
	w := &World{T: t, Ctx: ctx, Cfg: settings.DefaultConfig()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the engine:\n%s", w.Log.String())
		}
	})
	w.Cfg.From, w.Cfg.To, w.Cfg.Shards = "old", "new", 4
	w.Cfg.CommitInterval, w.Cfg.GroupSyncInterval = 50*time.Millisecond, 200*time.Millisecond
	w.Cfg.RefreshInterval = 200 * time.Millisecond
	w.Source, w.Sides.Source, w.From = w.Cluster("old")
	w.Target, w.Sides.Target, w.To = w.Cluster("new")
	return w
}

// OnLanes runs a test in both lanes.
func OnLanes(t *testing.T, test func(*testing.T, *World)) {
	t.Parallel()
	for _, lane := range []settings.Lane{settings.LaneBatch, settings.LaneRecord} {
		t.Run(string(lane), func(t *testing.T) {
			w := New(t)
			w.Cfg.Lane = lane
			test(t, w)
		})
	}
}

// Must ends the test on an error.
func (w *World) Must(what string, err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatalf("%s: %v", what, err)
	}
}

// Await polls until the condition holds.
func (w *World) Await(what string, holds func() bool) {
	w.T.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !holds(); <-tick.C {
		if time.Now().After(deadline) || w.Ctx.Err() != nil {
			w.T.Fatalf("waited in vain: %s", what)
		}
	}
}
