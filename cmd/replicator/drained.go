package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
)

// newDrained makes the verb that tells when the old cluster is no longer needed.
func newDrained() *cobra.Command {
	var path, flow, pattern string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "drained -c FILE [--groups RE] [--json]",
		Short: "Show what consumers have not read on the source, and what the target lacks for how long",
		Long: `drained tells whether the source is still needed: which groups have not read all of
it, and which topics hold records there that are older than what the target begins
with, and for how long retention keeps them. It is for applications that write to
both clusters themselves: no flow needs to run.

` + exitCodes + ` It is done when it could look,
whatever it saw; 'replicator wait --drained' waits.`,
		Example: `  replicator drained -c replicator.yaml
  replicator drained -c replicator.yaml --groups "billing-.*" --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			on, err := chooseFlows(path, flow, io.Discard)
			if err != nil {
				return err
			}
			only, err := wholeNames(cmd, "--groups", pattern)
			if err != nil {
				return err
			}
			flows, err := claimsOfGroups(pattern).hold(cmd, on.clusters, on.flows)
			if err != nil {
				return err
			}
			seen := []*replicate.Drained{}
			for _, one := range flows {
				look, err := replicate.Inspect(cmd.Context(), on.clusters, one, nil)
				if err != nil {
					return err
				}
				d, err := look.Drained(cmd.Context())
				look.Close()
				if err != nil {
					return err
				}
				all := d.Groups
				d.Groups = []replicate.GroupDrained{}
				for _, g := range all {
					if only == nil || only.MatchString(g.Group) {
						d.Groups = append(d.Groups, g)
					}
				}
				seen = append(seen, d)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"flows": seen}, true)
			}
			for _, d := range seen {
				printDrained(cmd.OutOrStdout(), d)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	flowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().StringVar(&pattern, "groups", "", "only groups whose whole name matches")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, whose fields are stable")
	return cmd
}

// noGroups says that nothing is known to be drained, where nobody is known to read.
func noGroups(d *replicate.Drained) error {
	return &kafka.Problem{What: fmt.Sprintf("flow %s: no group has a position in a selected topic: whether the source is "+
		"drained is not known", d.Flow),
		Fix: "look at groups and exclude_groups; groups that the program's user may not Describe are hidden from it, and " +
			"consumers without a group are not seen"}
}

func printDrained(w io.Writer, d *replicate.Drained) {
	fmt.Fprintf(w, "flow %s\n", d.Flow)
	for _, g := range d.Groups {
		switch {
		case g.Error != "":
			fmt.Fprintf(w, "  group %s: not known: %s\n", g.Group, g.Error)
		case g.Lag > 0:
			fmt.Fprintf(w, "  group %s: %d records of %d partitions not read, %d members%s\n", g.Group, g.Lag, g.Behind,
				g.Members, lostThere(&g))
		default:
			fmt.Fprintf(w, "  group %s: drained, %d members\n", g.Group, g.Members)
		}
	}
	for _, t := range d.Topics {
		if t.Lacks > 0 {
			fmt.Fprintf(w, "  topic %s: the target lacks %s\n", t.Topic, lacking(t))
		} else {
			fmt.Fprintf(w, "  topic %s: the target begins where the source does, or earlier\n", t.Topic)
		}
	}
	drained := fmt.Sprint(d.Drained())
	if len(d.Groups) == 0 {
		drained = "not known, no group has a position in a selected topic"
	}
	fmt.Fprintf(w, "  drained: %s, aged out: %t\n", drained, d.AgedOut())
}

// lostThere says what the target has lost of that.
func lostThere(g *replicate.GroupDrained) string {
	if g.UnreadDeleted == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them were deleted on the target: only the source has them", g.UnreadDeleted)
}
