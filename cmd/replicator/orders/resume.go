package orders

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/pause"
	"replicator/pkg/operate/snapshot"
)

// resumeFlags say what to do about cuts.
type resumeFlags struct {
	flags
	fromCut, fromEnd bool
}

// NewResume makes the verb by which an operator has copying go on.
func NewResume() *cobra.Command {
	var f resumeFlags
	cmd := &cobra.Command{
		Use:   "resume -c FILE [TOPIC[/PARTITION]...] [--from-cut | --from-end] [--dry-run] [--yes]",
		Short: "Have copying go on that was paused, or decide how it does after a side has lost records",
		Long: `resume has go on what 'pause' has made to wait, by its names: copying goes on where
it was.

With --from-cut or --from-end it is for partitions that are stopped as
source_truncated or target_truncated: the end of that side's log was lost after it had been copied, because its data was
put back to an earlier state or a replica without the newest records became its
leader. They stay stopped, however the log grows, until this command is given.

Where the source was cut:
  --from-cut  what the source holds now from the cut on is copied, behind the records
              that it has lost: those stay on the target, and the groups pass them by
  --from-end  copying goes on where the source ends now; what it holds from the cut
              up to there is given up, and counted
Where the target was cut:
  --from-cut  what the target has lost is copied again, and what came after it
  --from-end  copying goes on where the source ends now; what the target has lost,
              and what came after it, is given up, and counted

While a rollback carries records back, source and target are those of the way
back: the same command, with the same file, then goes by its ledger and says so.

The order is noted in the ledger and kept. A flow that runs takes it up within
seconds, another one when it runs next. Without names, --dry-run lists all that is
paused, and every partition that is cut, with what either way gives up.

` + line.ExitCodes,
		Example: `  replicator resume -c replicator.yaml --dry-run
  replicator resume -c replicator.yaml clicks --yes
  replicator resume -c replicator.yaml orders/0 --from-cut --yes
  replicator resume -c replicator.yaml orders --from-end --yes`,
		RunE: f.run,
	}
	f.add(cmd)
	f.addWord(cmd, "print what would go on or be given up; order nothing")
	cmd.Flags().BoolVar(&f.fromCut, "from-cut", false, "copy what the source holds from the cut on")
	cmd.Flags().BoolVar(&f.fromEnd, "from-end", false, "give up what the source holds from the cut on up to its end now")
	return cmd
}

func (f *resumeFlags) run(cmd *cobra.Command, names []string) error {
	bad := func(format string, args ...any) error {
		return line.Usage(cmd, fmt.Errorf(format, args...))
	}
	aboutCuts := f.fromCut || f.fromEnd
	switch {
	case f.fromCut && f.fromEnd:
		return bad("--from-cut and --from-end exclude each other")
	case !f.dry && len(names) == 0:
		return bad("name the topics or partitions, as orders or orders/0; --dry-run lists those that wait")
	case !f.dry && !aboutCuts:
		return f.say(cmd, names, false)
	}
	ctx := cmd.Context()
	view, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer view.Close()
	all, err := inspect.OpenCuts(ctx, view)
	if err != nil {
		return err
	}
	var paused []pause.Said
	if !aboutCuts {
		if paused, err = pause.Waiting(ctx, view, names); err != nil {
			return err
		}
	}
	cuts, unknown := inspect.NamedCuts(all, names)
	unknown = slices.DeleteFunc(unknown, func(name string) bool {
		return slices.ContainsFunc(paused, func(s pause.Said) bool { return s.Is(name) })
	})
	if len(unknown) > 0 {
		return bad("no cut is noted for %s in flow %s; %s", strings.Join(unknown, ", "), view.FlowName(),
			inspect.WaitingCuts(all))
	}
	return f.order(ctx, cmd, view, cuts, paused)
}

// order shows what is given up, and orders it.
func (f *resumeFlags) order(ctx context.Context, cmd *cobra.Command, view *snapshot.Viewer,
	cuts []inspect.OpenCut, paused []pause.Said) error {
	out := cmd.OutOrStdout()
	if !f.asJSON {
		if carries := view.FlowName(); carries != f.named {
			fmt.Fprintf(out, "flow %s is closed: a rollback is under way, and these are cuts of flow %s, which carries records "+
				"back\n", f.named, carries)
		}
		tellPauses(out, paused, true)
		if len(cuts) > 0 || len(paused) == 0 {
			report.Cuts(out, cuts, f.fromCut, f.fromEnd)
		}
	}
	if !f.dry {
		if err := line.Agreed(cmd, f.yes); err != nil {
			return err
		}
		if err := inspect.Resume(ctx, view, cuts, f.fromEnd, files.VersionOf()); err != nil {
			return err
		}
	}
	if f.asJSON {
		type named struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			inspect.OpenCut
		}
		list := []named{}
		for _, c := range cuts {
			list = append(list, named{c.Partition.Topic, c.Partition.Number, c})
		}
		return answers.Print(out, map[string]any{"flow": view.FlowName(), "cuts": list, "from_end": f.fromEnd,
			"ordered": !f.dry,
			"paused":  answers.Listed(paused)}, true)
	}
	if !f.dry {
		takes := "a flow that runs takes it up within seconds, another one when it runs next; see 'replicator status'"
		if view.FlowName() != f.named {
			takes = "'replicator rollback' takes it up within seconds where it runs, else when it is given again"
		}
		fmt.Fprintln(out, "ordered: "+takes)
	}
	return nil
}
