package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/await"
	"replicator/pkg/operate/selection"
	"replicator/pkg/policy"
)

// newWait makes the verb for scripts.
func newWait() *cobra.Command {
	var path, flow, pattern string
	var w await.Waiter
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait -c FILE [--lag N] [--groups RE] [--drained] [--aged-out] [--timeout T]",
		Short: "Wait until the copy is that near, for scripts",
		Long: `wait ends with 0 as soon as all that was asked for holds, and with 1 when it does
not within --timeout; then it says what is missing. What does not come by waiting
ends it with 1 at once, with what to do.

  --lag N      no more than N records are missing on the target, those of open
               transactions among them, and no partition is stopped
  --groups RE  the groups with such names stand on the target exactly where they
               stand on the source
  --drained    the groups (of --groups, or all) have read everything on the source,
               and no transaction is open there that may bring more
  --aged-out   the source holds nothing that the target lacks; where no flow has
               copied, by timestamps alone: nothing older than what the target
               begins with

A daemon has to do the work: wait only looks.

` + line.ExitCodes,
		Example: `  replicator wait -c replicator.yaml --lag 0
  replicator wait -c replicator.yaml --lag 0 --groups "billing-.*" --timeout 10m
  replicator wait -c replicator.yaml --drained --timeout 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("lag") && w.Lag < 0 || timeout < 0 {
				return line.Usage(cmd, errors.New("--lag and --timeout are never negative"))
			}
			if !cmd.Flags().Changed("lag") {
				w.Lag = -1
			}
			groups, err := line.WholeNames(cmd, "--groups", pattern)
			if err != nil {
				return err
			}
			if groups != nil {
				w.Groups = groups.MatchString
			}
			if w.Lag < 0 && groups == nil && !w.Drained && !w.AgedOut {
				return line.Usage(cmd, errors.New("say what to wait for: --lag, --groups, --drained or --aged-out"))
			}
			return sayWaited(cmd, &w, asJSON, waitFor(cmd, &w, path, flow, pattern, timeout))
		},
	}
	line.ConfigFlag(cmd, &path)
	line.JSONFlag(cmd, &asJSON)
	line.FlowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().Int64Var(&w.Lag, "lag", 0, "records that may be missing on the target")
	cmd.Flags().StringVar(&pattern, "groups", "", "groups whose whole name matches")
	cmd.Flags().BoolVar(&w.Drained, "drained", false, "the groups have read everything on the source")
	cmd.Flags().BoolVar(&w.AgedOut, "aged-out", false, "the source holds nothing that the target lacks")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after that; 0 for never")
	return cmd
}

// waitFor waits in all flows that there is something to say about.
func waitFor(cmd *cobra.Command, w *await.Waiter, path, flow, pattern string, timeout time.Duration) error {
	on, err := chooseFlows(path, flow, io.Discard)
	if err != nil {
		return err
	}
	w.Clusters = on.clusters
	claims := selection.Claims{Given: selection.Given("--groups", policy.Groups, pattern), Kinds: []string{policy.Topics}}
	if pattern == "" && w.Drained {
		claims.Kinds = append(claims.Kinds, policy.Groups)
	}
	ctx := cmd.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	flows, err := hold(ctx, cmd, claims, on.clusters, on.flows)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		flows = on.flows // waiting says that the time ran out
	case err != nil:
		return err
	}
	for _, one := range flows {
		err := w.For(ctx, one, func(missing string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s  %s: %s\n", time.Now().Format(time.TimeOnly), one.Name(), missing)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sayWaited prints the answer: whether it holds, or why not.
func sayWaited(cmd *cobra.Command, w *await.Waiter, asJSON bool, err error) error {
	answer, known := answers.WaitedOf(w, err)
	switch {
	case !known:
		return err
	case asJSON:
		return errorsOf(answers.Print(cmd.OutOrStdout(), answer, true), err)
	}
	report.LeftOut(terminal.NewPrinter(cmd.ErrOrStderr()), w.LeftOut)
	if err != nil {
		return err
	}
	text := "it holds"
	if len(w.ByTimestamps) > 0 {
		text += fmt.Sprintf("; by timestamps alone in %s, where no flow has copied", terminal.Few(w.ByTimestamps))
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
