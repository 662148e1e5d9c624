package replicate

import (
	"strings"
	"testing"
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
			w := newWorld(t)
			putBack := w.fortyLater(c.source)
			r := w.start(nil)
			w.equal([]string{"orders"})
			r.stop()
			w.cutOver()
			w.plain(w.sides.Target, "orders", 0, 5)
			if s := w.sinceCutover(); s.Records != 5 || len(s.GivenUp) > 0 {
				t.Errorf("nothing is in the way: %+v", s)
			}
			putBack()
			grows := w.sides.Target
			if c.source {
				grows = w.sides.Source
			}
			w.plain(grows, "orders", 0, c.grown)
			back, err := OpenRollback(w.ctx, w.handoverOptions())
			if err == nil {
				back.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it is refused with %v, want %q", err, c.want)
			}
		})
	}
}

// fortyLater makes a world of 100 records in orders/0, of which one side can be put back to the first 60.
func (w *world) fortyLater(source bool) (putBack func()) {
	w.t.Helper()
	if !source {
		saved := w.cutTarget()
		return func() { w.target.Restore(saved) }
	}
	w.sourceOnDisk()
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	saved := w.source.Save()
	w.plain(w.sides.Source, "orders", 0, 40)
	return func() { w.source.Restore(saved) }
}

// A cut that nobody has noted yet is noted before a cutover is refused for it: else the order that it waits for could
// never be given.
func TestCutoverNotesACut(t *testing.T) {
	w := newWorld(t)
	putBack := w.fortyLater(false)
	r := w.start(nil)
	w.equal([]string{"orders"})
	r.stop()
	putBack()
	c, err := OpenCutover(w.ctx, w.handoverOptions())
	w.must("open cutover", err)
	defer c.Close()
	if _, err := c.Run(w.ctx); err == nil || !strings.Contains(err.Error(), "the target's log was cut") {
		t.Errorf("it is refused with %v", err)
	}
	if cut := w.openCut(); !cut.Target || cut.At != 60 {
		t.Errorf("the ledger says that %+v, want a cut of the target at 60", cut)
	}
}
