package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
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
it, and which topics hold records there that the target lacks, and for how long
retention keeps them. Where a flow copies, its offset map tells exactly, and what it
has not begun to copy is lacking; else, for applications that write to both clusters
themselves, the records' timestamps: what is older than the target's first record is
lacking, and what has the same timestamp, or one out of order, may be. While a
transaction is open on the source, or a partition is stopped because its source was
cut, the answer is not yes. Groups without a position are named as left out: how far
they are is not known.

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
			seen := []*inspect.DrainedStatus{}
			for _, one := range flows {
				look, err := snapshot.Open(cmd.Context(), on.clusters, one, nil)
				if err != nil {
					return err
				}
				d, err := inspect.Drained(cmd.Context(), look)
				look.Close()
				if err != nil {
					return err
				}
				if only != nil {
					d.Only(only.MatchString)
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
func noGroups(d *inspect.DrainedStatus) error {
	return &kafka.Problem{What: fmt.Sprintf("flow %s: no group has a position in a selected topic: whether the source is "+
		"drained is not known", d.Flow),
		Fix: "look at groups and exclude_groups; groups that the program's user may not Describe are hidden from it, and " +
			"consumers without a group are not seen"}
}

func printDrained(w io.Writer, d *inspect.DrainedStatus) {
	fmt.Fprintf(w, "flow %s\n", d.Flow)
	for _, cut := range d.Cuts {
		fmt.Fprintf(w, "  ! %s\n    remedy: %s\n", cut.String(), cut.Remedy)
	}
	for _, g := range d.Groups {
		switch {
		case g.Error != "":
			fmt.Fprintf(w, "  group %s: not known: %s\n", g.Group, g.Error)
		case g.Lag > 0:
			fmt.Fprintf(w, "  group %s: up to %d records of %d partitions not read, %d members%s\n", g.Group, g.Lag, g.Behind,
				g.Members, lostThere(&g))
		case g.Open > 0:
			fmt.Fprintf(w, "  group %s: %s, %d members\n", g.Group, openBehind(&g), g.Members)
		case !g.Drained():
			fmt.Fprintf(w, "  group %s: has read what is there, but %s/%d was cut, %d members\n", g.Group, g.Cuts[0].Topic,
				g.Cuts[0].Partition, g.Members)
		default:
			fmt.Fprintf(w, "  group %s: drained, %d members\n", g.Group, g.Members)
		}
	}
	(&printer{w: w}).leftOut(d.LeftOut)
	for _, t := range d.Topics {
		switch {
		case t.Lacks > 0:
			fmt.Fprintf(w, "  topic %s: the target lacks %s%s\n", t.Topic, lacking(t), basis(&t))
		case len(t.ByTimestamps) > 0:
			fmt.Fprintf(w, "  topic %s: the target begins where the source does, or earlier%s\n", t.Topic, basis(&t))
		default:
			fmt.Fprintf(w, "  topic %s: the target has all that the source holds\n", t.Topic)
		}
	}
	drained := fmt.Sprint(d.Drained())
	if len(d.Groups) == 0 {
		drained = "not known, no group has a position in a selected topic"
	}
	aged := fmt.Sprint(d.AgedOut())
	if len(d.ByTimestamps()) > 0 {
		aged += ", by timestamps alone where nothing is copied by a flow"
	}
	fmt.Fprintf(w, "  drained: %s, aged out: %s\n", drained, aged)
}

// basis says what an answer goes by that is not exact.
func basis(t *inspect.TopicAged) string {
	if len(t.ByTimestamps) == 0 {
		return ""
	}
	var list []string
	for _, n := range t.ByTimestamps {
		list = append(list, fmt.Sprint(n))
	}
	return fmt.Sprintf(" (by timestamps alone in partition %s, which no flow has copied)", few(list))
}

// openBehind says that what a group has not read is not known before a transaction's end.
func openBehind(g *inspect.GroupDrained) string {
	return fmt.Sprintf("has read what is there, but a transaction is open on the source, and %d offsets wait for its end",
		g.Open)
}

// lostThere says what the target has lost of that.
func lostThere(g *inspect.GroupDrained) string {
	if g.UnreadDeleted == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them were deleted on the target: only the source has them", g.UnreadDeleted)
}
