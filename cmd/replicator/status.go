package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report/status"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/selection"
	"replicator/pkg/policy"
)

// watchEvery is how often --watch looks again.
const watchEvery = 2 * time.Second

// newStatus makes the verb that tells how flows are doing.
func newStatus() *cobra.Command {
	var path, flow, pattern string
	var asJSON, watch, all bool
	var part status.Part
	cmd := &cobra.Command{
		Use:   "status -c FILE [--topic PATTERN] [--behind] [--all | --json] [--watch]",
		Short: "Show how far every partition and every group is",
		Long: `status shows, of each partition, where the source ends, how far the copy is, how
many records it is behind and where the target ends; and of each group and
partition where it stands on the source, the exact translation of that, where it
stands on the target, its lag on both sides, and why it is left alone. It says
what is stopped, why, and what to do. A partition is copying while a replica has
its shard; idle, if nothing is in its way but nobody does.

The answer fits a terminal of 80 x 24: what does not fit is summed up by topic,
and --all shows it. What happened in several partitions of a topic, such as holes, is
one line; --topic and --all show each. --topic and --behind show a part, in full; what
the first line says is of the whole flow all the same. Columns that do not fit are left out;
--json has everything.

It reads the clusters alone: no daemon needs to run. Ends are last stable
offsets: what committed readers see.

Where the source does not answer, or not soon, status tells what the ledger and the
target know: progress, where the source ended when it was last seen (>= in the table,
since more may have come), and where groups stand on the target, and fails. So it does
where a part of the source does not answer. Where the target does not, what the source
holds is told with the error.

` + line.ExitCodes + ` It is done when it could look
at both sides, whatever it saw, and failed where it could not look at all of them.`,
		Example: `  replicator status -c replicator.yaml
  replicator status -c replicator.yaml --watch
  replicator status -c replicator.yaml --behind
  replicator status -c replicator.yaml --topic "orders.*" --all
  replicator status -c replicator.yaml --flow "old->new" --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, io.Discard)
			if err != nil {
				return err
			}
			if part.Topics, err = topicsOf(cmd, pattern, on); err != nil {
				return err
			}
			return showStatus(cmd, on, &part, view{asJSON, watch, all})
		},
	}
	line.ConfigFlag(cmd, &path)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	cmd.Flags().StringVar(&pattern, "topic", "", "only topics whose whole name on the source matches")
	cmd.Flags().BoolVar(&part.Behind, "behind", false, "only what is behind, stopped, or does not stand right")
	cmd.Flags().BoolVar(&all, "all", false, "every partition and every position, however many there are")
	cmd.Flags().BoolVar(&watch, "watch", false, "look again every 2 s until Ctrl-C; with --json one line a look")
	return cmd
}

// view is how status shows what it sees.
type view struct{ asJSON, watch, all bool }

// showStatus looks once, or again and again.
func showStatus(cmd *cobra.Command, on *chosen, part *status.Part, how view) error {
	v := inspect.Watch(on.clusters, on.flows)
	defer v.Close()
	show := func(w io.Writer, seen []*inspect.FlowStatus, failed []error) error {
		seen = part.Of(seen)
		switch {
		case how.asJSON:
			return answers.Print(w, answers.StatusOf(seen, failed), !how.watch)
		case how.all || part.Some():
			return status.ShowAll(w, seen, part, how.all || part.Topics != nil)
		}
		return status.Show(w, seen)
	}
	if how.watch {
		return watchFlows(cmd.Context(), cmd.OutOrStdout(), v, show, !how.asJSON)
	}
	seen, failed := v.Status(cmd.Context())
	if err := show(cmd.OutOrStdout(), seen, failed); err != nil {
		return err
	}
	return together(failed)
}

// topicsOf makes sure that the pattern chooses something: an answer about nothing is none.
func topicsOf(cmd *cobra.Command, pattern string, on *chosen) (*regexp.Regexp, error) {
	topics, err := line.WholeNames(cmd, "--topic", pattern)
	if err != nil || topics == nil {
		return topics, err
	}
	claims := selection.Claims{Given: selection.Given("--topic", policy.Topics, pattern), Tolerant: true}
	_, err = hold(cmd.Context(), cmd, claims, on.clusters, on.flows)
	return topics, err
}

// watchFlows looks until ctx ends, which is how it is meant to end. What cannot be
// looked at now is tried again.
func watchFlows(ctx context.Context, w io.Writer, v *inspect.Watcher,
	show func(io.Writer, []*inspect.FlowStatus, []error) error, redraw bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		seen, failed := v.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case redraw && terminal.IsTerminal(w):
			fmt.Fprint(w, "\x1b[H\x1b[2J\x1b[3J") // top left, clear what is seen and what was scrolled
		case redraw:
			fmt.Fprintf(w, "--- %s\n", time.Now().Format(time.RFC3339))
		}
		if err := show(w, seen, failed); err != nil {
			return err
		}
		if redraw {
			for _, err := range failed {
				printError(w, err)
			}
		} else if len(failed) > 0 {
			return together(failed) // a script should know
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
