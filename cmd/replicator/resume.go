package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
)

// resumeFlags say what to do about cuts.
type resumeFlags struct {
	handoverFlags
	fromCut, fromEnd, asJSON bool
	named                    string // the flow of the file
}

// newResume makes the verb by which an operator decides about a cut.
func newResume() *cobra.Command {
	var f resumeFlags
	cmd := &cobra.Command{
		Use:   "resume -c FILE [TOPIC[/PARTITION]...] (--from-cut | --from-end) [--dry-run] [--yes]",
		Short: "Decide how copying goes on after a side has lost records that were copied",
		Long: `resume is for partitions that are stopped as source_truncated or target_truncated:
the end of that side's log was lost after it had been copied, because its data was
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
seconds, another one when it runs next. Without names, --dry-run lists every
partition that waits, with what either way gives up.

` + line.ExitCodes,
		Example: `  replicator resume -c replicator.yaml --dry-run
  replicator resume -c replicator.yaml orders/0 --from-cut --yes
  replicator resume -c replicator.yaml orders --from-end --yes`,
		RunE: f.run,
	}
	line.ConfigFlag(cmd, &f.path)
	line.FlowFlag(cmd, &f.flow, line.OneFlow)
	cmd.Flags().BoolVar(&f.fromCut, "from-cut", false, "copy what the source holds from the cut on")
	cmd.Flags().BoolVar(&f.fromEnd, "from-end", false, "give up what the source holds from the cut on up to its end now")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "print what would be given up; order nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, whose fields are stable")
	return cmd
}

func (f *resumeFlags) run(cmd *cobra.Command, names []string) error {
	bad := func(format string, args ...any) error {
		return line.Usage(cmd, fmt.Errorf(format, args...))
	}
	switch {
	case f.fromCut && f.fromEnd:
		return bad("--from-cut and --from-end exclude each other")
	case !f.dry && !f.fromCut && !f.fromEnd:
		return bad("say how to go on, --from-cut or --from-end, or look with --dry-run")
	case !f.dry && len(names) == 0:
		return bad("name the topics or partitions, as orders or orders/0; --dry-run lists those that wait")
	}
	cfg, err := config.Load(f.path)
	if err != nil {
		return err
	}
	flow, err := cfg.Flow(f.flow)
	if err != nil {
		return err
	}
	f.named = flow.Name()
	ctx := cmd.Context()
	view, err := inspect.OpenCarrying(ctx, line.ClustersWith(cfg, slog.New(slog.DiscardHandler)), flow, nil)
	if err != nil {
		return err
	}
	defer view.Close()
	all, err := inspect.OpenCuts(ctx, view)
	if err != nil {
		return err
	}
	cuts, unknown := inspect.NamedCuts(all, names)
	if len(unknown) > 0 {
		return bad("no cut is noted for %s in flow %s; %s", strings.Join(unknown, ", "), view.FlowName(),
			inspect.WaitingCuts(all))
	}
	return f.order(ctx, cmd, view, cuts)
}

// order shows what is given up, and orders it.
func (f *resumeFlags) order(ctx context.Context, cmd *cobra.Command, view *snapshot.Viewer,
	cuts []inspect.OpenCut) error {
	out := cmd.OutOrStdout()
	if !f.asJSON {
		if carries := view.FlowName(); carries != f.named {
			fmt.Fprintf(out, "flow %s is closed: a rollback is under way, and these are cuts of flow %s, which carries records "+
				"back\n", f.named, carries)
		}
		report.Cuts(out, cuts, f.fromCut, f.fromEnd)
	}
	if !f.dry {
		if err := f.agreed(cmd); err != nil {
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
			"ordered": !f.dry},
			true)
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
