package replicate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// again opens a cutover of some groups ("": all) and says what it does about the one before.
func (w *world) again(groups string) (*Cutover, *Again) {
	w.t.Helper()
	o := w.handoverOptions()
	if groups != "" {
		o.Groups = regexp.MustCompile("^(?:" + groups + ")$")
	}
	c, err := OpenCutover(w.ctx, o)
	w.must("open cutover", err)
	w.t.Cleanup(c.Close)
	a, err := c.Again(w.ctx)
	w.must("look at the cutover before", err)
	return c, a
}

// verdict makes sure of what a cutover would do.
func (w *world) verdict(what, groups string, want cutover.Verdict) *Again {
	w.t.Helper()
	_, a := w.again(groups)
	if a.Verdict != want {
		w.t.Errorf("%s: %q, want %q; since then %+v, found %+v", what, a.Verdict, want, a.Since, a.Found)
	}
	return a
}

// A cutover goes on in stages by groups; what has happened since decides what the next one does, and it never says
// that applications may start while records are behind.
func TestCutoverAgain(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 60)
	w.commit("billing", "orders", 0, 20)
	w.commit("audit", "orders", 0, 60)
	r := w.start(nil)
	w.equal([]string{"orders"})
	run := func(groups string) handover.Record {
		t.Helper()
		c, _ := w.again(groups)
		record, err := c.Run(w.ctx)
		w.must("cut over", err)
		return record
	}
	w.verdict("the first", "billing", cutover.First)
	first := run("billing")
	w.verdict("the same again", "billing", cutover.Nothing)
	w.verdict("the rest", "", cutover.Stage)
	if again := run("billing"); again.ID != first.ID || again.Groups != 1 {
		t.Errorf("the same again ended as %+v, want %+v", again, first)
	}
	if both := run(""); both.ID != first.ID || both.Groups != 2 {
		t.Errorf("the rest ended as %+v, want two groups of %s", both, first.ID)
	}
	w.verdict("all again", "", cutover.Nothing)
	r.stop()

	w.plain(w.sides.Source, "orders", 0, 240)
	if a := w.verdict("records are behind", "", cutover.Anew); a.Since.Behind != 240 || a.Since.Written != 240 {
		t.Errorf("since then %+v, want 240 behind", a.Since)
	}
	second := run("")
	if second.ID == first.ID || second.State != handover.Done {
		t.Errorf("the next one ended as %+v", second)
	}
	w.equal([]string{"orders"})

	// A consumer goes on at the target, while producers stay: moving the rest is not refused, and what it has is kept.
	w.must("commit", workload.Commit(w.ctx, w.sides.Target,
		[]workload.Position{{Group: "billing", Topic: "orders", At: 30}}))
	w.verdict("one group is at work there", "", cutover.Nothing)
	w.plain(w.sides.Source, "orders", 0, 5)
	w.refusedAgain("nothing copies", "5 records on old are not on new", "at work on new since: billing")
	w.commit("audit", "orders", 0, 61)
	w.verdict("a group went back to the source", "audit", cutover.Stage)
	w.must("undo is refused", needs(w.undo(), "was made use of"))

	w.plain(w.sides.Target, "orders", 0, 7)
	w.refusedAgain("both sides are written to", "5 records were written to old", "7 records were written to new")
	status, err := w.inspect().Status(w.ctx)
	w.must("look", err)
	c := status.Cutover
	at := slices.IndexFunc(c.Groups, func(g MovedGroup) bool { return g.Group == "billing" })
	if c.ID != second.ID || c.State != handover.Done || c.Ended == nil || c.Written != 5 || c.Used != 7 ||
		len(c.Groups) != 2 || !c.Groups[at].OnTarget || c.Groups[at].Ended == nil {
		t.Errorf("status tells of %+v", c)
	}
}

// refusedAgain makes sure that a cutover is refused after the one before, with these figures.
func (w *world) refusedAgain(what string, figures ...string) {
	w.t.Helper()
	c, a := w.again("")
	_, err := c.Run(w.ctx)
	_, looked := c.Look(w.ctx)
	for _, err := range []error{err, looked} {
		for _, figure := range figures {
			if err == nil || !strings.Contains(err.Error(), figure) || chunk.Remedy(err) == "" {
				w.t.Errorf("%s: %v, want a refusal with %q; since then %+v", what, err, figure, a.Since)
			}
		}
	}
}

// undo takes the latest cutover back.
func (w *world) undo() error {
	c, _ := w.again("")
	_, err := c.Undo(w.ctx)
	return err
}

// needs says what is wrong with an error that has to say something.
func needs(err error, want string) error {
	if err == nil || !strings.Contains(err.Error(), want) {
		return errors.New("it ended with " + fmt.Sprint(err) + ", want " + want)
	}
	return nil
}

// A cutover that nobody made use of is undone: the flow counts as not cut over.
func TestCutoverIsUndone(t *testing.T) {
	w := newWorld(t)
	w.topic("orders", 1)
	w.plain(w.sides.Source, "orders", 0, 10)
	w.commit("billing", "orders", 0, 4)
	r := w.start(nil)
	w.equal([]string{"orders"})
	w.must("undo of nothing is refused", needs(w.undo(), "no cutover that could be undone"))
	before := w.cutOver()
	w.must("undo", w.undo())
	w.verdict("after it", "", cutover.First)
	r.stop()
	_, err := OpenRollback(w.ctx, w.handoverOptions())
	w.must("a rollback is refused", needs(err, "no record of a cutover"))
	if after := w.cutOver(); after.ID == before.ID {
		t.Errorf("the next cutover goes on with %s", before.ID)
	}
}
