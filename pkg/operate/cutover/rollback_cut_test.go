package cutover_test

import (
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
)

// A cluster that was put back after the cutover, so that its log ends before what was copied, or has grown again, does
// not count as safe to go back from: a rollback is refused before anything is turned.
func TestRollbackOfWhatWasPutBack(t *testing.T) {
	for name, c := range map[string]struct {
		source bool
		grown  int
		want   string
	}{
		"target":       {false, 0, "orders/0: new has lost what was copied to it from source offset 60 on"},
		"target grown": {false, 80, "orders/0: the record that was copied last is another one"},
		"source":       {true, 0, "orders/0: old has lost up to 40 records that were copied, from offset 60 on"},
		"source grown": {true, 80, "orders/0: the record that was copied last is another one"},
	} {
		t.Run(name, func(t *testing.T) {
			w := flowtest.New(t)
			putBack := w.FortyLater(c.source)
			r := w.Start(nil)
			w.Equal([]string{"orders"})
			r.Stop()
			w.CutOver()
			w.Plain(w.Sides.Target, "orders", 0, 5)
			if s := sinceCutover(w); s.Records != 5 || len(s.GivenUp) > 0 {
				t.Errorf("nothing is in the way: %+v", s)
			}
			putBack()
			grows := w.Sides.Target
			if c.source {
				grows = w.Sides.Source
			}
			w.Plain(grows, "orders", 0, c.grown)
			back, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
			if err == nil {
				back.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it is refused with %v, want %q", err, c.want)
			}
		})
	}
}

// A cut that nobody has noted yet is noted before a cutover is refused for it: else the order that it waits for could
// never be given.
func TestCutoverNotesACut(t *testing.T) {
	w := flowtest.New(t)
	putBack := w.FortyLater(false)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	putBack()
	c, err := cutover.Open(w.Ctx, w.HandoverOptions())
	w.Must("open cutover", err)
	defer c.Close()
	if _, err := c.Run(w.Ctx); err == nil || !strings.Contains(err.Error(), "the target's log was cut") {
		t.Errorf("it is refused with %v", err)
	}
	if cut := w.OpenCut(); !cut.Target || cut.At != 60 {
		t.Errorf("the ledger says that %+v, want a cut of the target at 60", cut)
	}
}
