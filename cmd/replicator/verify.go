package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// verifyWords are the flags of verify.
type verifyWords struct {
	path, flow, topics, since, report string
	asJSON, overwrite                 bool
}

// newVerify makes the verb that compares both sides.
func newVerify() *cobra.Command {
	var words verifyWords
	cmd := &cobra.Command{
		Use:   "verify -c FILE [--flow F] [--topics RE] [--since TIME] [--json] [--report FILE]",
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
is kept and this one gets a name beside it, or --overwrite replaces it.

The verdict is one of three. equal: no difference in all that was copied (0).
different: at least one (1). incomplete: none was seen, but something of what was
asked for is not known to be equal, and each reason is told: a partition that is
stopped, not begun or could not be read, records known lost, a group that has not
read what the target has deleted, or that cannot be read, a flow that never ran, a
comparison of nothing (1).

` + exitCodes,
		Example: `  replicator verify -c replicator.yaml
  replicator verify -c replicator.yaml --report proof.json
  replicator verify -c replicator.yaml --flow "old->new" --topics "orders.*" --since 24h
  replicator verify -c replicator.yaml --since 2026-01-31T06:00:00Z --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := words.options(time.Now())
			if err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			on, err := chooseFlows(words.path, words.flow, io.Discard)
			if err != nil {
				return err
			}
			return words.run(cmd, on, options)
		},
	}
	configFlag(cmd, &words.path)
	flowFlag(cmd, &words.flow, "only this flow, as old->new")
	cmd.Flags().StringVar(&words.topics, "topics", "", "only source topics whose whole name matches this pattern")
	cmd.Flags().StringVar(&words.since, "since", "",
		"only from the first record on that is as new as this: a time, or how long ago (24h)")
	cmd.Flags().BoolVar(&words.asJSON, "json", false, "print JSON, whose fields are stable (docs/FORMATS.md)")
	cmd.Flags().StringVar(&words.report, "report", "", "write the JSON to this file, too")
	cmd.Flags().BoolVar(&words.overwrite, "overwrite", false, "let --report replace whatever file has that name")
	return cmd
}

