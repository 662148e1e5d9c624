package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"replicator/internal/config"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// handoverFlags are what cutover and rollback have in common.
type handoverFlags struct {
	path, flow, groups      string
	silent, verify, timeout time.Duration
	dry, yes, force, undo   bool
	asJSON                  bool
	answer                  handedOver
}

func (f *handoverFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	flowFlag(cmd, &f.flow, "which flow, as old->new (needed if there are several)")
	cmd.Flags().StringVar(&f.groups, "groups", "", "only groups whose whole name matches move")
	cmd.Flags().DurationVar(&f.silent, "silent-for", 5*time.Second, "how long nobody may write before it counts")
	cmd.Flags().DurationVar(&f.verify, "verify", time.Hour, "how far back records are compared; 0 for not at all")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute,
		"give up waiting after that, with --force for each step; 0 for never")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false,
		"print the plan and how far each step is, and change nothing; 1 if it would be refused")
	jsonFlag(cmd, &f.asJSON)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking")
	cmd.Flags().BoolVar(&f.force, "force", false,
		"go on where a promise does not hold, or not in time; what that gives up is printed, in records, and noted")
}

// options are what the flags and the file say.
func (f *handoverFlags) options(cmd *cobra.Command) (cutover.Options, error) {
	cfg, err := config.Load(f.path)
	if err != nil {
		return cutover.Options{}, err
	}
	flow, err := cfg.Flow(f.flow)
	if err != nil {
		return cutover.Options{}, err
	}
	f.answer.Flow = flow.Name()
	if f.asJSON && !f.yes && !f.dry {
		return cutover.Options{}, &usageError{errAsked, cmd.CommandPath()}
	}
	if f.silent < 0 || f.verify < 0 || f.timeout < 0 {
		return cutover.Options{}, &usageError{errors.New("a time is never negative"), cmd.CommandPath()}
	}
	if f.timeout > 0 && f.timeout <= f.silent && !f.force && !f.undo {
		return cutover.Options{}, &usageError{fmt.Errorf("--timeout %s can never be enough: the source is watched "+
			"for --silent-for %s first", f.timeout, f.silent), cmd.CommandPath()}
	}
	o := cutover.Options{
		Flow: flow, SilentFor: f.silent, Tail: f.verify, Force: f.force, Patience: f.timeout,
		Log: slog.New(cfg.Log.Handler(cmd.ErrOrStderr())),
		Tell: func(step, missing string) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s  %-9s %s\n", time.Now().Format(time.TimeOnly), step, missing)
		},
	}
	o.Clusters = clustersWith(cfg, o.Log)
	o.Groups, err = wholeNames(cmd, "--groups", f.groups)
	return o, err
}

// wholeNames compiles the pattern that a flag was given; nil for "".
func wholeNames(cmd *cobra.Command, flag, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := compileWhole(flag, pattern)
	if err != nil {
		return nil, &usageError{err, cmd.CommandPath()}
	}
	return re, nil
}

func compileWhole(flag, pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err != nil {
		return nil, fmt.Errorf("%s: %q is not a pattern: %w", flag, pattern, err)
	}
	return re, nil
}

// limited bounds how long is waited; with --force each step has its own limit.
func (f *handoverFlags) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout == 0 || f.force {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, f.timeout)
}

// handover is a cutover or a rollback.
type procedure interface {
	Preview(ctx context.Context) ([]stepwise.State, error)
	LeftOut() []inspect.LeftOut
}

// goOn shows the plan where somebody wants to see it, and says whether to carry it out.
func (f *handoverFlags) goOn(ctx context.Context, cmd *cobra.Command, h procedure) (bool, error) {
	if f.dry || !f.yes {
		states, err := h.Preview(ctx)
		if len(states) > 0 { // also where the time ran out: each says what is known
			f.tellSteps(cmd.OutOrStdout(), states, h)
		}
		if err != nil {
			return false, err
		}
		if err := stepwise.Refusal(states); f.dry || err != nil {
			return false, err
		}
	}
	err := f.agreed(cmd)
	return err == nil, err
}

// agreed asks whether to go on, where somebody can answer.
func (f *handoverFlags) agreed(cmd *cobra.Command) error {
	if f.yes {
		return nil
	}
	in := cmd.InOrStdin()
	if file, ok := in.(*os.File); !ok || !isTerminal(file) {
		return &usageError{errors.New("nobody is there to be asked; add --yes to go on, or --dry-run to look"),
			cmd.CommandPath()}
	}
	fmt.Fprint(cmd.ErrOrStderr(), "type yes to go on: ")
	answers := make(chan string, 1)
	go func() { // it waits for its line also when nobody asks any more
		answer, _ := bufio.NewReader(in).ReadString('\n') // what there is counts
		answers <- answer
	}()
	select {
	case answer := <-answers:
		if strings.TrimSpace(answer) == "yes" {
			return nil
		}
	case <-cmd.Context().Done():
	}
	return errors.New("nothing was done")
}

