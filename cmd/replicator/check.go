package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"replicator/internal/config"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// newCheck makes the verb that looks before anybody leaps.
func newCheck() *cobra.Command {
	var path string
	var connect, asJSON bool
	cmd := &cobra.Command{
		Use:   "check -c FILE [--connect]",
		Short: "Validate the configuration; with --connect show what run would do",
		Long: `check reads the configuration and tells all problems at once, each with its line.
It reaches no cluster.

With --connect it reaches both clusters and prints what run would create, alter,
copy and leave out, and what is in the way, each with what to do about it:
missing rights, topics that do not fit, records of somebody else. The target is
asked to check the changes; nothing is changed. It exits with 1 if something is
in the way.

` + exitCodes + `

The configuration file, with every key, its default and its meaning:

` + indent(config.Reference()),
		Example: `  replicator check -c replicator.yaml
  replicator check -c replicator.yaml --connect`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			out := &printer{w: cmd.OutOrStdout()}
			switch {
			case connect:
				if asJSON {
					out.plans = &[]plannedFlow{}
				}
				err := checkClusters(cmd.Context(), out, cfg)
				if asJSON {
					err = errorsOf(printJSON(out.w, map[string]any{"flows": out.plans}, true), err)
				}
				return err
			case asJSON:
				answer := checkedFile{path, []checkedFlow{}, cfg.HTTP.Listen}
				for i := range cfg.Flows {
					answer.Flows = append(answer.Flows, checkedOf(&cfg.Flows[i]))
				}
				return printJSON(out.w, answer, true)
			}
			out.summary(path, cfg)
			return out.err
		},
	}
	configFlag(cmd, &path)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&connect, "connect", false, "reach both clusters and show what run would do")
	return cmd
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// printer writes lines and keeps the first error.
type printer struct {
	w     io.Writer
	err   error
	plans *[]plannedFlow // not nil: plans are gathered for JSON
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// summary says what a valid configuration asks for.
func (p *printer) summary(path string, cfg *config.Config) {
	p.line("%s is valid: %s, %s", path, count(len(cfg.Clusters), "cluster"), count(len(cfg.Flows), "flow"))
	for i := range cfg.Flows {
		f := &cfg.Flows[i]
		p.line("")
		p.line("flow %s", f.Name())
		p.line("  topics    %s", selection(f.Topics, f.ExcludeTopics))
		p.line("  groups    %s", selection(f.Groups, f.ExcludeGroups))
		p.line("  names     %s", naming(f))
		p.line("  delivery  %s, partitions without progress start at %s", f.Delivery, f.Start)
		lane, why := f.LaneInUse()
		p.line("  lane      %s: %s", lane, why)
		p.line("  ledger    %s on %s, %s", f.LedgerTopic(), f.To, count(f.Shards, "shard"))
	}
	p.untuned(cfg)
	p.line("")
	if cfg.HTTP.Listen == "" {
		p.line("metrics and health are not served")
		return
	}
	p.line("metrics at http://%s/metrics, health at /healthz and /readyz", cfg.HTTP.Listen)
}

// naming says what topics and groups are called on both sides.
func naming(f *settings.Config) string {
	logical := "<topic>"
	if f.Naming == policy.Prefix {
		logical = f.From + f.Separator + logical
	}
	if f.SourcePrefix != f.TargetPrefix || f.SourcePrefix != "" {
		return fmt.Sprintf("%s<topic> is called %s%s, group %s<group> is called %s<group>",
			f.SourcePrefix, f.TargetPrefix, logical, f.SourcePrefix, f.TargetPrefix)
	}
	if f.Naming == policy.Identity {
		return "as on the source"
	}
	return logical
}

// untuned names the properties of clusters that a lane does not follow.
func (p *printer) untuned(cfg *config.Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Clusters)) {
		var flows []string
		for i := range cfg.Flows {
			f := &cfg.Flows[i]
			if lane, _ := f.LaneInUse(); lane == settings.LaneBatch && (f.From == name || f.To == name) {
				flows = append(flows, f.Name())
			}
		}
		cluster := cfg.Clusters[name]
		if given := cluster.Tuning(); len(given) > 0 && len(flows) > 0 {
			p.line("")
			p.line("%s", wrap(fmt.Sprintf("note: cluster %s: only the record lane copies by %s; without effect in the batch "+
				"lane, on %s", name, strings.Join(given, ", "), strings.Join(flows, ", ")), "  "))
		}
	}
}

