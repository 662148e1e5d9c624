package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/answers"
	"replicator/internal/config"
	"replicator/internal/report"
	"replicator/internal/terminal"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// handoverFlags are what cutover and rollback have in common.
type handoverFlags struct {
	path, flow, groups      string
	silent, verify, timeout time.Duration
	dry, yes, force, undo   bool
	asJSON                  bool
	answer                  answers.HandedOver
}

func (f *handoverFlags) add(cmd *cobra.Command) {
	line.ConfigFlag(cmd, &f.path)
	line.FlowFlag(cmd, &f.flow, line.OneFlow)
	cmd.Flags().StringVar(&f.groups, "groups", "", "only groups whose whole name matches move")
	cmd.Flags().DurationVar(&f.silent, "silent-for", 5*time.Second, "how long nobody may write before it counts")
	cmd.Flags().DurationVar(&f.verify, "verify", time.Hour, "how far back records are compared; 0 for not at all")
	f.addAgreement(cmd)
	cmd.Flags().Lookup("timeout").Usage = "give up waiting after that, with --force for each step; 0 for never"
	cmd.Flags().BoolVar(&f.force, "force", false,
		"go on where a promise does not hold, or not in time; what that gives up is printed, in records, and noted")
}

// addAgreement adds what all verbs have that ask before they change something.
func (f *handoverFlags) addAgreement(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "give up waiting after that; 0 for never")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false,
		"print the plan and how far each step is, and change nothing; 1 if it would be refused")
	line.JSONFlag(cmd, &f.asJSON)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "go on without asking")
}

// mayAsk refuses flags by which nobody could agree.
func (f *handoverFlags) mayAsk(cmd *cobra.Command) error {
	if f.asJSON && !f.yes && !f.dry {
		return line.Usage(cmd, line.ErrAsked)
	}
	if f.silent < 0 || f.verify < 0 || f.timeout < 0 {
		return line.Usage(cmd, errors.New("a time is never negative"))
	}
	return nil
}

// oneFlow is the flow that is named, or the only one.
func (f *handoverFlags) oneFlow(cmd *cobra.Command) (*chosen, error) {
	cfg, err := config.Load(f.path)
	if err != nil {
		return nil, err
	}
	flow, err := cfg.Flow(f.flow)
	if err == nil {
		err = f.mayAsk(cmd)
	}
	log := slog.New(cfg.Log.Handler(cmd.ErrOrStderr()))
	return &chosen{[]settings.Config{flow}, line.ClustersWith(cfg, log), log}, err
}

// waits says on the terminal what is waited for.
func (f *handoverFlags) waits(cmd *cobra.Command) func(step, missing string) {
	return func(step, missing string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s  %-9s %s\n", time.Now().Format(time.TimeOnly), step, missing)
	}
}

// options are what the flags and the file say.
func (f *handoverFlags) options(cmd *cobra.Command) (cutover.Options, error) {
	on, err := f.oneFlow(cmd)
	if err != nil {
		return cutover.Options{}, err
	}
	flow := on.flows[0]
	f.answer.Flow = flow.Name()
	if f.timeout > 0 && f.timeout <= f.silent && !f.force && !f.undo {
		return cutover.Options{}, line.Usage(cmd, fmt.Errorf("--timeout %s can never be enough: the source is watched "+
			"for --silent-for %s first", f.timeout, f.silent))
	}
	o := cutover.Options{
		Flow: flow, Clusters: on.clusters, SilentFor: f.silent, Tail: f.verify, Force: f.force, Patience: f.timeout,
		Log: on.log, Report: f.waits(cmd),
	}
	o.Groups, err = line.WholeNames(cmd, "--groups", f.groups)
	return o, err
}

// limited bounds how long is waited; with --force each step has its own limit.
func (f *handoverFlags) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout == 0 || f.force {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, f.timeout)
}

// procedure is a cutover or a rollback.
type procedure interface {
	Preview(ctx context.Context) ([]stepwise.State, error)
	LeftOut() []inspect.LeftOut
}

// goOn shows the plan where somebody wants to see it, and says whether to carry it out.
func (f *handoverFlags) goOn(ctx context.Context, cmd *cobra.Command, h procedure) (bool, error) {
	if f.dry || !f.yes {
		states, err := h.Preview(ctx)
		if len(states) > 0 { // also where the time ran out: each says what is known
			f.showSteps(cmd.OutOrStdout(), states, h)
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
	return line.Agreed(cmd, f.yes)
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

// showSteps prints a plan, or keeps it for the answer.
func (f *handoverFlags) showSteps(w io.Writer, states []stepwise.State, h procedure) {
	if f.asJSON {
		f.answer.Steps, f.answer.LeftOut = states, h.LeftOut()
		return
	}
	report.Steps(w, states)
	report.LeftOut(terminal.NewPrinter(w), h.LeftOut())
}

// previewed ends a command that changes nothing.
func (f *handoverFlags) previewed(w io.Writer, err error) error {
	if f.asJSON && f.dry {
		err = errorsOf(answers.Print(w, f.answer, true), err)
	}
	return err
}

// ended says what may start.
func (f *handoverFlags) ended(w io.Writer, h procedure, back []topics.Back, r handover.Record, cluster string) error {
	if f.asJSON {
		f.answer.LeftOut = h.LeftOut()
		f.answer.Done, f.answer.On, f.answer.Settings, f.answer.Record = true, cluster, back, &r
		return answers.Print(w, f.answer, true)
	}
	if err := report.SettingsBack(w, back, cluster); err != nil {
		return err
	}
	report.LeftOut(terminal.NewPrinter(w), h.LeftOut())
	return report.Done(w, r, cluster)
}
