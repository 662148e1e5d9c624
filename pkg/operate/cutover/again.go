package cutover

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Again is what a cutover finds of the one before, and what it does about that.
type Again struct {
	Verdict Verdict
	Found   *inspect.CutoverStatus // nil: none
	Since   Since
}

// Again takes up the latest cutover and what has happened since.
func (c *Cutover) Again(ctx context.Context) (*Again, error) {
	status, err := inspect.Status(ctx, c.m.viewer)
	if err != nil {
		return nil, err
	}
	book, err := firstBook(ctx, c.m.o)
	if err == nil {
		c.found, err = handover.RecordOf(book)
	}
	if err == nil {
		c.held, err = handover.GroupsOf(book, c.found.ID)
	}
	if err == nil {
		c.ends, err = handover.TopicsOf(book, c.found.ID)
	}
	if err != nil {
		return nil, err
	}
	a := &Again{Found: status.Cutover, Since: since(status.Cutover, status, c.m.o.Groups)}
	a.Verdict = verdictOn(c.found, a.Since)
	return a, nil
}

// Refusal is why a cutover does not begin after the one before; nil: it may.
func (a *Again) Refusal(flow *settings.Config) error {
	if a.Verdict != Refused {
		return nil
	}
	what := fmt.Sprintf("cutover %s was done at %s", a.Found.ID, a.Found.Ended.Format(time.RFC3339))
	s, from, to := a.Since, flow.From, flow.To
	if s.Written > 0 {
		what += fmt.Sprintf("; since then up to %d records were written to %s", s.Written, from)
	}
	if s.Behind > 0 {
		what += fmt.Sprintf("; up to %d records on %s are not on %s", s.Behind, from, to)
	}
	if s.Used > 0 {
		what += fmt.Sprintf("; up to %d records were written to %s by somebody else", s.Used, to)
	}
	if len(s.Moved) > 0 {
		what += fmt.Sprintf("; groups at work on %s since: %s", to, kafka.Few(s.Moved))
	}
	if len(s.Both) > 0 {
		what += fmt.Sprintf("; groups at work on both sides since: %s", kafka.Few(s.Both))
	}
	switch {
	case len(s.Both) > 0:
		return &kafka.Problem{What: what, Fix: fmt.Sprintf("stop these groups on one of the sides, and set their positions "+
			"right there by hand; 'replicator rollback' takes all back to %s", from)}
	case s.Used > 0:
		return &kafka.Problem{What: what, Fix: fmt.Sprintf("stop what still writes to %s. What is there would come "+
			"behind what applications have written to %s: 'replicator run' copies it so, if that is wanted, and then a "+
			"rollback leaves out what is before it; 'replicator rollback' takes the applications back to %s first", from, to,
			from)}
	}
	return &kafka.Problem{What: what, Fix: fmt.Sprintf("start 'replicator run', which copies what is left, and give this "+
		"command again; stop what still writes to %s when its time has come", from)}
}

// Undo takes the record of a cutover back, which nobody has made use of: the flow counts as not cut over, its group
// positions follow, and its settings are put on the target's topics again. With Force also one that was made use of;
// then 'replicator rollback' cannot bring back what was written on the target.
func (c *Cutover) Undo(ctx context.Context) (handover.Record, error) {
	a, err := c.Again(ctx)
	if err == nil {
		err = c.mayUndo(a)
	}
	if err != nil {
		return c.found, err
	}
	c.found.State = handover.Undone
	return c.found, c.m.recorder.note(ctx, ledger.NoteRecord(handover.RecordName, handover.Encode(c.found)))
}

// MayUndo says why a cutover cannot be taken back; nil: it can.
func (c *Cutover) MayUndo(ctx context.Context) error {
	a, err := c.Again(ctx)
	if err != nil {
		return err
	}
	return c.mayUndo(a)
}

func (c *Cutover) mayUndo(a *Again) error {
	flow := &c.m.o.Flow
	if c.found.State != handover.Done && c.found.State != handover.Begun {
		return &kafka.Problem{What: fmt.Sprintf("flow %s has no cutover that could be undone", flow.Name()),
			Fix: "see 'replicator status': the flow counts as not cut over"}
	}
	var used []string
	for _, g := range a.Found.Groups {
		if g.OnTarget {
			used = append(used, g.Group)
		}
	}
	if c.m.o.Force || a.Since.Used == 0 && len(used) == 0 {
		return nil
	}
	what := fmt.Sprintf("cutover %s was made use of: up to %d records were written to %s by somebody else", a.Found.ID,
		a.Since.Used, flow.To)
	if len(used) > 0 {
		what += "; groups at work there: " + kafka.Few(used)
	}
	return &kafka.Problem{What: what, Fix: "'replicator rollback' takes applications back with what they have written; " +
		"--force forgets the cutover all the same, and then no rollback brings that back"}
}

// since is what a further cutover of some groups has to know; nil: of all.
func since(c *inspect.CutoverStatus, status *inspect.FlowStatus, only *regexp.Regexp) Since {
	s := Since{Behind: status.Behind}
	if c == nil {
		return s
	}
	s.Written, s.Used = c.Written, c.Used
	moved := map[string]*inspect.MovedGroup{}
	for j := range c.Groups {
		moved[c.Groups[j].Group] = &c.Groups[j]
	}
	for j := range status.Groups {
		name := status.Groups[j].Group
		if only != nil && !only.MatchString(name) {
			continue
		}
		switch m := moved[name]; {
		case m == nil, m.OnSource && !m.OnTarget:
			s.Rest = append(s.Rest, name)
		case m.OnSource:
			s.Both = append(s.Both, name)
		case m.OnTarget:
			s.Moved = append(s.Moved, name)
		}
	}
	return s
}