// newCutover makes the verb that moves applications over.
func newCutover() *cobra.Command {
	var f handoverFlags
	cmd := &cobra.Command{
		Use:   "cutover -c FILE [--groups RE] [--dry-run] [--yes]",
		Short: "Move the applications over: wait until all is right, note it, say what may start",
		Long: `cutover is for the maintenance window. It waits until nobody writes to the source,
the groups there have no members, the lag is 0 and every group stands exactly on
the target; compares the last records of both sides; notes in the ledger where
everything stood; and prints which applications may start on the target. Then
'replicator rollback' knows the way back.

Who still writes or reads is named. What cannot become right by waiting is refused,
with a remedy. With --force it is given up, and so is what does not come within
--timeout, step by step: how many records are not on the target, are read again or
are skipped is printed, and noted. A daemon may run meanwhile; where none does, the
rest is copied by this command. Killed at any point, the same command goes on.

At the end what the flow has set on topics of the target is put back as it was: on
those that this configuration selects, and once all groups are moved.

After a cutover the same command says when it was and that nothing is to be done;
with groups that were not part of it, it goes on with them. Where records have come
to the source since and nobody has made use of the target, it is begun anew; where
both sides were written to, it is refused with the figures. --undo forgets a cutover
that nobody has made use of; 'replicator rollback' takes back one that was.

` + exitCodes,
		Example: `  replicator cutover -c replicator.yaml --dry-run
  replicator cutover -c replicator.yaml --yes --silent-for 10s
  replicator cutover -c replicator.yaml --groups "billing-.*" --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.cutOver(cmd) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.undo, "undo", false,
		"forget the latest cutover, which nobody has made use of: the flow counts as not cut over")
	return cmd
}

func (f *handoverFlags) cutOver(cmd *cobra.Command) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	claims := claimsOfGroups(f.groups)
	claims.moves = true
	if f.force {
		claims.kinds = nil
	}
	if _, err := claims.hold(cmd, o.Clusters, []settings.Config{o.Flow}); err != nil {
		return err
	}
	ctx, cancel := f.limited(cmd.Context())
	defer cancel()
	return f.inTime(ctx, f.cutOverBy(ctx, cmd, o))
}

// inTime says of an error that came of the time that ran out that it did.
func (f *handoverFlags) inTime(ctx context.Context, err error) error {
	var waits *stepwise.WaitingError
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &waits) {
		return err
	}
	return &kafka.Problem{What: fmt.Sprintf("the clusters had not answered when the time-out of %s came", f.timeout),
		Fix: "see with 'replicator status' whether both answer, and how fast; or give more time with --timeout"}
}

func (f *handoverFlags) cutOverBy(ctx context.Context, cmd *cobra.Command, o cutover.Options) error {
	c, err := cutover.Open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	out := cmd.OutOrStdout()
	if f.undo {
		return f.undoCutover(ctx, cmd, c)
	}
	again, err := c.Again(ctx)
	if err == nil {
		err = again.Refusal(&o.Flow)
	}
	if err != nil {
		return err
	}
	f.answer.Before, f.answer.Verdict = again.Found, again.Verdict
	if !f.asJSON {
		printAgain(out, again, &o.Flow)
	}
	if again.Verdict == cutover.Nothing {
		if f.dry {
			return f.looked(out, nil)
		}
		f.yes = true // nothing is to be agreed to
	}
	if on, err := f.goOn(ctx, cmd, c); !on {
		return f.looked(out, err)
	}
	record, err := c.Run(ctx)
	if err != nil {
		return err
	}
	return f.ended(out, c, c.Restored(), record, o.Flow.To)
}

// printSteps prints a plan, and how far it is.
func printSteps(w io.Writer, states []stepwise.State) {
	for i, s := range states {
		done := "done"
		if !s.Done {
			done = "open"
		}
		fmt.Fprintf(w, "%d. %-9s %s  %s\n", i+1, s.Name, done, s.Do)
		if s.Missing != "" {
			fmt.Fprintf(w, "   now:           %s\n", s.Missing)
		}
		if s.Remedy != "" {
			fmt.Fprintf(w, "   remedy:        %s\n", s.Remedy)
		}
		fmt.Fprintf(w, "   undo:          %s\n", s.Undo)
	}
}

// printDone says what may start.
func printDone(w io.Writer, r handover.Record, cluster string) error {
	for _, what := range r.GivenUp {
		fmt.Fprintf(w, "given up: %s\n", what)
	}
	_, err := fmt.Fprintf(w, "done at %s (%s): applications may start on %s, where %d partitions and %d groups stand\n",
		r.Ended.Format(time.RFC3339), r.ID, cluster, r.Partitions, r.Groups)
	return err
}
