package orders

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/pkg/operate/pause"
)

// NewPause makes the verb by which copying waits.
func NewPause() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "pause -c FILE TOPIC[/PARTITION]... [--why TEXT] [--dry-run] [--yes]",
		Short: "Have topics or partitions wait until 'resume', over restarts, and say who wanted it",
		Long: `pause has topics, by their names on the source, or single partitions wait: with
exactly-once delivery nothing of them is committed on the target once the command
has ended, with at-least-once delivery a flow that runs stops within seconds. All
else goes on, and groups follow as far as was copied. A topic waits with the
partitions that it gets later.

The word is kept in the ledger on the target, with who gave it, when and why: it
works from anywhere, whether or not a replica runs, and outlives restarts. To give it
both clusters have to answer. 'status' shows it as stopped (paused), 'history' tells
of former ones. What the source deletes before 'resume' cannot be copied, and is
counted as a hole then.

` + line.ExitCodes,
		Example: `  replicator pause -c replicator.yaml clicks --why "the target's disks are full" --yes
  replicator pause -c replicator.yaml orders/3 --dry-run
  replicator resume -c replicator.yaml clicks --yes`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return f.say(cmd, names, true)
		},
	}
	f.add(cmd)
	f.addWord(cmd, "print what would wait; order nothing")
	return cmd
}

// say pauses what is named, or has it go on.
func (f *flags) say(cmd *cobra.Command, names []string, pauses bool) error {
	if f.asJSON && !f.yes && !f.dry {
		return line.Usage(cmd, line.ErrAsked)
	}
	ctx := cmd.Context()
	view, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer view.Close()
	found, err := pause.Look(ctx, view, names)
	if err != nil {
		return err
	}
	word := f.word(pauses)
	list, err := found.Of(word)
	if err != nil {
		return err
	}
	if !pauses && len(list) == 0 {
		return line.Usage(cmd, fmt.Errorf("nothing of %s is paused in flow %s; about a cut say --from-cut or --from-end",
			strings.Join(names, ", "), view.FlowName()))
	}
	out := cmd.OutOrStdout()
	if !f.asJSON {
		tellPauses(out, list, pauses)
	}
	if !f.dry && pause.Changes(list) {
		if err := line.Agreed(cmd, f.yes); err != nil {
			return err
		}
		if err := found.Say(ctx, view, list, word); err != nil {
			return err
		}
	}
	if f.asJSON {
		return answers.Print(out, map[string]any{"flow": view.FlowName(), "words": answers.Listed(list),
			"ordered": !f.dry && pause.Changes(list)}, true)
	}
	switch {
	case f.dry || !pause.Changes(list):
	case pauses:
		fmt.Fprintln(out, "ordered: it waits until 'replicator resume'; 'replicator status' shows it as stopped")
	default:
		fmt.Fprintln(out, "ordered: a flow that runs goes on within seconds, another one when it runs next; see 'replicator "+
			"status'")
	}
	return nil
}

func tellPauses(w io.Writer, list []pause.Said, pauses bool) {
	for i := range list {
		one, by := &list[i], ""
		if one.Paused != nil {
			by = fmt.Sprintf("%s has paused it on %s", one.Paused.By, one.Paused.At.Format(time.RFC3339))
			if one.Paused.Why != "" {
				by += ": " + one.Paused.Why
			}
		}
		switch {
		case one.Changes && pauses:
			fmt.Fprintf(w, "%s waits\n", one)
		case one.Changes:
			fmt.Fprintf(w, "%s goes on; %s\n", one, by)
		default:
			fmt.Fprintf(w, "%s waits already; %s\n", one, by)
		}
	}
}
