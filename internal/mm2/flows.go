package mm2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
)

// flow is one direction that the file enables.
type flow struct {
	in       *importer
	from, to *cluster
	by       *setting // what enables it
	config   settings.Config
	origin   map[string]string // comment by key of the written flow
	defaults []Finding
}

func (f *flow) name() string { return f.from.name + "->" + f.to.name }

// findFlows makes the flows that are enabled and asked for.
func (in *importer) findFlows() {
	for _, from := range in.clusters {
		for _, to := range in.clusters {
			f := &flow{in: in, from: from, to: to, config: settings.DefaultConfig(), origin: map[string]string{}}
			if f.by = f.effective("enabled"); from == to || f.by == nil {
				continue
			}
			// MirrorMaker takes anything but true for no, where other switches refuse it.
			if !strings.EqualFold(f.by.value, "true") {
				continue
			}
			in.enabled = append(in.enabled, f.name())
			if len(in.options.Flows) > 0 && !slices.Contains(in.options.Flows, f.name()) {
				continue
			}
			in.flows = append(in.flows, f)
		}
	}
	for _, name := range in.options.Flows {
		if !slices.Contains(in.enabled, name) {
			in.bad(nil, "enables no flow %s; it enables %s", name, orNone(in.enabled))
		}
	}
	for _, s := range in.settings {
		if len(in.enabled) == 0 && s.flow != "" && s.rest == "enabled" && !strings.EqualFold(s.value, "false") {
			in.bad(s, "%q is no to MirrorMaker 2, which takes only true as the whole value for yes", s.value)
		}
	}
	if len(in.flows) == 0 && len(in.problems) == 0 {
		in.bad(nil, "enables no flow; a line such as %s->%s.enabled = true does", in.clusters[0].name, in.clusters[1].name)
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// used are the clusters of the flows, in the file's order.
func (in *importer) used() []*cluster {
	var used []*cluster
	for _, c := range in.clusters {
		if slices.ContainsFunc(in.flows, func(f *flow) bool { return f.from == c || f.to == c }) {
			used = append(used, c)
		}
	}
	return used
}

// effective is the setting of a connector's key that counts for the flow: its own,
// else the bare one, else nil.
func (f *flow) effective(key string) *setting {
	if s := f.in.find(f.name() + "." + key); s != nil {
		return s
	}
	if s := f.in.find(key); s != nil && s.cluster == "" {
		return s
	}
	return nil
}

// is answers a switch without judging its value.
func (f *flow) is(key string, byDefault bool) bool {
	if s := f.effective(key); s != nil {
		return strings.EqualFold(s.trimmed(), "true")
	}
	return byDefault
}

// emptied: the key is there, without a value.
func (f *flow) emptied(key string) bool {
	s := f.effective(key)
	return s != nil && s.trimmed() == ""
}

func (f *flow) value(key string) string {
	if s := f.effective(key); s != nil {
		return s.trimmed()
	}
	return ""
}

// boolean reads a switch; ok is false after a problem.
func (f *flow) boolean(s *setting, byDefault bool) (value, ok bool) {
	switch text := strings.ToLower(s.trimmed()); text {
	case "true", "false":
		return text == "true", true
	default:
		f.in.bad(s, "%q is unknown; MirrorMaker 2 takes true or false", s.shown())
		return byDefault, false
	}
}

func (f *flow) integer(s *setting) (value int, ok bool) {
	value, err := strconv.Atoi(s.trimmed())
	if err != nil {
		f.in.bad(s, "%q is not a whole number", s.shown())
	}
	return value, err == nil
}

// mapped notes where a key of the written flow comes from.
func (f *flow) mapped(key string, s *setting) Verdict {
	f.origin[key] = fmt.Sprintf("line %d", s.line)
	return Verdict{Mapped, key + " of " + f.name()}
}

// unlike adds a default of MirrorMaker's that is done otherwise here.
func (f *flow) unlike(class Class, key, format string, args ...any) {
	f.defaults = append(f.defaults, Finding{Key: key, Class: class, Text: fmt.Sprintf(format, args...)})
}

// interval maps whole seconds if they are in the range that is accepted.
func (f *flow) interval(s *setting, key string, into *time.Duration) Verdict {
	const longest = time.Hour // what the engine takes; a second, the unit, is never too short
	seconds, ok := f.integer(s)
	if !ok {
		return Verdict{LeftOut, ""}
	}
	normal, d := *into, time.Duration(seconds)*time.Second
	if seconds < 1 || seconds > int(longest/time.Second) {
		return Verdict{NoEquivalent, fmt.Sprintf("%s is 1s to %s here; the default stays, %s", key, short(longest),
			short(normal))}
	}
	*into = d
	v := f.mapped(key, s)
	v.Text += fmt.Sprintf("; the default here is %s", short(normal))
	return v
}

// patterns maps a list of patterns.
func (f *flow) patterns(s *setting, key string, into *[]string) Verdict {
	if strings.Contains(s.value, "${") {
		f.in.bad(s, "is read by a config provider, whose answer is not known here; write the patterns themselves")
		return Verdict{LeftOut, ""}
	}
	written, why := patterns(s.value)
	if why != "" {
		f.in.bad(s, "%s", why)
	}
	*into = written
	return f.mapped(key, s)
}

// groupsFollow: MirrorMaker commits groups on the target only where all three are on.
func (f *flow) groupsFollow() bool {
	return f.is("sync.group.offsets.enabled", false) && f.is("emit.checkpoints.enabled", true) &&
		f.is("emit.offset-syncs.enabled", true)
}

// naming is what the flow's replication policy does to names. Without an alias and
// a separator the default policy puts nothing before them.
func (f *flow) naming() (naming policy.Naming, known bool) {
	class := f.value("replication.policy.class")
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "", "DefaultReplicationPolicy":
		if f.emptied("source.cluster.alias") && f.emptied("replication.policy.separator") {
			return policy.Identity, true
		}
		return policy.Prefix, true
	case "IdentityReplicationPolicy", "LegacyReplicationPolicy":
		return policy.Identity, true
	}
	return policy.Identity, false
}

// nothingBefore: neither an alias nor a separator stands before a topic's name.
func (f *flow) nothingBefore(s *setting) Verdict {
	f.mapped("naming", s)
	return Verdict{Mapped, "naming: identity of " + f.name() + ", since alias and separator are both empty"}
}

// sourceAlias is what MirrorMaker puts before the names of topics, in place of the
// source's name. Here that is always the name of the cluster, so the cluster gets it.
func sourceAlias(f *flow, s *setting) Verdict {
	alias := s.trimmed()
	naming, _ := f.naming()
	switch {
	case alias == f.from.name:
		return Verdict{LeftOut, "it is the name of the cluster anyway"}
	case alias == "" && naming == policy.Identity && f.effective("replication.policy.class") == nil:
		return f.nothingBefore(s)
	case naming == policy.Identity:
		return Verdict{LeftOut, "topics keep their names, so no alias stands before them"}
	case alias == "":
		f.in.bad(s, "is empty, so that MirrorMaker puts only the separator before the names of topics, which cannot be "+
			"done here; with an empty replication.policy.separator as well they keep their names")
		return Verdict{LeftOut, ""}
	}
	if why := f.from.rename(alias, f); why != "" {
		f.in.bad(s, "puts %q before the topics of %s, but %s. Import one flow at a time (--flow)", alias, f.name(), why)
	}
	return Verdict{Mapped, fmt.Sprintf("the cluster is called %s, so that the topics of %s are called %s<topic> as before",
		printable(alias), f.name(), printable(alias+f.separator()))}
}

func (f *flow) separator() string {
	if s := f.effective("replication.policy.separator"); s != nil {
		return s.trimmed()
	}
	return settings.DefaultConfig().Separator
}

// finish sets what follows from several keys, or from a missing one.
func (f *flow) finish() {
	f.config.Naming, _ = f.naming()
	if f.origin["naming"] == "" {
		f.origin["naming"] = "MirrorMaker's default"
	}
	if !f.groupsFollow() {
		f.config.Groups, f.config.ExcludeGroups = []string{}, nil
		f.origin["groups"] = "MirrorMaker commits no groups here; take this line out to let them follow"
		if f.effective("sync.group.offsets.enabled") == nil {
			f.unlike(Mapped, "sync.group.offsets.enabled", "false: no group is committed on the target, written as groups: []; "+
				"take that line out to let groups follow exactly")
		}
	}
	if f.is("sync.topic.acls.enabled", true) && f.effective("sync.topic.acls.enabled") == nil {
		f.unlike(NoEquivalent, "sync.topic.acls.enabled", "true: %s", noACLs)
	}
	if f.effective("replication.factor") == nil {
		f.unlike(LeftOut, "replication.factor",
			"2: topics get the source's factor here; set replication_factor to change that")
	}
	if f.effective("emit.checkpoints.enabled") == nil {
		f.unlike(NoEquivalent, "emit.checkpoints.enabled", "true: %s", noCheckpoints)
	}
	if f.effective("emit.heartbeats.enabled") == nil {
		f.unlike(LeftOut, "emit.heartbeats.enabled", "true: %s", noHeartbeats)
	}
	f.start()
}

// start maps where partitions begin, from the consumer's settings in MirrorMaker's
// order of precedence.
func (f *flow) start() {
	const reset = "auto.offset.reset"
	var counted *setting
	for _, key := range []string{
		f.name() + ".source.consumer." + reset, f.from.name + ".consumer." + reset, f.name() + ".consumer." + reset,
	} {
		s := f.in.find(key)
		if s == nil || s.kind != client {
			continue
		}
		v := Verdict{Class: LeftOut}
		if counted != nil {
			v.Text = fmt.Sprintf("line %d comes first", counted.line)
		} else {
			switch strings.ToLower(s.trimmed()) {
			case "latest":
				f.config.Start = settings.Latest
				v = f.mapped("start", s)
			case "earliest":
				v = f.mapped("start", s)
			default:
				v = Verdict{NoEquivalent, "start is earliest, latest or a time; a position that is gone is always reported"}
			}
		}
		if counted == nil {
			counted = s
		}
		s.vote(f.name(), v)
	}
}

// validate lets the engine look at the flows as they would be written.
func (in *importer) validate() {
	flows := make([]settings.Config, len(in.flows))
	for i, f := range in.flows {
		f.config.From, f.config.To = f.from.newName(), f.to.newName() // all flows have been judged, and with them the names
		flows[i] = f.config
	}
	settings.Validate(flows, func(i int, path, format string, args ...any) {
		f := in.flows[i]
		key, _, _ := strings.Cut(path, "[")
		s := f.by
		for _, name := range []string{settingOf[key], aliasOf[key]} {
			if e := f.effective(name); name != "" && e != nil {
				s = e
				break
			}
		}
		if key == "naming" {
			in.bad(f.by, "%s", f.circle())
			return
		}
		in.bad(s, "would be refused as %s of %s: %s", key, f.name(), fmt.Sprintf(format, args...))
	})
	for _, f := range in.flows {
		if broker := f.from.shares(f.to); broker != "" {
			in.bad(f.by, "%s and %s are one cluster, both have broker %s: what the flow writes would be what it reads, for ever",
				f.from.name, f.to.name, broker)
		}
	}
	for _, c := range in.used() {
		c.validate()
	}
}

// circle tells what to do about flows that keep topic names all the way round.
func (f *flow) circle() string {
	return fmt.Sprintf("closes a circle of flows that keep topic names, in which records would go round for ever. "+
		"Import one direction (--flow %s), or let this one put a prefix before its topics "+
		"(%s.replication.policy.class = %s). Only where the directions have no topic in common "+
		"may each be imported into a file of its own, and run by a daemon of its own", f.name(), f.name(), defaultPolicy)
}

const defaultPolicy = "org.apache.kafka.connect.mirror.DefaultReplicationPolicy"

// settingOf names MirrorMaker's key for one of a written flow; aliasOf its former name.
var (
	settingOf = map[string]string{
		"topics": "topics", "exclude_topics": "topics.exclude", "groups": "groups", "exclude_groups": "groups.exclude",
		"exclude_configs": "config.properties.exclude", "separator": "replication.policy.separator",
		"replication_factor": "replication.factor", "refresh_interval": "refresh.topics.interval.seconds",
		"group_sync_interval": "sync.group.offsets.interval.seconds",
		"commit_interval":     "transaction.boundary.interval.ms",
	}
	aliasOf = map[string]string{
		"exclude_topics": "topics.blacklist", "exclude_groups": "groups.blacklist",
		"exclude_configs": "config.properties.blacklist",
	}
)
