package drill_test

import (
	"strings"
	"testing"
	"time"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/drill"
	"replicator/pkg/replicate/settings"
)

// Each flow of a pair can be rehearsed: what the other one has written is not lost with a side.
func TestADrillOfAPair(t *testing.T) {
	w := flowtest.New(t)
	p := w.Pair()
	w.Topic("orders", 1)
	w.Must("make the topic", w.MakeTopic(w.Sides.Target, "orders"))
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Target, "orders", 0, 10)
	w.Commit("billing", "orders", 0, 4)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 20)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	w.Plain(w.Sides.Target, "orders", 0, 5)
	p.SameOnBoth("orders", 30)
	for _, flow := range []settings.Config{p.There, p.Back} {
		r, err := drill.Run(w.Ctx, drill.Options{Clusters: w.Clusters(), Flow: flow, InFlight: 10 * time.Second})
		w.Must("drill", err)
		if r.Verdict != drill.Ready || r.Compared.Alike == 0 || r.Compared.Differs > 0 {
			t.Errorf("%s is %s, compared %+v: %+v", r.Flow, r.Verdict, r.Compared, r.Reasons)
		}
	}
}

// A drill that another one of the flow has overtaken says so, and both leave nothing.
func TestADrillThatIsOvertaken(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Start(nil)
	w.Equal([]string{"orders"})
	r, err := drill.Run(w.Ctx, drill.Options{Clusters: w.Clusters(), Flow: w.Cfg, InFlight: time.Second,
		Began: func(does string) {
			if !strings.Contains(does, "a new consumer") {
				return
			}
			second := rehearse(w, time.Second)
			if second.Verdict != drill.Ready || len(second.Warnings) != 1 {
				t.Errorf("the second is %s: %+v, warnings %v", second.Verdict, second.Reasons, second.Warnings)
			}
		}})
	w.Must("drill", err)
	if r.Verdict != drill.NotReady || !because(r, "step read: another drill of flow old->new has begun meanwhile") {
		t.Errorf("the first is %s: %+v", r.Verdict, r.Reasons)
	}
	if left := testTopics(w); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
