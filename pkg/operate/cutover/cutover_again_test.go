package cutover_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// again opens a cutover of some groups ("": all) and says what it does about the one before.
func again(w *flowtest.World, groups string) (*cutover.Cutover, *cutover.Again) {
	w.T.Helper()
	o := w.HandoverOptions()
	if groups != "" {
		o.Groups = regexp.MustCompile("^(?:" + groups + ")$")
	}
	c, err := cutover.Open(w.Ctx, o)
	w.Must("open cutover", err)
	w.T.Cleanup(c.Close)
	a, err := c.Again(w.Ctx)
	w.Must("look at the cutover before", err)
	return c, a
}

// verdict makes sure of what a cutover would do.
func verdict(w *flowtest.World, what, groups string, want cutover.Verdict) *cutover.Again {
	w.T.Helper()
	_, a := again(w, groups)
	if a.Verdict != want {
		w.T.Errorf("%s: %q, want %q; since then %+v, found %+v", what, a.Verdict, want, a.Since, a.Found)
	}
	return a
}

// A cutover goes on in stages by groups; what has happened since decides what the next one does, and it never says
// that applications may start while records are behind.
func TestCutoverAgain(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	w.Commit("billing", "orders", 0, 20)
	w.Commit("audit", "orders", 0, 60)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	run := func(groups string) handover.Record {
		t.Helper()
		c, _ := again(w, groups)
		record, err := c.Run(w.Ctx)
		w.Must("cut over", err)
		return record
	}
	verdict(w, "the first", "billing", cutover.First)
	first := run("billing")
	verdict(w, "the same again", "billing", cutover.Nothing)
	verdict(w, "the rest", "", cutover.Stage)
	if again := run("billing"); again.ID != first.ID || again.Groups != 1 {
		t.Errorf("the same again ended as %+v, want %+v", again, first)
	}
	if both := run(""); both.ID != first.ID || both.Groups != 2 {
		t.Errorf("the rest ended as %+v, want two groups of %s", both, first.ID)
	}
	verdict(w, "all again", "", cutover.Nothing)
	r.Stop()

	w.Plain(w.Sides.Source, "orders", 0, 240)
	if a := verdict(w, "records are behind", "", cutover.Anew); a.Since.Behind != 240 || a.Since.Written != 240 {
		t.Errorf("since then %+v, want 240 behind", a.Since)
	}
	second := run("")
	if second.ID == first.ID || second.State != handover.Done {
		t.Errorf("the next one ended as %+v", second)
	}
	w.Equal([]string{"orders"})

	// A consumer goes on at the target, while producers stay: moving the rest is not refused, and what it has is kept.
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Target,
		[]workload.Position{{Group: "billing", Topic: "orders", At: 30}}))
	verdict(w, "one group is at work there", "", cutover.Nothing)
	w.Plain(w.Sides.Source, "orders", 0, 5)
	refusedAgain(w, "nothing copies", "5 records on old are not on new", "at work on new since: billing")
	w.Commit("audit", "orders", 0, 61)
	verdict(w, "a group went back to the source", "audit", cutover.Stage)
	w.Must("undo is refused", needs(undo(w), "was made use of"))

	w.Plain(w.Sides.Target, "orders", 0, 7)
	refusedAgain(w, "both sides are written to", "5 records were written to old", "7 records were written to new")
	status, err := inspect.Status(w.Ctx, w.Look())
	w.Must("look", err)
	c := status.Cutover
	at := slices.IndexFunc(c.Groups, func(g inspect.MovedGroup) bool { return g.Group == "billing" })
	if c.ID != second.ID || c.State != handover.Done || c.Ended == nil || c.Written != 5 || c.Used != 7 ||
		len(c.Groups) != 2 || !c.Groups[at].OnTarget || c.Groups[at].Ended == nil {
		t.Errorf("status tells of %+v", c)
	}
}

// refusedAgain makes sure that a cutover is refused after the one before, with these figures.
func refusedAgain(w *flowtest.World, what string, figures ...string) {
	w.T.Helper()
	c, a := again(w, "")
	_, err := c.Run(w.Ctx)
	_, looked := c.Preview(w.Ctx)
	for _, err := range []error{err, looked} {
		for _, figure := range figures {
			if err == nil || !strings.Contains(err.Error(), figure) || chunk.Remedy(err) == "" {
				w.T.Errorf("%s: %v, want a refusal with %q; since then %+v", what, err, figure, a.Since)
			}
		}
	}
}

// undo takes the latest cutover back.
func undo(w *flowtest.World) error {
	c, _ := again(w, "")
	_, err := c.Undo(w.Ctx)
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
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Commit("billing", "orders", 0, 4)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Must("undo of nothing is refused", needs(undo(w), "no cutover that could be undone"))
	before := w.CutOver()
	w.Must("undo", undo(w))
	verdict(w, "after it", "", cutover.First)
	r.Stop()
	_, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	w.Must("a rollback is refused", needs(err, "no record of a cutover"))
	if after := w.CutOver(); after.ID == before.ID {
		t.Errorf("the next cutover goes on with %s", before.ID)
	}
}
