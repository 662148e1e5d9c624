package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"replicator/internal/answers"
	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/provenance"
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
	cmd.Flags().BoolVar(&aged, "aged-out", false, "the source holds nothing that the target lacks")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after that; 0 for never")
	return cmd
}

// waiter knows what has to hold.
type waiter struct {
	lag           int64 // -1: not asked for
	groups        *regexp.Regexp
	drained, aged bool
	asJSON        bool
	given         []inspect.Pattern
	byTimestamps  []string // topics of which that is all that tells
	leftOut       []inspect.LeftOut
}

// gap is what does not hold.
type gap struct {
	missing string // "": it holds
	never   bool   // waiting does not bring it about
	remedy  string // "": see status
}

// coming is a gap that a flow which runs may fill.
func coming(format string, args ...any) gap { return gap{missing: fmt.Sprintf(format, args...)} }

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
		look, err := snapshot.Open(ctx, on.clusters, one, nil)
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return stillMissing(one.Name(), gap{})
		}
		if err != nil {
			return err
		}
		defer look.Close()
		told := gap{}
		for {
			found, err := w.missing(ctx, look)
			if found.missing == "" && err == nil {
				break
			}
			if ctx.Err() != nil {
				return stillMissing(one.Name(), told)
			}
			if err != nil {
				return err
			}
			if found.never {
				return &neverError{fmt.Sprintf("flow %s: %s", one.Name(), found.missing), found.remedy}
			}
			if found.missing != told.missing {
				told = found
				fmt.Fprintf(cmd.ErrOrStderr(), "%s  %s: %s\n", time.Now().Format(time.TimeOnly), one.Name(), found.missing)
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
	var never *neverError
	answer := map[string]any{"holds": false}
	switch {
	case errors.As(err, &missing):
		answer["missing"] = missing.missing
	case errors.As(err, &never):
		answer["missing"], answer["never"] = never.missing, true
	case err != nil:
		return err
	default:
		answer["holds"] = true
	}
	if len(w.byTimestamps) > 0 {
		answer["by_timestamps"] = w.byTimestamps
	}
	if len(w.leftOut) > 0 {
		answer["left_out"] = w.leftOut
	}
	if !w.asJSON {
		report.LeftOut(terminal.NewPrinter(cmd.ErrOrStderr()), w.leftOut)
	}
	switch {
	case w.asJSON:
		return errorsOf(answers.Print(cmd.OutOrStdout(), answer, true), err)
	case err != nil:
		return err
	case len(w.byTimestamps) > 0:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "it holds; by timestamps alone in %s, where no flow has copied\n",
			terminal.Few(w.byTimestamps))
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "it holds")
	return err
}

func stillMissing(flow string, found gap) error {
	if found.missing == "" {
		found.missing = "not known yet: the clusters had not answered when the time ran out"
	}
	return &notYetError{fmt.Sprintf("flow %s: %s", flow, found.missing), found.remedy}
}

// notYetError is what did not come about in time, and what may help.
type notYetError struct{ missing, remedy string }

func (e *notYetError) Error() string { return "not in time: " + e.missing }

// Remedy tells what to do.
func (e *notYetError) Remedy() string {
	return cmp.Or(e.remedy, "see 'replicator status' for what is in the way") + "; or give it more time with --timeout"
}

// neverError is what does not come about by waiting.
type neverError struct{ missing, remedy string }

func (e *neverError) Error() string { return "it does not come by waiting: " + e.missing }

// Remedy tells what to do.
func (e *neverError) Remedy() string { return cmp.Or(e.remedy, "see 'replicator status'") }

// missing answers the first thing that does not hold.
func (w *waiter) missing(ctx context.Context, look *snapshot.Viewer) (gap, error) {
	if w.lag >= 0 || w.groups != nil && !w.drained {
		status, err := inspect.Status(ctx, look)
		if err != nil {
			return gap{}, err
		}
		if found := w.copied(status); found.missing != "" {
			return found, nil
		}
	}
	if !w.drained && !w.aged {
		return gap{}, nil
	}
	d, err := inspect.Drained(ctx, look)
	var circle *provenance.CircleError
	if errors.As(err, &circle) {
		return gap{circle.Error(), true, circle.Remedy()}, nil
	}
	if err != nil {
		return gap{}, err
	}
	if w.aged {
		w.byTimestamps = slices.Compact(slices.Sorted(slices.Values(append(w.byTimestamps, d.ByTimestamps()...))))
		if found := agedGap(d); found.missing != "" {
			return found, nil
		}
	}
	if w.drained {
		if w.groups != nil {
			d.Only(w.wants)
		}
		if len(d.Groups) == 0 {
			return gap{}, noGroups(d)
		}
		found := undrained(d)
		if found.missing == "" {
			w.leftOut = append(w.leftOut, d.LeftOut...)
		}
		return found, nil
	}
	return gap{}, nil
}

