package main

import (
	"context"
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
	"replicator/pkg/operate/selection"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
)

// verifyWords are the flags of verify.
type verifyWords struct {
	path, flow, topics, since string
	asJSON                    bool
	report                    files.Report
}

// newVerify makes the verb that compares both sides.
func newVerify() *cobra.Command {
	var words verifyWords
	cmd := &cobra.Command{
		Use:   "verify -c FILE [--flow F] [--topics RE] [--since TIME] [--json] [--report FILE [--sign KEY]]",
		Short: "Read both sides again and compare every record",
		Long: `verify reads both sides through the offset map of the flow's ledger, and compares
key, value, headers and timestamp of every record up to where the flow is now. It
tells what is missing, changed, out of order, or on the target and not from the
flow, with the offsets on both sides, and counts what it could not check: records
that retention or compaction has taken on one side, also meanwhile. Topics that the
flow has copied, and the configuration leaves out now, are named.

The flow may run on. Nothing is written to either cluster, and no group is used
for reading. --report keeps the result in a file, as the proof of a migration: with
a digest of each partition on both sides, and every group's positions. A report that
is there already is replaced by one of the same scope that found no worse; else it
is kept and this one gets a name beside it, or --overwrite replaces it. --sign signs
it with a private key (Ed25519, PEM), for 'replicator report verify'.

The verdict is one of three. equal: no difference in all that was copied (0).
different: at least one (1). incomplete: none was seen, but something of what was
asked for is not known to be equal, and each reason is told: a partition that is
stopped, not begun or could not be read, records known lost, a group that has not
read what the target has deleted, or that cannot be read, a flow that never ran, a
comparison of nothing, or a source that does not answer: then nothing is compared,
and what ledger and target know is told (1).

` + line.ExitCodes,
		Example: `  replicator verify -c replicator.yaml
  replicator verify -c replicator.yaml --report proof.json
  replicator verify -c replicator.yaml --report proof.json --sign private.pem
  replicator verify -c replicator.yaml --flow "old->new" --topics "orders.*" --since 24h
  replicator verify -c replicator.yaml --since 2026-01-31T06:00:00Z --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := words.options(time.Now())
			if err = errors.Join(err, words.report.Check()); err != nil {
				return line.Usage(cmd, err)
			}
			on, err := chooseFlows(words.path, words.flow, io.Discard)
			if err != nil {
				return err
			}
			return words.run(cmd, on, options)
		},
	}
	line.ConfigFlag(cmd, &words.path)
	line.FlowFlag(cmd, &words.flow, "only this flow, as old->new")
	cmd.Flags().StringVar(&words.topics, "topics", "", "only source topics whose whole name matches this pattern")
	cmd.Flags().StringVar(&words.since, "since", "",
		"only from the first record on that is as new as this: a time, or how long ago (24h)")
	cmd.Flags().BoolVar(&words.asJSON, "json", false, "print JSON, whose fields are stable (docs/FORMATS.md)")
	words.report.Flags(cmd)
	return cmd
}

// options reads the flags.
func (w *verifyWords) options(now time.Time) (verify.Options, error) {
	o := verify.Options{Program: files.VersionOf() + " " + files.CommitOf(),
		Filters: verify.Filters{Topics: w.topics, Since: w.since}}
	if w.topics != "" {
		pattern, err := line.CompileWhole("--topics", w.topics)
		if err != nil {
			return o, err
		}
		o.Topics = pattern.MatchString
	}
	if w.since == "" {
		return o, nil
	}
	if ago, err := time.ParseDuration(w.since); err == nil && ago >= 0 {
		o.Since = now.Add(-ago)
		return o, nil
	}
	at, err := time.Parse(time.RFC3339, w.since)
	if err != nil || at.UnixMilli() < 0 {
		return o, fmt.Errorf("--since: %q is neither a time such as 2026-01-31T06:00:00Z nor a duration such as 24h", w.since)
	}
	o.Since = at
	return o, nil
}

func (w *verifyWords) run(cmd *cobra.Command, on *chosen,
	options verify.Options) error {
	claims := selection.Claims{Given: selection.Given("--topics", policy.Topics, w.topics), Kinds: []string{policy.Topics},
		Tolerant: true}
	flows, err := hold(cmd.Context(), cmd, claims, on.clusters, on.flows)
	if err != nil {
		return err
	}
	file, err := w.report.Verify(options.Filters, flows)
	if err != nil {
		return err
	}
	defer file.Drop()
	all := answers.Verified{Flows: []*verify.Report{}, Failed: []answers.Failed{}}
	var failed []error
	for _, flow := range flows {
		view, err := snapshot.OpenTolerant(cmd.Context(), on.clusters, flow, nil)
		if err == nil {
			var v *verify.Report
			if v, err = verifyFlow(cmd.Context(), cmd.ErrOrStderr(), view, options); err == nil {
				all.Flows = append(all.Flows, v)
				if different := v.Err(); different != nil {
					failed = append(failed, different)
				}
			}
			view.Close()
		}
		if err != nil {
			failed = append(failed, err)
			all.Failed = append(all.Failed, answers.Failed{Flow: flow.Name(), Error: err.Error(), Remedy: chunk.Remedy(err)})
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

// verifyFlow compares one flow and shows meanwhile how far it is.
func verifyFlow(ctx context.Context, stderr io.Writer, view *snapshot.Viewer,
	options verify.Options) (*verify.Report, error) {
	options.Progress = &verify.Progress{}
	progress := terminal.NewScreen(stderr, true).FollowAloud("compared", options.Progress.Now)
	defer progress.End()
	return verify.Flow(ctx, view, options)
}

func (w *verifyWords) show(out io.Writer, all answers.Verified) error {
	if w.asJSON {
		return answers.Print(out, all, true)
	}
	p := terminal.NewPrinter(out)
	for i, v := range all.Flows {
		if i > 0 {
			p.Line("")
		}
		report.Verification(p, v)
	}
	return p.Err()
}
