package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"replicator/internal/config"
	"replicator/pkg/replicate"
)

// watchEvery is how often --watch looks again.
const watchEvery = 2 * time.Second

// newStatus makes the verb that tells how flows are doing.
func newStatus() *cobra.Command {
	var path, flow string
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status -c FILE [--json] [--watch]",
		Short: "Show how far every partition and every group is",
		Long: `status shows, of each partition, where the source ends, how far the copy is, how
many records it is behind and where the target ends; and of each group and
partition where it stands on the source, the exact translation of that, where it
stands on the target, its lag on both sides, and why it is left alone. It says
what is stopped, why, and what to do.

It reads the clusters alone: no daemon needs to run. Ends are last stable
offsets: what committed readers see.

` + exitCodes + ` It is done when it could look,
whatever it saw.`,
		Example: `  replicator status -c replicator.yaml
  replicator status -c replicator.yaml --watch
  replicator status -c replicator.yaml --flow "old->new" --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			flows, err := flowsOf(cfg, flow)
			if err != nil {
				return err
			}
			v := newViewer(clustersWith(cfg, slog.New(slog.DiscardHandler)), flows)
			defer v.close()
			show := showTable
			if asJSON {
				show = showJSON(!watch)
			}
			if watch {
				return watchFlows(cmd.Context(), cmd.OutOrStdout(), v, show, !asJSON)
			}
			seen, failed := v.look(cmd.Context())
			if err := show(cmd.OutOrStdout(), seen); err != nil || len(failed) == 0 {
				return err
			}
			return failed
		},
	}
	configFlag(cmd, &path)
	flowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	cmd.Flags().BoolVar(&watch, "watch", false, "look again every 2 s until Ctrl-C; with --json one line a look")
	return cmd
}

// document is what --json prints.
type document struct {
	Flows []*replicate.FlowStatus `json:"flows"` // those that could be looked at
}

type show func(io.Writer, []*replicate.FlowStatus) error

func showJSON(indented bool) show {
	return func(w io.Writer, seen []*replicate.FlowStatus) error {
		return printJSON(w, document{seen}, indented)
	}
}

// printJSON prints a document, over several lines or on one.
func printJSON(w io.Writer, document any, indented bool) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // old->new
	if indented {
		encoder.SetIndent("", "  ")
	}
	return encoder.Encode(document)
}

func showTable(w io.Writer, seen []*replicate.FlowStatus) error {
	p := &printer{w: w}
	for i, status := range seen {
		if i > 0 {
			p.line("")
		}
		p.flow(status)
	}
	return p.err
}

// watchFlows looks until ctx ends, which is how it is meant to end. What cannot be
// looked at now is tried again.
func watchFlows(ctx context.Context, w io.Writer, v *viewer, show show, redraw bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		seen, failed := v.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case redraw && isTerminal(w):
			fmt.Fprint(w, "\x1b[H\x1b[2J\x1b[3J") // top left, clear what is seen and what was scrolled
		case redraw:
			fmt.Fprintf(w, "--- %s\n", time.Now().Format(time.RFC3339))
		}
		if err := show(w, seen); err != nil {
			return err
		}
		if redraw {
			for _, err := range failed {
				report(w, err)
			}
		} else if len(failed) > 0 {
			return failed // a script should know
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
