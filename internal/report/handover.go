package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/settings"
)

// Steps prints a plan, and how far it is.
func Steps(w io.Writer, states []stepwise.State) {
	for i, s := range states {
		done := "done"
		if !s.Done {
			done = "open"
		}
		fmt.Fprintf(w, "%d. %-9s %s  %s\n", i+1, s.Name, done, s.Do)
		if s.Missing != "" {
			fmt.Fprintf(w, "   now:           %s\n", s.Missing)
		}
		if s.Remedy != "" {
			fmt.Fprintf(w, "   remedy:        %s\n", s.Remedy)
		}
		fmt.Fprintf(w, "   undo:          %s\n", s.Undo)
	}
}

// Done says what may start.
func Done(w io.Writer, r handover.Record, cluster string) error {
	for _, what := range r.GivenUp {
		fmt.Fprintf(w, "given up: %s\n", what)
	}
	_, err := fmt.Fprintf(w, "done at %s (%s): applications may start on %s, where %d partitions and %d groups stand\n",
		r.Ended.Format(time.RFC3339), r.ID, cluster, r.Partitions, r.Groups)
	return err
}

// Again says what is done about a cutover before.
func Again(w io.Writer, a *cutover.Again, flow *settings.Config) {
	if a.Found == nil || a.Verdict == cutover.First {
		return
	}
	switch a.Verdict {
	case cutover.GoOn:
		fmt.Fprintf(w, "cutover %s was begun at %s and goes on\n", a.Found.ID, a.Found.Begun.Format(time.RFC3339))
	case cutover.Nothing:
		fmt.Fprintf(w, "nothing is to be done: %s\n", CutWords(a.Found, flow.From, flow.To))
	case cutover.Stage:
		fmt.Fprintf(w, "%s; it goes on with %s\n", CutWords(a.Found, flow.From, flow.To), terminal.Few(a.Since.Rest))
	case cutover.Anew:
		fmt.Fprintf(w, "%s, and up to %d of what is there are not on %s: it is begun anew\n",
			CutWords(a.Found, flow.From, flow.To), a.Since.Behind, flow.To)
	}
}

// CutWords tell of a cutover, and of what has happened since.
func CutWords(c *inspect.CutoverStatus, from, to string) string {
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
		groups = "groups " + terminal.Few(names)
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

// WayBack says how far back is safe.
func WayBack(w io.Writer, s cutover.BackState, flow settings.Config) {
	if len(s.Written) == 0 {
		fmt.Fprintf(w, "since the cutover at %s nothing was written to its %s on %s\n", s.Since.Format(time.RFC3339),
			terminal.Count(s.Topics, "topic"), flow.To)
	} else {
		fmt.Fprintf(w, "since the cutover at %s up to %d records were written to %d of %s on %s: %s\n",
			s.Since.Format(time.RFC3339), s.Records, len(s.Written), terminal.Count(s.Topics, "topic"), flow.To,
			terminal.Few(s.Written))
	}
	if len(s.Made) > 0 {
		fmt.Fprintf(w, "%d more topics were made there since, and come back as well: %s\n", len(s.Made),
			strings.Join(s.Made, ", "))
	}
	if len(s.GivenUp) == 0 {
		fmt.Fprintln(w, "all of them are still there: going back is safe")
	}
	for _, what := range s.GivenUp {
		fmt.Fprintf(w, "--force gives up: %s\n", what)
	}
}
