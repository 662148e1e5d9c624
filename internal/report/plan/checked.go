package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"replicator/internal/terminal"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// File is a configuration that is valid.
type File struct {
	Path     string
	Clusters map[string]kafka.Config
	Flows    []settings.Config
	Listen   string // host:port; "": nothing is served
	Open     bool   // to other machines, whoever asks
}

// Checked says what a valid configuration asks for.
func Checked(p *terminal.Printer, f *File) {
	p.Line("%s is valid: %s, %s", f.Path, terminal.Count(len(f.Clusters), "cluster"), terminal.Count(len(f.Flows), "flow"))
	for i := range f.Flows {
		f := &f.Flows[i]
		p.Line("")
		p.Line("flow %s", f.Name())
		p.Line("  topics    %s", selection(f.Topics, f.ExcludeTopics))
		p.Line("  groups    %s", selection(f.Groups, f.ExcludeGroups))
		p.Line("  names     %s", naming(f))
		p.Line("  delivery  %s, partitions without progress start at %s", f.Delivery, f.Start)
		lane, why := f.LaneInUse()
		p.Line("  lane      %s: %s", lane, why)
		p.Line("  ledger    %s on %s, %s", f.LedgerTopic(), f.To, terminal.Count(f.Shards, "shard"))
	}
	untuned(p, f)
	p.Line("")
	if f.Listen == "" {
		p.Line("page, metrics and health are not served")
		return
	}
	p.Line("a page at http://%s/, metrics at /metrics, health at /healthz and /readyz", f.Listen)
	if f.Open {
		p.Note(fmt.Sprintf("! warning: whoever reaches %s is answered: names of topics and groups, offsets and metrics are "+
			"shown without TLS and without a login", f.Listen),
			"listen on 127.0.0.1, or give http.web_config a file of TLS and logins; see docs/page.md")
	}
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
func untuned(p *terminal.Printer, file *File) {
	for _, name := range slices.Sorted(maps.Keys(file.Clusters)) {
		var flows []string
		for i := range file.Flows {
			f := &file.Flows[i]
			if lane, _ := f.LaneInUse(); lane == settings.LaneBatch && (f.From == name || f.To == name) {
				flows = append(flows, f.Name())
			}
		}
		cluster := file.Clusters[name]
		if given := cluster.Tuning(); len(given) > 0 && len(flows) > 0 {
			p.Line("")
			p.Line("%s",
				terminal.Wrap(fmt.Sprintf("note: cluster %s: only the record lane copies by %s; without effect in the batch "+
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