func selection(include, exclude []string) string {
	if len(include) == 0 {
		return "none"
	}
	text := strings.Join(include, ", ")
	if len(exclude) > 0 {
		text += "   but not " + strings.Join(exclude, ", ")
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkClusters prints the dry run of every flow. Its error is all that is in the way.
func checkClusters(ctx context.Context, out *printer, cfg *config.Config) error {
	clusters := clustersWith(cfg, slog.New(slog.DiscardHandler))
	var inTheWay obstacles
	var before []*preflight.FlowPlan
	for i, flow := range cfg.Flows {
		if i > 0 && out.plans == nil {
			out.line("")
		}
		plan, err := planFlow(ctx, clustersOf(clusters, flow), flow)
		if err != nil {
			inTheWay = append(inTheWay, err)
			continue
		}
		plan.Share(before)
		before = append(before, plan)
		out.plan(plan)
		inTheWay = append(inTheWay, plan.InTheWay()...)
	}
	if out.err != nil || len(inTheWay) == 0 {
		return out.err
	}
	return inTheWay
}

// obstacles are all that is in the way.
type obstacles []error

func (o obstacles) Error() string { return fmt.Sprintf("%d problems are in the way", len(o)) }

func (o obstacles) Unwrap() []error { return o }

// plan prints one flow's dry run.
func (p *printer) plan(plan *preflight.FlowPlan) {
	if p.plans != nil {
		*p.plans = append(*p.plans, plannedOf(plan))
		return
	}
	p.line("flow %s", plan.Flow)
	for _, c := range []struct {
		role string
		preflight.ClusterSeen
	}{{"source", plan.Source}, {"target", plan.Target}} {
		p.line("  %s    %s, cluster id %s, %s", c.role, c.Name, c.ID, count(c.Brokers, "broker"))
	}
	ledger := "would be created with"
	if plan.Ledger.Exists {
		ledger = "is there with"
	}
	p.line("  ledger    %s %s %s", plan.Ledger.Topic, ledger, count(plan.Ledger.Shards, "shard"))
	for _, warning := range plan.Warnings {
		p.line("  warning   %s", warning)
	}
	p.topics(plan)
	p.skipped(plan.Skipped)
	p.groups(plan)
	if n := len(plan.InTheWay()); n > 0 {
		p.line("  in the way: %s, see below", count(n, "problem"))
	} else {
		p.line("  nothing is in the way")
	}
}

func (p *printer) topics(plan *preflight.FlowPlan) {
	var behind int64
	for i := range plan.Topics {
		behind += plan.Topics[i].Behind
	}
	p.line("  topics    %d selected, at most %d records to copy", len(plan.Topics), behind)
	for i := range plan.Topics {
		t := &plan.Topics[i]
		p.line("    %-9s %s", verdict(t), what(t))
		p.settings(t)
		for _, left := range t.Left {
			p.line("              %s is not copied: %s", orWord(left.Key, "settings"), left.Why)
		}
	}
}

// ownSettings are given to every new topic, so that they share a line: records keep their
// timestamps, and none is refused for its timestamp.
const ownSettings = "message.timestamp."

// settings prints what would be set on a topic, and what the flow has set on it before.
func (p *printer) settings(t *preflight.TopicPlan) {
	var own, before []string
	for _, key := range slices.Sorted(maps.Keys(t.Set)) {
		was, altered := t.From[key]
		switch {
		case altered:
			p.line("              %s: %s -> %s", key, orWord(was, `""`), t.Set[key])
		case strings.HasPrefix(key, ownSettings):
			own = append(own, key+"="+t.Set[key])
		default:
			p.line("              %s: %s", key, t.Set[key])
		}
	}
	for _, b := range t.Kept {
		was, then := orWord(b.Was, `""`), "was %s"
		if b.Default {
			was = "not set"
		}
		if b.Source {
			then = "%s on the source"
		}
		before = append(before, fmt.Sprintf("%s=%s (%s)", b.Key, b.Set, fmt.Sprintf(then, was)))
	}
	if len(own) > 0 {
		p.line("              while it is mirrored: %s", strings.Join(own, ", "))
	}
	if len(before) > 0 {
		p.line("              set by this flow, until it ends: %s", strings.Join(before, ", "))
	}
}

// verdict is one word for what would happen to a topic.
func verdict(t *preflight.TopicPlan) string {
	switch {
	case t.Stop != nil:
		return "STOP"
	case len(t.Stops) > 0:
		return "STOP part"
	case t.Create:
		return "create"
	case !t.Nothing():
		return "alter"
	}
	return "as is"
}

// renamed is a name on the source, with what it is called on the target where that is
// another one.
func renamed(source, target string) string {
	if source == target {
		return source
	}
	return source + " as " + target
}

func what(t *preflight.TopicPlan) string {
	text := renamed(t.Source, t.Target)
	if t.Stop != nil {
		return text + ": " + t.Stop.Reason
	}
	partitions := count(t.PartitionsTo, "partition")
	switch {
	case t.Create:
		partitions += fmt.Sprintf(", replication factor %d", t.ReplicationFactor)
	case t.PartitionsFrom != t.PartitionsTo:
		partitions = fmt.Sprintf("partitions %d -> %d", t.PartitionsFrom, t.PartitionsTo)
	}
	text += ", " + partitions
	switch {
	case t.Behind == 0:
		text += ", nothing to copy"
	case t.Begun:
		text += fmt.Sprintf(", at most %d more records", t.Behind)
	default:
		text += fmt.Sprintf(", at most %d records", t.Behind)
	}
	return text
}

// skipped prints what is left out; many internal topics have one reason.
func (p *printer) skipped(skipped []topics.Skip) {
	by := map[string][]string{}
	for _, s := range skipped {
		by[s.Why] = append(by[s.Why], s.Topic)
	}
	if len(skipped) > 0 {
		p.line("  left out  %s", count(len(skipped), "topic"))
	}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		p.line("    %s: %s", why, few(by[why]))
	}
}

// leftOut prints what the patterns choose and a rule leaves out, by reason.
func (p *printer) leftOut(list []inspect.LeftOut) {
	by := map[[2]string][]string{}
	var reasons [][2]string
	for _, l := range list {
		reason := [2]string{l.Kind, l.Why}
		if by[reason] == nil {
			reasons = append(reasons, reason)
		}
		by[reason] = append(by[reason], l.Name)
	}
	for _, reason := range reasons {
		names := by[reason]
		p.line("%s", wrap(fmt.Sprintf("  left out  %s: %s: %s", count(len(names), reason[0]), reason[1], few(names)),
			"            "))
	}
}

// few names some, and counts the others.
func few(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (p *printer) groups(plan *preflight.FlowPlan) {
	p.line("  groups    %d of %d follow", len(plan.Groups), plan.GroupsListed)
	p.leftOut(slices.DeleteFunc(slices.Clone(plan.LeftOut), func(l inspect.LeftOut) bool {
		return l.Kind != policy.Groups // topics are among plan.Skipped
	}))
	for i := range plan.Groups {
		g := &plan.Groups[i]
		if g.Err != nil {
			p.line("    STOP      %s: cannot be read", g.Group)
			continue
		}
		p.line("    %-9s %s, %s", "follow", renamed(g.Group, g.Target), count(g.Positions, "position"))
		for _, why := range slices.Sorted(maps.Keys(g.Alone)) {
			p.line("              %s left alone: %s", count(g.Alone[why], "position"), why)
		}
	}
}

func orWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}
