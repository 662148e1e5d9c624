package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/drill"
	"replicator/pkg/operate/selection"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
)

// drillWords are the flags of drill.
type drillWords struct {
	path, flow string
	inFlight   time.Duration
	noTopic    bool
	asJSON     bool
	report     files.Report
}

// newDrill makes the verb that rehearses a failover.
func newDrill() *cobra.Command {
	var words drillWords
	cmd := &cobra.Command{
		Use:   "drill -c FILE [--flow F] [--in-flight TIME] [--no-topic] [--json] [--report FILE [--sign KEY]]",
		Short: "Rehearse a failover without moving anything: what it would lose, and how long it takes",
		Long: `drill rehearses a failover while both clusters live, and the flow runs on. It fences no
shard, commits no position and writes nothing to the ledger. It asks for the rights
that a failover and the applications' move need, translates every position of every
group, compares the last records of each partition through the offset map, and makes
a topic on the target, whose name begins with __replicator-drill, to which it writes
what a failover writes to each shard; it reads that and deletes the topic. What a
drill that was killed has left there the next one deletes. With --no-topic it makes none,
for users who may not.

The report tells what a failover at this moment would lose (RPO), how long the steps
that it takes have taken (RTO), and for every position where it ought to stand, where
it stands, and what would be read again or lost from there. --report keeps it, --sign
signs it with a private key (Ed25519, PEM), for 'replicator report verify'.

What is younger than --in-flight counts as in flight: records that are not copied yet,
or that a group would read again, since its position still follows.

` + line.ExitCodes + ` It fails where a failover now would
lose more than what is in flight, or where a group would not stand exactly.`,
		Example: `  replicator drill -c replicator.yaml
  replicator drill -c replicator.yaml --flow "old->new" --in-flight 30s
  replicator drill -c replicator.yaml --report drill.json --sign private.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := words.report.Check()
			if words.inFlight < 0 {
				err = errors.Join(err, fmt.Errorf("--in-flight: %s is no time that could pass", words.inFlight))
			}
			if err != nil {
				return line.Usage(cmd, err)
			}
			on, err := chooseFlows(words.path, words.flow, io.Discard)
			if err != nil {
				return err
			}
			return words.run(cmd, on)
		},
	}
	line.ConfigFlag(cmd, &words.path)
	line.FlowFlag(cmd, &words.flow, "only this flow, as old->new")
	cmd.Flags().DurationVar(&words.inFlight, "in-flight", 10*time.Second,
		"how old what is not copied, or read again, may be, and how long groups may take to follow")
	cmd.Flags().BoolVar(&words.noTopic, "no-topic", false, "make no test topic: what the target takes is not tried")
	cmd.Flags().BoolVar(&words.asJSON, "json", false, "print JSON, whose fields are stable (docs/FORMATS.md)")
	words.report.Flags(cmd)
	return cmd
}

func (w *drillWords) run(cmd *cobra.Command, on *chosen) error {
	flows, err := hold(cmd.Context(), cmd, selection.Claims{Kinds: []string{policy.Topics}}, on.clusters, on.flows)
	if err != nil {
		return err
	}
	file, err := w.report.Drill(flows)
	if err != nil {
		return err
	}
	defer file.Drop()
	all := answers.Rehearsed{Drills: []*drill.Report{}, Failed: []answers.Failed{}}
	var failed []error
	for _, flow := range flows {
		found, err := drill.Run(cmd.Context(), drill.Options{
			Clusters: clustersOf(on.clusters, flow), Flow: flow, InFlight: w.inFlight, NoTopic: w.noTopic,
			Program: files.VersionOf() + " " + files.CommitOf()})
		if err == nil {
			all.Drills = append(all.Drills, found)
			err = found.Err()
		} else {
			all.Failed = append(all.Failed, answers.Failed{Flow: flow.Name(), Error: err.Error(), Remedy: chunk.Remedy(err)})
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if err := w.show(cmd.OutOrStdout(), all); err != nil {
		return err
	}
	if err := file.Keep(all); err != nil {
		failed = append(failed, fmt.Errorf("--report: %w", err))
	}
	return together(failed)
}

func (w *drillWords) show(out io.Writer, all answers.Rehearsed) error {
	if w.asJSON {
		return answers.Print(out, all, true)
	}
	p := terminal.NewPrinter(out)
	for i, r := range all.Drills {
		if i > 0 {
			p.Line("")
		}
		report.Drill(p, r)
	}
	return p.Err()
}
