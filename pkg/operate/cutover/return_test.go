package cutover_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/failover"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// lost is a pair whose source was given up with 6 records that were never copied, and whose applications have written 7
// on the target since.
func lost(w *flowtest.World) *flowtest.Pair {
	w.T.Helper()
	w.MayClose = true
	p := w.Pair()
	w.Topic("orders", 2)
	w.Must("make", w.MakeTopic(w.Sides.Target, "unrelated"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Source, "orders", 1, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 4)
	w.Plain(w.Sides.Source, "orders", 1, 2)
	f, err := failover.Open(w.Ctx, failover.Options{Clusters: w.Clusters(), Flow: p.There, SourceIsDead: true,
		Log:    slog.New(slog.NewTextHandler(&w.Log, nil)),
		Report: func(step, missing string) { fmt.Fprintf(&w.Log, "waits: %s: %s\n", step, missing) }})
	w.Must("open failover", err)
	defer f.Close()
	_, err = f.Run(w.Ctx)
	w.Must("fail over", err)
	w.Plain(w.Sides.Target, "orders", 0, 7)
	return p
}

// opened opens the flow again.
func opened(p *flowtest.Pair, choice failback.Choice) {
	p.T.Helper()
	f, err := failback.Open(p.Ctx, failback.Options{Clusters: p.Clusters(), Flow: p.There, Orphans: choice})
	p.Must("open failback", err)
	defer f.Close()
	_, err = f.Run(p.Ctx)
	p.Must("fail back", err)
}

// returnOptions are those of a return that does not wait long.
func returnOptions(p *flowtest.Pair) cutover.Options {
	o := p.HandoverOptions()
	o.Flow = p.There
	return o
}

// comeBack brings the applications back.
func comeBack(p *flowtest.Pair) {
	p.T.Helper()
	r, err := cutover.OpenReturn(p.Ctx, returnOptions(p), &p.Back)
	p.Must("open return", err)
	defer r.Close()
	record, err := r.Run(p.Ctx)
	p.Must("return", err)
	if record.State != handover.Done || record.Flow != "new->old" || r.Record().Returned.IsZero() {
		p.T.Errorf("it ended as %+v, %+v", record, r.Record())
	}
}

// Orphans that are carried over come as late records, and both flows may go on after the applications are back.
func TestReturnCarriesBothWays(t *testing.T) {
	for choice, onTarget := range map[failback.Choice]int{failback.Append: 33, failback.Abandon: 27} {
		t.Run(string(choice), func(t *testing.T) {
			w := flowtest.New(t)
			p := lost(w)
			opened(p, choice)
			comeBack(p)
			source, target := len(w.Holds(w.Sides.Source, "orders")), len(w.Holds(w.Sides.Target, "orders"))
			if source != 33 || target != onTarget {
				t.Errorf("%d on the source, %d on the target, want 33 and %d", source, target, onTarget)
			}
			comeBack(p) // given again, it is done
			p.StartFlows(p.There, p.Back)
			w.Plain(w.Sides.Source, "orders", 0, 3)
			w.Plain(w.Sides.Target, "orders", 1, 3)
			w.Await("both go on", func() bool {
				return len(w.Holds(w.Sides.Source, "orders")) == 39 && len(w.Holds(w.Sides.Target, "orders")) == onTarget+6
			})
		})
	}
}

// A daemon for which not every group is shared is named at once, before applications stop.
func TestReturnWantsDaemonsToRest(t *testing.T) {
	w := flowtest.New(t)
	p := lost(w)
	opened(p, failback.Append)
	r := p.StartFlows(p.There, p.Back)
	w.Await("the daemon is at work", func() bool { return r.Ready() == nil })
	back, err := cutover.OpenReturn(w.Ctx, returnOptions(p), &p.Back)
	w.Must("open", err)
	defer back.Close()
	_, err = back.Run(w.Ctx)
	if err == nil || !strings.Contains(err.Error(), "shared_groups") ||
		!strings.Contains(chunk.Remedy(err), "stop the daemons") {
		t.Errorf("beside a daemon: %v; %s", err, chunk.Remedy(err))
	}
}

// Nobody returns to where nobody left.
func TestReturnNeedsAFailover(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 1)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 1)
	r.Stop()
	_, err := cutover.OpenReturn(w.Ctx, returnOptions(p), &p.Back)
	if err == nil || !strings.Contains(err.Error(), "has no record of a failover") || chunk.Remedy(err) == "" {
		t.Errorf("without a failover: %v", err)
	}
}

