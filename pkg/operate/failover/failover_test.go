package failover_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/failover"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// options are a failover of the world's flow.
func options(w *flowtest.World) failover.Options {
	return failover.Options{Clusters: w.Clusters(), Flow: w.Cfg, Log: slog.New(slog.NewTextHandler(&w.Log, nil)),
		Report: func(step, missing string) { fmt.Fprintf(&w.Log, "waits: %s: %s\n", step, missing) }}
}

// open opens a failover that the test closes.
func open(w *flowtest.World, o failover.Options) *failover.Failover {
	w.T.Helper()
	f, err := failover.Open(w.Ctx, o)
	w.Must("open failover", err)
	w.T.Cleanup(f.Close)
	return f
}

// copied makes a world whose source has so many records, all on the target, and groups that stand right.
func copied(w *flowtest.World) *flowtest.Replica {
	w.T.Helper()
	w.MayClose = true
	w.Topic("orders", 2)
	w.Mixed("orders", 2, 400)
	r := w.Start(nil)
	w.Groups([]string{"orders"})
	return r
}

// A dead source is given up: the flow is closed for every replica, groups stand where they stood, and what is not
// known is said to be unknown.
func TestDeadSourceIsGivenUp(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		r := copied(w)
		before := w.Position(w.To, "g-05", "orders", 0)
		w.Source.Close()

		began := time.Now()
		f := open(w, options(w))
		states, _, err := f.Preview(w.Ctx)
		w.Must("look", err)
		if !strings.Contains(states[0].Do, "old does not answer: whether somebody writes there is not known") {
			t.Errorf("the plan says %q", states[0].Do)
		}
		report, err := f.Run(w.Ctx)
		w.Must("fail over", err)
		t.Logf("failed over after %s", time.Since(began))
		if got := report.Record; got.State != handover.Done || got.Source != handover.Silent || got.Why == "" ||
			got.NotCopied != 0 || got.Partitions != 2 || got.Groups != 12 || len(got.Open) > 0 {
			t.Errorf("the record is %+v", got)
		}
		if got := report.Topics; len(got) != 1 || got[0].SeenEnds[0] > got[0].Progress[0] ||
			got[0].Progress[0] <= 0 || got[0].TargetEnds[0] <= 0 {
			t.Errorf("the topics are %+v", got)
		}
		at := slices.IndexFunc(report.Groups, func(g handover.StoodGroup) bool { return g.Group == "g-05" })
		if got := report.Groups[at].Nowhere; len(got) > 0 {
			t.Errorf("g-05 has no position in %v", got)
		}
		if got := report.Groups[at].Positions[0]; got.Target != before || got.Source < 0 || got.Lag < 0 {
			t.Errorf("g-05 stands at %+v, want %d", got, before)
		}

		err = <-r.Done
		r.Done <- nil
		if !handover.IsClosed(err) || chunk.Remedy(err) == "" || !strings.Contains(chunk.Remedy(err), "failback") {
			t.Errorf("the replica ended with %v, want that its flow is closed", err)
		}

		again := open(w, options(w))
		known, err := again.Again(w.Ctx)
		w.Must("read the record", err)
		if again.Found().ID != report.Record.ID || again.Found().State != handover.Done || len(known.Groups) != 12 ||
			len(known.Topics) != 1 || known.Record.Source != handover.Silent {
			t.Errorf("given again it finds %+v", known)
		}
	})
}
