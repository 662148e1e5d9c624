package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/cmd/replicator/orders"
	"replicator/internal/config"
	"replicator/internal/interrupt"
	"replicator/internal/mm2"
	"replicator/pkg/operate/selection"
	"replicator/pkg/replicate/chunk"
)

// What the process exits with.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // bad usage or configuration
)

// execute runs a command line and answers the exit code. Results go to stdout;
// errors, each with its remedy, and logs go to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	began := false
	for _, cmd := range all(root) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				began = true
				return run(cmd, args)
			}
		}
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	switch {
	case !began:
		err = line.Usage(cmd, err)
	case ctx.Err() != nil && cmd.Name() != "run": // which says so by itself
		err = interrupt.Of(cmd.Name(), err)
	}
	printError(stderr, err)
	var usage *line.UsageError
	var problems *config.Problems
	var unknown *config.UnknownFlowError
	var foreign *mm2.Problems
	var empty selection.EmptyPatternError
	var nothing selection.EmptyFlowError
	switch {
	case errors.As(err, &empty), errors.As(err, &nothing), errors.As(err, &foreign), errors.As(err, &usage),
		errors.As(err, &problems), errors.As(err, &unknown):
		return exitUsage
	}
	return exitFailed
}

// printError prints an error, or each of several, with its remedy.
func printError(w io.Writer, err error) {
	if several, ok := err.(obstacles); ok {
		for _, each := range several {
			printError(w, each)
		}
		return
	}
	fmt.Fprintln(w, "error:", err)
	if remedy := chunk.Remedy(err); remedy != "" {
		fmt.Fprintln(w, "remedy:", remedy)
	}
}

// obstacles are all that is in the way.
type obstacles []error

func (o obstacles) Error() string { return fmt.Sprintf("%d problems are in the way", len(o)) }

func (o obstacles) Unwrap() []error { return o }

// together is the error of all problems, nil for none.
func together(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return obstacles(problems)
}

// newRoot makes the command with all its verbs. The completions of cobra keep the
// output that they find when they are made.
func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "replicator",
		Short: "Mirror topics and consumer groups from one Kafka cluster to another, exactly",
		Long: `replicator copies topics and consumer groups from one Kafka cluster to another:
every visible record once, in order and byte for byte, and every group position
translated to exactly the record that the group would have read next.

` + line.ExitCodes + `
Errors are printed with what to do about them.`,
		Example: `  replicator demo
  replicator check -c replicator.yaml --connect
  replicator run -c replicator.yaml
  replicator status -c replicator.yaml --watch
  replicator verify -c replicator.yaml --report proof.json
  replicator import mm2.properties > replicator.yaml
  replicator help config`,
		Version:       files.VersionOf(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("replicator {{.Version}}\n")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newRun(), newCheck(), newPlan(), newStatus(), newOffsets(), newVerify(), newDrill(),
		files.NewReport(), newCutover(), newFailover(), newFailback(), newRollback(), orders.NewPause(),
		orders.NewResume(), orders.NewHistory(), newWait(), newDrained(), newOrphans(),
		newImportRecords(), newLedger(), newTopics(), newTopicVersion(),
		files.NewImport(), files.NewDemo(), files.NewVersion(), files.NewConfig())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range all(root) {
		if shell, isCompletion := cmd.Name(), cmd.HasParent() && cmd.Parent().Name() == "completion"; isCompletion {
			cmd.Example = "  replicator completion " + shell
		}
		switch cmd.Name() {
		case "completion":
			cmd.Example = "  replicator completion bash > /etc/bash_completion.d/replicator"
		case "help":
			cmd.Example = "  replicator help run\n  replicator help config"
		}
	}
	return root
}

// all lists a command and everything below it.
func all(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		list = append(list, all(sub)...)
	}
	return list
}

// errorsOf is what could not be printed, else what there is to report.
func errorsOf(printing, found error) error {
	if printing != nil {
		return printing
	}
	return found
}
