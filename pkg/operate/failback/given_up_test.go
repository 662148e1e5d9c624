package failback_test

import (
	"fmt"
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/failover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
)

// What a failback gave up is told with the records that it counted, and is no cut: beside a real one that was before,
// and without one. Markers and aborted records stand among the orphans, so that their offsets are more.
func TestGivenUpIsNoCut(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %t", cut), func(t *testing.T) { testGivenUpIsNoCut(t, cut) })
	}
}

func testGivenUpIsNoCut(t *testing.T, cut bool) {
	w := flowtest.New(t)
	if cut {
		w.CutAt60()
		w.Ends(w.Once()) // it notes the cut
		w.Plain(w.Sides.Source, "orders", 0, 80)
		w.Resume(false)
	} else {
		w.Topic("orders", 1)
		w.Plain(w.Sides.Source, "orders", 0, 140)
	}
	w.Must("copy", w.Ends(w.Once()))
	w.Mixed("orders", 1, 40)
	f, err := failover.Open(w.Ctx, failover.Options{Clusters: w.Clusters(), Flow: w.Cfg, SourceIsDead: true,
		Report: func(string, string) {}})
	w.Must("open failover", err)
	_, err = f.Run(w.Ctx)
	w.Must("fail over", err)
	f.Close()
	kept, err := open(w, options(w, failback.Abandon)).Run(w.Ctx)
	w.Must("fail back", err)
	p := w.Partition(w.Look())
	if len(p.GivenUp) != 1 {
		t.Fatalf("status says that %+v was given up", p.GivenUp)
	}
	g := p.GivenUp[0]
	if g.Records != kept.Records || g.Records == 0 || g.From != 140 || g.To-g.From <= g.Records ||
		strings.Contains(g.String(), "up to") {
		t.Errorf("status says %q, want %d records", g, kept.Records)
	}
	switch {
	case !cut && p.Cuts != nil, cut && (p.Cuts == nil || p.Cuts.Count != 1 || p.Cuts.Offsets != 40 || p.Cuts.At != 60):
		t.Errorf("status tells of %+v", p.Cuts)
	}
	v, err := verify.Flow(w.Ctx, w.Look(), verify.Options{})
	w.Must("verify", err)
	if v.GivenUp != g.Records || v.Unverified[compare.GivenUp] != g.Records || v.KnownLost != g.Records ||
		v.Verdict != verify.Incomplete {
		t.Errorf("verify says %s, %d given up, %d lost, unverified %v", v.Verdict, v.GivenUp, v.KnownLost,
			v.Unverified)
	}
	if at := w.OnTarget(w.Look(), "orders", 140); at.Skips == nil || at.Skips.Records != g.Records {
		t.Errorf("offsets says that a reader skips %+v", at.Skips)
	}
	if part := g.Within(150, g.To); part.Records != 0 || part.Range != (inspect.Range{From: 150, To: g.To}) {
		t.Errorf("of a part of it not all are counted: %+v", part)
	}
}

// What retention took before orphans were counted was not given up: it is a hole, as ever.
func TestDeletedOrphansAreAHole(t *testing.T) {
	w := flowtest.New(t)
	failedOver(w)
	w.DeleteBelow(w.From, "orders", 0, 13)
	kept, err := open(w, options(w, failback.Abandon)).Run(w.Ctx)
	w.Must("fail back", err)
	p := w.Partition(w.Look())
	if kept.Records != 4 || p.Holes == nil || p.Holes.Last != (inspect.Range{From: 10, To: 13}) || p.Holes.Offsets != 3 ||
		len(p.GivenUp) != 1 || p.GivenUp[0].Records != 4 || p.GivenUp[0].Range != (inspect.Range{From: 13, To: 17}) {
		t.Errorf("of %d orphans status tells %+v, and %+v was given up", kept.Records, p.Holes, p.GivenUp)
	}
}