// Groups go over with nothing lost, and read again only what lies between the orders of both logs: one that has read a
// part of the orphans on the source, one that has read on the target what comes behind them on the source, and one that
// has read nothing.
func TestReturnTakesGroupsAlong(t *testing.T) {
	w := flowtest.New(t)
	p := lost(w)
	w.Commit("ahead", "orders", 0, 12)
	for _, at := range []workload.Position{
		{Group: "ahead", Topic: "orders", Partition: 0, At: 10}, {Group: "busy", Topic: "orders", Partition: 0, At: 14},
		{Group: "idle", Topic: "orders", Partition: 0, At: 0},
	} {
		w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target, []workload.Position{at}))
	}
	unread := map[string][]string{}
	values := func(c *kafkatest.Cluster, from int64) (list []string) {
		for _, r := range c.Read("orders", 0, from) {
			list = append(list, string(r.Value))
		}
		slices.Sort(list)
		return list
	}
	orphans10 := values(w.Source, 10)
	for group, at := range map[string]int64{"ahead": 10, "busy": 14, "idle": 0} {
		unread[group] = append(values(w.Target, at), orphans10...)
		if group == "ahead" {
			unread[group] = append(values(w.Target, at), values(w.Source, 12)...)
		}
		slices.Sort(unread[group])
	}
	opened(p, failback.Append)
	comeBack(p)
	for group, want := range unread {
		got := values(w.Source, w.Position(w.From, group, "orders", 0))
		for _, v := range want {
			if !slices.Contains(got, v) {
				t.Errorf("group %s has lost %s", group, v)
			}
		}
		if again := map[string]int{"busy": 3}[group]; len(got) != len(want)+again {
			t.Errorf("group %s reads %d, %d of them again, want %d", group, len(got), len(got)-len(want), again)
		}
	}
}

// A return that is interrupted at any step is given again, and comes to its end.
func TestReturnIsGivenAgain(t *testing.T) {
	w := flowtest.New(t)
	p := lost(w)
	opened(p, failback.Append)
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target,
		[]workload.Position{{Group: "app", Topic: "orders", Partition: 0, At: 14}}))
	for _, step := range []string{"running", "begun", "silent", "carried", "copied", "recorded"} {
		ctx, cancel := context.WithCancel(w.Ctx)
		o := returnOptions(p)
		o.Report = func(at, missing string) {
			fmt.Fprintf(&w.Log, "waits: %s: %s\n", at, missing)
			if at == step {
				cancel()
			}
		}
		r, err := cutover.OpenReturn(w.Ctx, o, &p.Back)
		w.Must("open return", err)
		if _, err := r.Run(ctx); err == nil && ctx.Err() != nil {
			t.Errorf("interrupted at %s it says that it is done", step)
		}
		r.Close()
		cancel()
	}
	comeBack(p)
	p.SameOnBoth("orders", 33)
}

// What would be refused beside daemons is refused before the flow is opened.
func TestReturnAsksBeforeTheFlowIsOpened(t *testing.T) {
	w := flowtest.New(t)
	p := lost(w)
	r := p.StartFlows(p.Back)
	w.Await("the daemon is at work", func() bool { return r.Ready() == nil })
	back, err := cutover.OpenReturn(p.Ctx, returnOptions(p), &p.Back)
	p.Must("open return", err)
	defer back.Close()
	if err := back.Rest(p.Ctx); err == nil || !strings.Contains(err.Error(), "a daemon of flow new->old runs") {
		t.Errorf("beside a daemon: %v", err)
	}
	r.Stop()
	w.Await("the daemon is gone", func() bool { return back.Rest(p.Ctx) == nil })
}

// What a flow brings that is left out is written by no application, and is named so.
func TestSilenceNamesFlows(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Topic("clicks", 1)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Plain(w.Sides.Source, "clicks", 0, 5)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 5)
	p.SameOnBoth("clicks", 5)
	w.Plain(w.Sides.Target, "clicks", 0, 1)
	p.SameOnBoth("clicks", 6)
	r.Stop()
	by := map[string][]int64{}
	for _, topic := range []string{"orders", "clicks"} {
		for _, written := range w.Target.Read(topic, 0, 0) {
			by[topic] = append(by[topic], written.ProducerID)
		}
	}
	w.Target.TellProducers(by)
	o := p.HandoverOptions()
	o.Flow = p.Back
	said, err := cutover.WritersOf(w.Ctx, o, []chunk.Partition{{Topic: "orders"}, {Topic: "clicks"}})
	w.Must("ask", err)
	if want := "orders (carried there by a flow from old)"; !strings.Contains(said, want) ||
		!strings.Contains(said, "clicks (producer ids ") {
		t.Errorf("writers are said to be %q", said)
	}
}
