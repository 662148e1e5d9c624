package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/groups"
)

// waitEvery is how often wait looks.
const waitEvery = 500 * time.Millisecond

// newWait makes the verb for scripts.
func newWait() *cobra.Command {
	var path, flow, pattern string
	var lag int64
	var drained, aged, asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait -c FILE [--lag N] [--groups RE] [--drained] [--aged-out] [--timeout T]",
		Short: "Wait until the copy is that near, for scripts",
		Long: `wait ends with 0 as soon as all that was asked for holds, and with 1 when it does
not within --timeout; then it says what is missing.

  --lag N      no more than N records are missing on the target, and no partition
               is stopped
  --groups RE  the groups with such names stand on the target exactly where they
               stand on the source
  --drained    the groups (of --groups, or all) have read everything on the source
  --aged-out   the source holds nothing that is older than what the target begins
               with: for applications that write to both clusters themselves

A daemon has to do the work: wait only looks.

` + exitCodes,
		Example: `  replicator wait -c replicator.yaml --lag 0
  replicator wait -c replicator.yaml --lag 0 --groups "billing-.*" --timeout 10m
  replicator wait -c replicator.yaml --drained --timeout 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := waiter{drained: drained, aged: aged, lag: -1, asJSON: asJSON}
			if cmd.Flags().Changed("lag") {
				w.lag = lag
			}
			if cmd.Flags().Changed("lag") && lag < 0 || timeout < 0 {
				return &usageError{errors.New("--lag and --timeout are never negative"), cmd.CommandPath()}
			}
			var err error
			if w.groups, err = wholeNames(cmd, "--groups", pattern); err != nil {
				return err
			}
			if w.lag < 0 && w.groups == nil && !drained && !aged {
				return &usageError{errors.New("say what to wait for: --lag, --groups, --drained or --aged-out"), cmd.CommandPath()}
			}
			w.given = given("--groups", policy.Groups, pattern)
			return w.told(cmd, w.run(cmd, path, flow, timeout))
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	flowFlag(cmd, &flow, "only this flow, as old->new")
	cmd.Flags().Int64Var(&lag, "lag", 0, "records that may be missing on the target")
	cmd.Flags().StringVar(&pattern, "groups", "", "groups whose whole name matches")
	cmd.Flags().BoolVar(&drained, "drained", false, "the groups have read everything on the source")
	cmd.Flags().BoolVar(&aged, "aged-out", false, "the source holds nothing older than what the target begins with")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after that; 0 for never")
	return cmd
}

// waiter knows what has to hold.
type waiter struct {
	lag           int64 // -1: not asked for
	groups        *regexp.Regexp
	drained, aged bool
	asJSON        bool
	given         []replicate.Pattern
}

func (w *waiter) run(cmd *cobra.Command, path, flow string, timeout time.Duration) error {
	on, err := chooseFlows(path, flow, io.Discard)
	if err != nil {
		return err
	}
	claims := claims{given: w.given, kinds: []string{policy.Topics}}
	if w.groups == nil && w.drained {
		claims.kinds = append(claims.kinds, policy.Groups)
	}
	flows, err := claims.hold(cmd, on.clusters, on.flows)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for _, one := range flows {
		look, err := replicate.Inspect(ctx, on.clusters, one, nil)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return stillMissing(one.Name(), "")
		}
		if err != nil {
			return err
		}
		defer look.Close()
		told := ""
		for {
			missing, err := w.missing(ctx, look)
			if missing == "" && err == nil {
				break
			}
			if ctx.Err() != nil {
				return stillMissing(one.Name(), told)
			}
			if err != nil {
				return err
			}
			if missing != told {
				told = missing
				fmt.Fprintf(cmd.ErrOrStderr(), "%s  %s: %s\n", time.Now().Format(time.TimeOnly), one.Name(), missing)
			}
			select {
			case <-ctx.Done():
				return stillMissing(one.Name(), told)
			case <-tick.C:
			}
		}
	}
	return nil
}

// told prints the answer: whether it holds, or why not.
func (w *waiter) told(cmd *cobra.Command, err error) error {
	var missing *notYetError
	errors.As(err, &missing)
	switch {
	case w.asJSON && missing != nil:
		return errorsOf(printJSON(cmd.OutOrStdout(), map[string]any{"holds": false, "missing": missing.missing}, true), err)
	case err != nil:
		return err
	case w.asJSON:
		return printJSON(cmd.OutOrStdout(), map[string]any{"holds": true}, true)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "it holds")
	return err
}

func stillMissing(flow, missing string) error {
	if missing == "" {
		missing = "not known yet: the clusters had not answered when the time ran out"
	}
	return &notYetError{fmt.Sprintf("flow %s: %s", flow, missing)}
}

// notYetError is what did not come about in time.
type notYetError struct{ missing string }

func (e *notYetError) Error() string { return "not in time: " + e.missing }

// Remedy tells what to do.
func (e *notYetError) Remedy() string {
	return "see 'replicator status' for what is in the way, or give it more time with --timeout"
}

// missing answers the first thing that does not hold.
func (w *waiter) missing(ctx context.Context, look *replicate.Inspection) (string, error) {
	if w.lag >= 0 || w.groups != nil && !w.drained {
		status, err := look.Status(ctx)
		if err != nil {
			return "", err
		}
		if missing := w.copied(status); missing != "" {
			return missing, nil
		}
	}
	if !w.drained && !w.aged {
		return "", nil
	}
	d, err := look.Drained(ctx)
	if err != nil {
		return "", err
	}
	if w.drained && !slices.ContainsFunc(d.Groups, func(g replicate.GroupDrained) bool { return w.wants(g.Group) }) {
		return "", noGroups(d)
	}
	for _, g := range d.Groups {
		if w.drained && w.wants(g.Group) && (g.Lag > 0 || g.Error != "") {
			return strings.TrimSpace(fmt.Sprintf("group %s has not read %d records of %d partitions on the source%s %s", g.Group,
				g.Lag, g.Behind, lostThere(&g), g.Error)), nil
		}
	}
	for _, t := range d.Topics {
		if w.aged && t.Lacks > 0 {
			return fmt.Sprintf("topic %s: the target lacks %s", t.Topic, lacking(t)), nil
		}
	}
	return "", nil
}

func (w *waiter) wants(group string) bool { return w.groups == nil || w.groups.MatchString(group) }

// copied says what is missing of the copy, "" for nothing.
func (w *waiter) copied(s *replicate.FlowStatus) string {
	if len(s.Problems) > 0 {
		return s.Problems[0].Error
	}
	if w.lag >= 0 {
		for i := range s.Partitions {
			if p := &s.Partitions[i]; !p.Phase.Free() {
				why := cmp.Or(p.Reason, "the ledger does not know it yet")
				return fmt.Sprintf("%s/%d: %s: %s", p.Topic, p.Partition, p.Phase, why)
			}
		}
		if s.Behind > w.lag {
			return fmt.Sprintf("lag %d", s.Behind)
		}
	}
	if w.groups == nil || w.drained {
		return ""
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if !w.wants(g.Group) {
			continue
		}
		if g.Error != "" {
			return fmt.Sprintf("group %s: %s", g.Group, g.Error)
		}
		for _, p := range g.Positions {
			if p.State != string(groups.Right) {
				return fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why)
			}
		}
	}
	return ""
}

// lacking says what the target lacks of a topic, and for how long.
func lacking(t replicate.TopicAged) string {
	if t.Left < 0 {
		return fmt.Sprintf("up to %d records: %s", t.Lacks, t.Why)
	}
	return fmt.Sprintf("up to %d records, for %s and until their segments are deleted", t.Lacks,
		time.Duration(t.Left)*time.Second)
}