// options reads the flags.
func (w *verifyWords) options(now time.Time) (verify.Options, error) {
	o := verify.Options{Program: versionOf() + " " + commitOf(),
		Filters: verify.Filters{Topics: w.topics, Since: w.since}}
	if w.topics != "" {
		pattern, err := compileWhole("--topics", w.topics)
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

// verified is the document of --json and --report.
type verified struct {
	Flows  []*verify.Report `json:"flows"`  // those that could be looked at
	Failed []failedFlow     `json:"failed"` // those that could not
}

// failedFlow is a flow of which nothing is known.
type failedFlow struct {
	Flow   string `json:"flow"`
	Error  string `json:"error"`
	Remedy string `json:"remedy,omitempty"`
}

func (w *verifyWords) run(cmd *cobra.Command, on *chosen,
	options verify.Options) error {
	claims := claims{given: given("--topics", policy.Topics, w.topics), kinds: []string{policy.Topics}}
	flows, err := claims.hold(cmd, on.clusters, on.flows)
	if err != nil {
		return err
	}
	proof, err := openProof(w, flows)
	if err != nil {
		return err
	}
	defer proof.drop()
	all := verified{[]*verify.Report{}, []failedFlow{}}
	var failed obstacles
	for _, flow := range flows {
		look, err := snapshot.Open(cmd.Context(), on.clusters, flow, nil)
		if err == nil {
			var v *verify.Report
			if v, err = verifyFlow(cmd.Context(), cmd.ErrOrStderr(), look, options); err == nil {
				all.Flows = append(all.Flows, v)
				failed = append(failed, different(v)...)
			}
			look.Close()
		}
		if err != nil {
			failed = append(failed, err)
			all.Failed = append(all.Failed, failedFlow{flow.Name(), err.Error(), chunk.Remedy(err)})
		}
	}
	if err := w.show(cmd.OutOrStdout(), all); err != nil {
		return err
	}
	if err := proof.keep(all); err != nil {
		failed = append(failed, fmt.Errorf("--report: %w", err))
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// aloud is how often a progress line is printed where no bar is drawn.
const aloud = 10 * time.Second

// verifyFlow compares one flow and shows meanwhile how far it is.
func verifyFlow(ctx context.Context, stderr io.Writer, look *snapshot.Viewer,
	options verify.Options) (*verify.Report, error) {
	options.Progress = &verify.Progress{}
	screen := newScreen(stderr, true)
	if screen.bar != nil {
		bar := screen.follow(options.Progress.Now)
		defer bar.end()
		return verify.Flow(ctx, look, options)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var pace pace
		tick := time.NewTicker(aloud)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				_, text := pace.at(now, options.Progress.Now())
				fmt.Fprintln(screen, "compared", text)
			}
		}
	}()
	defer func() {
		close(stop)
		<-done
	}()
	return verify.Flow(ctx, look, options)
}

func (w *verifyWords) show(out io.Writer, all verified) error {
	if w.asJSON {
		return printJSON(out, all, true)
	}
	p := &printer{w: out}
	for i, v := range all.Flows {
		if i > 0 {
			p.line("")
		}
		p.verification(v)
	}
	return p.err
}

// differentError is a verdict other than equal.
type differentError struct{ v *verify.Report }

func different(v *verify.Report) obstacles {
	if v.Verdict == verify.Equal {
		return nil
	}
	return obstacles{&differentError{v}}
}

func (e *differentError) Error() string {
	if e.v.Verdict == verify.Incomplete {
		text := fmt.Sprintf("flow %s: incomplete: %s", e.v.Flow, e.v.Incomplete[0].String())
		if more := len(e.v.Incomplete) - 1; more > 0 {
			text += fmt.Sprintf(", and %d more", more)
		}
		return text + "; nothing differs in what could be compared"
	}
	return fmt.Sprintf("flow %s: %d differences between %s and %s", e.v.Flow, e.v.Differences(), e.v.Source.Name,
		e.v.Target.Name)
}

// Remedy tells what to do.
func (e *differentError) Remedy() string {
	switch {
	case e.v.Verdict == verify.Incomplete:
		return cmp.Or(e.v.Incomplete[0].Remedy, "see what else is said, and verify again")
	case e.v.Differences() == e.v.Extra+e.v.Foreign:
		return "everything was copied, but the target holds more: look for other writers to its topics" + perhapsTwice(e.v)
	}
	return "keep the report (--report); look for what else writes to the target's topics, deletes from them or from the " +
		"ledger, and for an unclean leader election on the source; a topic that is created again on the target is filled anew"
}

func perhapsTwice(v *verify.Report) string {
	if v.Delivery == settings.AtLeastOnce {
		return "; with delivery at_least_once some may be its own, written again after a crash"
	}
	return ""
}

// verification prints what was found, most important last.
func (p *printer) verification(v *verify.Report) {
	p.line("flow        %s", v.Flow)
	p.line("program     %s", v.Program)
	p.line("source      %s, cluster id %s", v.Source.Name, v.Source.ID)
	p.line("target      %s, cluster id %s", v.Target.Name, v.Target.ID)
	if v.Filters.Topics != "" {
		p.line("only        topics %q", v.Filters.Topics)
	}
	since := "all that was copied"
	if v.Since != nil {
		since = "from " + v.Since.Format(time.RFC3339)
	}
	p.line("compared    %d records of %d partitions, %s up to %s", v.Compared, len(v.Partitions), since,
		v.Taken.Format(time.RFC3339))
	for _, one := range v.Partitions {
		p.differences(&one)
		if one.State == partition.PhaseStopped {
			p.line("%s", wrap(fmt.Sprintf("stopped     %s/%d: %s", one.Topic, one.Partition, one.Reason), "            "))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(v.Unverified)) {
		p.line("not checked %d records: %s", v.Unverified[reason], reason)
	}
	if lost := v.KnownLost - v.GivenUp; lost > 0 {
		p.line("known lost  at most %d records: the source deleted them before they were copied", lost)
	}
	if v.GivenUp > 0 {
		p.line("given up    at most %d records, by orders of 'replicator resume'", v.GivenUp)
	}
	if v.NotCopied > 0 {
		p.line("not copied  %d offsets, at that time", v.NotCopied)
	}
	right, all := 0, 0
	for _, g := range v.Groups {
		for _, at := range g.Positions {
			if all++; stateOf(&at) == "right" {
				right++
			}
			if at.UnreadDeleted > 0 || at.UnreadDeletedOnBoth > 0 {
				p.line("unread      group %s in %s/%d: %s", g.Group, at.Topic, at.Partition, reason(&at))
			} else if at.Skips != nil {
				p.line("skips       group %s in %s/%d: %s", g.Group, at.Topic, at.Partition, at.Skips.Why)
			}
		}
	}
	p.line("groups      %d of %d positions stand right", right, all)
	p.leftOut(v.LeftOut)
	p.leftOut(v.NotCompared)
	p.doubts(v.Incomplete)
	p.line("found       %d missing, %d changed, %d out of order, %d extra, %d extra and noted as somebody else's",
		v.Missing, v.Changed, v.OutOfOrder, v.Extra, v.Foreign)
	p.line("verdict     %s", v.Verdict)
}

// doubts prints the first reasons why a verification is incomplete.
func (p *printer) doubts(list []verify.Doubt) {
	const most = 20
	for i, d := range list[:min(len(list), most)] {
		p.line("%s", wrap("incomplete  "+d.String(), "            "))
		if d.Remedy != "" && (i == 0 || d.Remedy != list[i-1].Remedy) {
			p.line("%s", wrap("  remedy    "+d.Remedy, "            "))
		}
	}
	if more := len(list) - most; more > 0 {
		p.line("incomplete  and %d more: see --json", more)
	}
}

// differences prints those of one partition.
func (p *printer) differences(one *verify.Partition) {
	at := chunk.Partition{Topic: one.Topic, Number: one.Partition}
	listed := int64(0)
	for _, d := range one.Differences {
		listed += d.Records
		place := ""
		if d.Source != nil {
			place += fmt.Sprintf(" source %d", *d.Source)
		}
		if d.Target != nil {
			place += fmt.Sprintf(" target %d", *d.Target)
		}
		if d.Found != nil {
			place += fmt.Sprintf(" found at %d", *d.Found)
		}
		if d.Records > 1 {
			place += fmt.Sprintf(" and %d more", d.Records-1)
		}
		for _, field := range d.Fields {
			place += " " + field
		}
		p.line("%-11s %s%s: %s", d.Kind, at, place, d.Why)
	}
	if more := one.Counts.Differences() - listed; more > 0 {
		p.line("            %s: and %d more", at, more)
	}
}