// undrained is the first thing for which the source is not drained.
func undrained(d *inspect.DrainedStatus) gap {
	if len(d.Cuts) > 0 {
		cut := d.Cuts[0]
		return gap{cut.String(), cut.Undecided, cut.Remedy}
	}
	for _, g := range d.Groups {
		switch {
		case g.Error != "":
			return gap{fmt.Sprintf("group %s: %s", g.Group, g.Error), true, g.Remedy}
		case g.Lag > 0:
			return coming("group %s has not read up to %d records of %d partitions on the source%s", g.Group, g.Lag,
				g.Behind, g.LostThere())
		case g.Open > 0:
			return gap{missing: fmt.Sprintf("group %s %s", g.Group, g.OpenBehind()), remedy: replicate.OpenRemedy}
		}
	}
	return gap{}
}

// agedGap is the first thing for which the source holds what the target lacks.
func agedGap(d *inspect.DrainedStatus) gap {
	for _, t := range d.Topics {
		for _, cut := range d.Cuts {
			if cut.Topic == t.Topic {
				return gap{cut.String(), cut.Undecided, cut.Remedy}
			}
		}
		if t.Lacks > 0 {
			return gap{fmt.Sprintf("topic %s: the target lacks %s", t.Topic, t.Lacking()), t.ForEver,
				agedRemedy(t)}
		}
	}
	return gap{}
}

// agedRemedy is what helps where waiting does not, or not alone.
func agedRemedy(t inspect.TopicAged) string {
	if t.ForEver {
		return "it never ages out: have a flow copy it, as docs/runbooks/keep-old-events.md does"
	}
	return "" // a flow copies it, or it ages out
}

func (w *waiter) wants(group string) bool { return w.groups == nil || w.groups.MatchString(group) }

// copied says what is missing of the copy.
func (w *waiter) copied(s *inspect.FlowStatus) gap {
	for _, p := range s.Problems {
		if p.Lasting {
			return gap{p.Error, true, p.Remedy}
		}
	}
	if len(s.Problems) > 0 {
		return gap{missing: s.Problems[0].Error, remedy: s.Problems[0].Remedy}
	}
	if closed := s.Closed(); closed != nil {
		return gap{closed.Error(), !closed.Ended.IsZero(), closed.Remedy()}
	}
	if w.lag >= 0 {
		if found := w.behind(s); found.missing != "" {
			return found
		}
	}
	if w.groups == nil || w.drained {
		return gap{}
	}
	for i := range s.Groups {
		if g := &s.Groups[i]; w.wants(g.Group) {
			if found := misplaced(g); found.missing != "" {
				return found
			}
		}
	}
	return gap{}
}

// behind says what is missing of the partitions. A stopped one is tried again by the flow, unless only an operator or
// another configuration can have it go on.
func (w *waiter) behind(s *inspect.FlowStatus) gap {
	first := gap{}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if p.Phase.Free() {
			continue
		}
		why := cmp.Or(p.Reason, "the ledger does not know it yet")
		if p.Phase == partition.PhaseStopped && !p.Lasting && !p.Cuts.Open() {
			why += "; it is tried again at least every 5 minutes"
		}
		found := gap{fmt.Sprintf("%s/%d: %s: %s", p.Topic, p.Partition, p.Phase, why), p.Lasting, p.Remedy}
		if found.never {
			return found
		}
		if first.missing == "" {
			first = found
		}
	}
	if first.missing == "" && s.Behind > w.lag {
		first = coming("lag %d", s.Behind)
	}
	if first.missing == "" {
		first = w.open(s)
	}
	if first.missing != "" && s.Replicas != nil && *s.Replicas == 0 {
		first.missing += "; no replica runs the flow"
	}
	return first
}

// open says what is missing where a transaction is open on the source: what it has written is copied at its end.
func (w *waiter) open(s *inspect.FlowStatus) gap {
	missing := s.Behind
	for i := range s.Partitions {
		p := &s.Partitions[i]
		if missing += p.SourceOpen; missing > w.lag {
			return gap{missing: fmt.Sprintf("lag %d, and %s/%d has an open transaction: %d offsets wait for its end", s.Behind,
				p.Topic, p.Partition, p.SourceOpen), remedy: replicate.OpenRemedy}
		}
	}
	return gap{}
}

// misplaced says which position of a group does not stand right.
func misplaced(g *inspect.GroupStatus) gap {
	if g.Error != "" {
		return gap{fmt.Sprintf("group %s: %s", g.Group, g.Error), true, g.Remedy}
	}
	first := gap{}
	for _, p := range g.Positions {
		if p.State == string(groups.Right) {
			continue
		}
		found := gap{fmt.Sprintf("group %s in %s/%d: %s", g.Group, p.Topic, p.Partition, p.Why), p.Lasting(), p.Remedy}
		if found.never {
			return found
		}
		if first.missing == "" {
			first = found
		}
	}
	return first
}
