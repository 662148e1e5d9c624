package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/settings"
)

// undoCutover takes the record back.
func (f *handoverFlags) undoCutover(ctx context.Context, cmd *cobra.Command, c *cutover.Cutover) error {
	if err := c.MayUndo(ctx); err != nil {
		return err
	}
	if f.dry && f.asJSON {
		return f.looked(cmd.OutOrStdout(), nil)
	}
	if f.dry {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "cutover %s would be forgotten\n", c.Found().ID)
		return err
	}
	if err := f.agreed(cmd); err != nil {
		return err
	}
	record, err := c.Undo(ctx)
	if err != nil {
		return err
	}
	if f.asJSON {
		f.answer.Undone, f.answer.Record = true, &record
		return printJSON(cmd.OutOrStdout(), f.answer, true)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "cutover %s is forgotten: the flow counts as not cut over\n", record.ID)
	return err
}

// printAgain says what is done about a cutover before.
func printAgain(w io.Writer, a *cutover.Again, flow *settings.Config) {
	if a.Found == nil || a.Verdict == cutover.First {
		return
	}
	switch a.Verdict {
	case cutover.GoOn:
		fmt.Fprintf(w, "cutover %s was begun at %s and goes on\n", a.Found.ID, a.Found.Begun.Format(time.RFC3339))
	case cutover.Nothing:
		fmt.Fprintf(w, "nothing is to be done: %s\n", cutWords(a.Found, flow.From, flow.To))
	case cutover.Stage:
		fmt.Fprintf(w, "%s; it goes on with %s\n", cutWords(a.Found, flow.From, flow.To), few(a.Since.Rest))
	case cutover.Anew:
		fmt.Fprintf(w, "%s, and up to %d of what is there are not on %s: it is begun anew\n",
			cutWords(a.Found, flow.From, flow.To), a.Since.Behind, flow.To)
	}
}

// cutWords tell of a cutover, and of what has happened since.
func cutWords(c *inspect.CutoverStatus, from, to string) string {
	ended := "never"
	if c.Ended != nil {
		ended = c.Ended.Format(time.RFC3339)
	}
	var names []string
	for _, g := range c.Groups {
		name := g.Group
		if g.OnTarget {
			name += " (at work on " + to + ")"
		}
		names = append(names, name)
	}
	groups := "no group"
	if len(names) > 0 {
		groups = "groups " + few(names)
	}
	text := fmt.Sprintf("cutover %s was done at %s, with %s", c.ID, ended, groups)
	if c.Written > 0 {
		text += fmt.Sprintf("; up to %d records were written to %s since", c.Written, from)
	}
	if c.Used > 0 {
		text += fmt.Sprintf("; up to %d were written to %s by applications since", c.Used, to)
	}
	return text
}

// noteCutover tells of the latest cutover of a flow.
func noteCutover(s *inspect.FlowStatus, note func(fact, remedy string)) {
	c := s.Cutover
	if c == nil {
		return
	}
	from, to, _ := strings.Cut(s.Flow, "->")
	switch {
	case c.TakesBack != "" && c.State == handover.Begun:
		note(fmt.Sprintf("! the rollback of cutover %s was begun at %s and has not come to its end", c.TakesBack,
			c.Begun.Format(time.RFC3339)), "give 'replicator rollback' of flow "+to+"->"+from+" again, which goes on")
	case c.TakesBack != "" && c.State == handover.Done:
		note(fmt.Sprintf("  the way back of cutover %s was done at %s", c.TakesBack, c.Ended.Format(time.RFC3339)), "")
	case c.State == handover.Begun:
		note(fmt.Sprintf("! cutover %s was begun at %s and has not come to its end", c.ID, c.Begun.Format(time.RFC3339)),
			"give 'replicator cutover' again, which goes on; or with --undo")
	case c.State == handover.Done:
		note("  "+cutWords(c, from, to), "")
		for _, what := range c.GivenUp {
			note("  given up by it: "+what, "")
		}
	case c.State == handover.RolledBack:
		note(fmt.Sprintf("  cutover %s was taken back by a rollback", c.ID), "")
	case c.State == handover.Undone:
		note(fmt.Sprintf("  cutover %s was undone: the flow counts as not cut over", c.ID), "")
	}
}
