package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// watchEvery is how often --watch looks again.
const watchEvery = 2 * time.Second

// newStatus makes the verb that tells how flows are doing.
func newStatus() *cobra.Command {
	var path, flow string
	var asJSON, watch, all bool
	var narrow narrowing
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

` + exitCodes + ` It is done when it could look,
whatever it saw.`,
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
			return status(cmd, on, &narrow, view{asJSON, watch, all})
		},
	}
	configFlag(cmd, &path)
	flowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	cmd.Flags().StringVar(&narrow.pattern, "topic", "", "only topics whose whole name on the source matches")
	cmd.Flags().BoolVar(&narrow.behind, "behind", false, "only what is behind, stopped, or does not stand right")
	cmd.Flags().BoolVar(&all, "all", false, "every partition and every position, however many there are")
	cmd.Flags().BoolVar(&watch, "watch", false, "look again every 2 s until Ctrl-C; with --json one line a look")
	return cmd
}

// view is how status shows what it sees.
type view struct{ asJSON, watch, all bool }

// status looks once, or again and again.
func status(cmd *cobra.Command, on *chosen, narrow *narrowing, how view) error {
	if err := narrow.compile(cmd, on.clusters, on.flows); err != nil {
		return err
	}
	v := newViewer(on.clusters, on.flows)
	defer v.close()
	show := showFlows
	if how.all || narrow.some() {
		show = showAll(narrow, how.all || narrow.topics != nil)
	}
	if how.asJSON {
		show = showJSON(!how.watch)
	}
	show = narrow.before(show)
	if how.watch {
		return watchFlows(cmd.Context(), cmd.OutOrStdout(), v, show, !how.asJSON)
	}
	seen, failed := v.look(cmd.Context())
	if err := show(cmd.OutOrStdout(), seen); err != nil || len(failed) == 0 {
		return err
	}
	return failed
}

// document is what --json prints.
type document struct {
	Flows []*inspect.FlowStatus `json:"flows"` // those that could be looked at
}

type show func(io.Writer, []*inspect.FlowStatus) error

// narrowing is which part of the flows is shown.
type narrowing struct {
	pattern string
	behind  bool
	topics  *regexp.Regexp // nil: all
}

// compile makes sure that the pattern chooses something: an answer about nothing is none.
func (n *narrowing) compile(cmd *cobra.Command, clusters map[string]kafka.Config,
	flows []settings.Config) (err error) {
	if n.topics, err = wholeNames(cmd, "--topic", n.pattern); err != nil || n.topics == nil {
		return err
	}
	_, err = claims{given: given("--topic", policy.Topics, n.pattern)}.hold(cmd, clusters, flows)
	return err
}

func (n *narrowing) some() bool { return n.behind || n.topics != nil }

// before leaves out what is not to be shown.
func (n *narrowing) before(show show) show {
	if !n.some() {
		return show
	}
	return func(w io.Writer, seen []*inspect.FlowStatus) error {
		part := make([]*inspect.FlowStatus, len(seen))
		for i, s := range seen {
			one := *s
			one.Partitions = slices.DeleteFunc(slices.Clone(s.Partitions), func(p inspect.PartitionStatus) bool {
				return n.topics != nil && !n.topics.MatchString(p.Topic) ||
					n.behind && p.Phase.Free() && p.Behind == 0 && !p.EndsUnknown
			})
			one.Groups = n.groups(s.Groups)
			part[i] = &one
		}
		return show(w, part)
	}
}

// groups leaves out positions, and groups of which none is left.
func (n *narrowing) groups(all []inspect.GroupStatus) []inspect.GroupStatus {
	list := []inspect.GroupStatus{}
	for _, g := range all {
		g.Positions = slices.DeleteFunc(slices.Clone(g.Positions), func(p inspect.PositionStatus) bool {
			return n.topics != nil && !n.topics.MatchString(p.Topic) || n.behind && stateOf(&p) == "right"
		})
		if len(g.Positions) > 0 || g.Error != "" {
			list = append(list, g)
		}
	}
	return list
}

func showJSON(indented bool) show {
	return func(w io.Writer, seen []*inspect.FlowStatus) error {
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

// showAll prints flows with all that is left of them; each as in attention.
func showAll(narrow *narrowing, each bool) show {
	return func(w io.Writer, seen []*inspect.FlowStatus) error {
		p := &printer{w: w}
		for i, status := range seen {
			if i > 0 {
				p.line("")
			}
			p.heading(status)
			for _, n := range attention(status, each) {
				p.note(n.fact, n.remedy)
			}
			switch {
			case len(status.Partitions) == 0 && narrow.behind:
				p.line("no partition is behind, stopped or waiting")
			case len(status.Partitions) == 0 && narrow.topics != nil:
				p.line("no topic of this flow matches")
			default:
				p.partitions(status)
			}
			p.positions(status)
			p.leftOut(status.LeftOut)
		}
		return p.err
	}
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
