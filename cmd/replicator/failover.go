package main

import (
	"context"
	"io"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/pkg/operate/failover"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
)

// failoverFlags are those of cutover that a failover has too, and its own.
type failoverFlags struct {
	handoverFlags
	dead bool
	only *regexp.Regexp // groups; nil: all
	told answers.FailedOver
}

// newFailover makes the verb that gives up a dead source.
func newFailover() *cobra.Command {
	var f failoverFlags
	cmd := &cobra.Command{
		Use:   "failover -c FILE [--groups RE] [--dry-run] [--yes]",
		Short: "Give up a source that is dead: shut its replicas out, and say what is known of the loss",
		Long: `failover is for the night when the source is gone. It needs no answer of the source,
and waits for none longer than a few seconds. It shuts out whatever still runs the
flow, so that a transaction which a dead replica has left open keeps no reader
waiting; reads the ledger to its end; notes there what is known of the loss and where
every group stands; and prints that. Then applications may start on the target.

From then on the flow is closed: no replica goes on, also not one that was frozen, or
when the source comes back. 'replicator failback' opens it again.

A source that answers, and to which somebody writes, is refused: 'replicator cutover'
loses nothing there. --source-is-dead gives it up all the same. Killed at any point,
the same command goes on; given again after it is done, it prints the record.

` + line.ExitCodes,
		Example: `  replicator failover -c replicator.yaml --dry-run
  replicator failover -c replicator.yaml --yes
  replicator failover -c replicator.yaml --flow "old->new" --source-is-dead --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.failOver(cmd) },
	}
	line.ConfigFlag(cmd, &f.path)
	f.addAgreement(cmd)
	line.FlowFlag(cmd, &f.flow, line.OneFlow)
	cmd.Flags().StringVar(&f.groups, "groups", "", "tell only of groups whose whole name matches")
	cmd.Flags().BoolVar(&f.dead, "source-is-dead", false,
		"give the source up without asking who writes there: what comes to it from now on stays there")
	return cmd
}

func (f *failoverFlags) failOver(cmd *cobra.Command) error {
	on, err := f.oneFlow(cmd)
	if err != nil {
		return err
	}
	o := failover.Options{Clusters: on.clusters, Flow: on.flows[0], SourceIsDead: f.dead, Log: on.log,
		Report: f.waits(cmd)}
	if f.only, err = line.WholeNames(cmd, "--groups", f.groups); err != nil {
		return err
	}
	f.told.Flow = o.Flow.Name()
	ctx, cancel := f.limited(cmd.Context())
	defer cancel()
	return f.inTime(ctx, f.failOverBy(ctx, cmd, o))
}

func (f *failoverFlags) failOverBy(ctx context.Context, cmd *cobra.Command, o failover.Options) error {
	v, err := failover.Open(ctx, o)
	if err != nil {
		return err
	}
	defer v.Close()
	out := cmd.OutOrStdout()
	if v.Found().State == handover.Done {
		known, err := v.Again(ctx)
		if err != nil {
			return err
		}
		f.told.Before = true
		return f.tell(out, known, o.Flow.To)
	}
	if f.dry || !f.yes {
		states, known, err := v.Preview(ctx)
		f.told.Steps = states
		if !f.asJSON {
			report.Steps(out, states)
		}
		if err == nil {
			err = f.tell(out, known, o.Flow.To)
		}
		if err == nil {
			err = stepwise.Refusal(states)
		}
		if f.dry || err != nil {
			return err
		}
	}
	if err := f.agreed(cmd); err != nil {
		return err
	}
	known, err := v.Run(ctx)
	if err != nil {
		return err
	}
	return f.tell(out, known, o.Flow.To)
}

// tell prints what is known, in either way.
func (f *failoverFlags) tell(w io.Writer, known *failover.Report, target string) error {
	if f.only != nil {
		known.Groups = slices.DeleteFunc(known.Groups,
			func(g handover.StoodGroup) bool { return !f.only.MatchString(g.Group) })
	}
	if !f.asJSON {
		return report.FailedOver(w, known, f.told.Before)
	}
	f.told.Done = known.Record.State == handover.Done
	if f.told.Done {
		f.told.On = target
	}
	f.told.Record, f.told.Topics, f.told.Groups = &known.Record, answers.Listed(known.Topics), answers.Listed(known.Groups)
	return answers.Print(w, f.told, true)
}
