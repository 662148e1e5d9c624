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

// rule carries a setting out on a flow and says what became of it.
type rule func(f *flow, s *setting) Verdict

func leave(text string) rule { return func(*flow, *setting) Verdict { return Verdict{LeftOut, text} } }

func none(text string) rule {
	return func(*flow, *setting) Verdict { return Verdict{NoEquivalent, text} }
}

// unless: left out with the value that changes nothing, without equivalent with another.
func unless(harmless, left, none string) rule {
	return func(_ *flow, s *setting) Verdict {
		for _, value := range strings.Split(harmless, "|") {
			if strings.EqualFold(s.trimmed(), value) {
				return Verdict{LeftOut, left}
			}
		}
		return Verdict{NoEquivalent, none}
	}
}

const (
	noACLs = "ACLs are not copied; create on the target those that applications need (kafka-acls), and set " +
		"sync.topic.acls.enabled = false to say so"
	noCheckpoints = "no checkpoints are written for RemoteClusterUtils; 'replicator offsets' translates any position " +
		"exactly, and groups are committed on the target where they follow"
	noHeartbeats = "metrics and 'replicator status' tell whether a flow lives; no heartbeats are written"
	ownTopics    = "there is no such topic here; the ledger is the only one, made with the target's own factor"
	exactMap     = "the map of offsets is exact and holds every record; there is nothing to space or to store apart"
	noTransform  = "records are never changed; transform them before or after, or leave this flow to Connect"
	always       = "refreshing cannot be turned off: new topics, partitions and groups are looked for every " +
		"refresh_interval; name single topics to hold others off"
	ownRetries     = "what fails is tried again by itself, ever more rarely, and told in status, metrics and log"
	shardsInstead  = "a flow's work is dealt out in 8 shards, which all replicas share; shards changes their number"
	madeAlike      = "topics are made as on the source; alter them on the target, where extra settings stay"
	alongRefresh   = "settings are compared whenever topics are looked for, every refresh_interval"
	ownNames       = "names and classes of Connect's connectors; there are none here"
	notNeededTimer = "there is no loop that would need it"
)

// connectorRules are the keys of MirrorMaker's connectors, in a flow or bare.
var connectorRules = map[string]rule{
	"enabled": func(f *flow, s *setting) Verdict { return Verdict{Mapped, "flow " + f.name()} },
	"topics":  func(f *flow, s *setting) Verdict { return f.patterns(s, "topics", &f.config.Topics) },

	"topics.exclude":              topicsExcluded,
	"topics.blacklist":            older("topics.exclude", topicsExcluded),
	"groups":                      groupRule(groupsChosen),
	"groups.exclude":              groupRule(groupsExcluded),
	"groups.blacklist":            older("groups.exclude", groupRule(groupsExcluded)),
	"config.properties.exclude":   configsExcluded,
	"config.properties.blacklist": older("config.properties.exclude", configsExcluded),

	"replication.policy.class": func(f *flow, s *setting) Verdict {
		if _, known := f.naming(); !known {
			f.origin["naming"] = fmt.Sprintf("NO EQUIVALENT: line %d names topics by %s; here they keep their names",
				s.line, printable(s.trimmed()))
			return Verdict{NoEquivalent, fmt.Sprintf("how %s names topics is not known here; the flow is written with naming: "+
				"identity, which keeps their names. Where it puts <from><separator> before them, use naming: prefix", s.trimmed())}
		}
		return f.mapped("naming", s)
	},
	"replication.policy.separator": func(f *flow, s *setting) Verdict {
		if naming, _ := f.naming(); naming == policy.Identity && f.emptied("source.cluster.alias") {
			return f.nothingBefore(s)
		} else if naming == policy.Identity {
			return Verdict{LeftOut, "topics keep their names, so nothing is separated"}
		}
		f.config.Separator = s.trimmed()
		return f.mapped("separator", s)
	},
	"replication.policy.internal.topic.separator.enabled": leave("it names MirrorMaker's own topics"),
	"replication.factor": func(f *flow, s *setting) Verdict {
		n, ok := f.integer(s)
		if ok && n < 1 {
			return Verdict{NoEquivalent, "the broker's default factor is not used; topics get the source's " +
				"(replication_factor: 0)"}
		}
		f.config.ReplicationFactor = n
		return f.mapped("replication_factor", s)
	},

	"sync.topic.configs.enabled": func(f *flow, s *setting) Verdict {
		f.config.SyncTopicConfigs, _ = f.boolean(s, true)
		return f.mapped("sync_topic_configs", s)
	},
	"sync.topic.configs.interval.seconds": leave(alongRefresh),
	"sync.topic.acls.enabled":             unless("false", "ACLs are never copied", noACLs),
	"sync.topic.acls.interval.seconds":    none(noACLs),
	"use.defaults.from": unless("target", "what the source leaves at its default is left at the target's, but retention, "+
		"cleanup and message size are compared by what is in effect", "only retention, cleanup and message size follow the "+
		"source's defaults; set others on the target"),

	"refresh.topics.enabled":          unless("true", "topics are always looked for", always),
	"refresh.groups.enabled":          unless("true", "groups are always looked for", always),
	"refresh.topics.interval.seconds": refresh("refresh.groups.interval.seconds"),
	"refresh.groups.interval.seconds": refresh("refresh.topics.interval.seconds"),
	"sync.group.offsets.enabled": func(f *flow, s *setting) Verdict {
		on, _ := f.boolean(s, false)
		if on && !f.groupsFollow() {
			return Verdict{LeftOut, "without checkpoints or offset syncs MirrorMaker commits no groups either; written as " +
				"groups: []"}
		}
		written := f.origin["groups"]
		v := f.mapped("groups", s)
		if written != "" { // the line that chooses them says more
			f.origin["groups"] = written
		}
		return v
	},
	"sync.group.offsets.interval.seconds": groupRule(func(f *flow, s *setting) Verdict {
		return f.interval(s, "group_sync_interval", &f.config.GroupSyncInterval)
	}),
	"emit.checkpoints.enabled":             unless("false", "no checkpoints are written", noCheckpoints),
	"emit.checkpoints.interval.seconds":    leave("no checkpoints are written; see sync.group.offsets.interval.seconds"),
	"checkpoints.topic.replication.factor": leave(ownTopics),
	"checkpoints.topic.retention.ms":       leave(ownTopics),
	"emit.heartbeats.enabled":              leave(noHeartbeats),
	"emit.heartbeats.interval.seconds":     leave(noHeartbeats),
	"heartbeats.topic.replication.factor":  leave(noHeartbeats),
	"heartbeats.topic.retention.ms":        leave(noHeartbeats),
	"heartbeats.replication.enabled": unless("true", "a source's topic heartbeats is copied like any other that is chosen",
		"a source's topic heartbeats is copied if it is chosen; put it into exclude_topics to leave it out"),
	"emit.offset-syncs.enabled":             leave(exactMap),
	"offset-syncs.topic.replication.factor": leave(ownTopics),
	"offset-syncs.topic.location":           leave("nothing is ever written to the source; the ledger is on the target"),
	"offset-syncs.topic.retention.ms":       leave(ownTopics),
	"offset.syncs.topic.retention.ms":       leave(ownTopics),
	"offset.syncs.topic.replication.factor": leave(ownTopics),
	"offset.lag.max":                        leave(exactMap),

	"topic.filter.class":           filterClass("DefaultTopicFilter", "topics and exclude_topics"),
	"group.filter.class":           filterClass("DefaultGroupFilter", "groups and exclude_groups"),
	"config.property.filter.class": filterClass("DefaultConfigPropertyFilter", "exclude_configs"),
	"forwarding.admin.class": func(_ *flow, s *setting) Verdict {
		if strings.HasSuffix(s.trimmed(), ".ForwardingAdmin") {
			return Verdict{LeftOut, "MirrorMaker's default"}
		}
		return Verdict{NoEquivalent, "topics are made on the target by Kafka's own protocol; where that is not allowed, " +
			"make them beforehand ('replicator check --connect' lists them)"}
	},

	"exactly.once.support": leave("delivery is exactly_once unless the flow says at_least_once"),
	"transaction.boundary": unless("poll|interval", "a transaction gathers records for commit_interval",
		"a transaction gathers records for commit_interval"),
	"transaction.boundary.interval.ms": boundary,

	"tasks.max":                leave(shardsInstead),
	"tasks.max.enforce":        leave(shardsInstead),
	"admin.timeout.ms":         leave(ownRetries),
	"consumer.poll.timeout.ms": leave(notNeededTimer),
	"name":                     leave(ownNames),
	"connector.class":          leave(ownNames),
	"source.cluster.alias":     sourceAlias,
	"target.cluster.alias":     leave("the name of the cluster is taken from clusters"),
	"task.index":               leave(ownNames),
	"task.assigned.partitions": leave(shardsInstead),
	"task.assigned.groups":     leave(shardsInstead),
	"transforms":               unless("", "empty", noTransform),
	"predicates":               unless("", "empty", noTransform),
	"config.action.reload":     leave("the environment is read at the start; restart the daemon after a change"),
	"errors.tolerance": unless("none", "nothing is ever skipped", "nothing is ever skipped: what cannot be copied "+
		"stops its partition with a reason and a remedy"),
	"errors.retry.timeout":          leave(ownRetries),
	"errors.retry.delay.max.ms":     leave(ownRetries),
	"errors.log.enable":             leave(ownRetries),
	"errors.log.include.messages":   leave(ownRetries),
	"topic.creation.groups":         none(madeAlike),
	"offsets.storage.topic":         leave(ownTopics),
	"metric.reporters":              leave("metrics are served for Prometheus at http.listen"),
	"use.incremental.alter.configs": leave("settings are always altered incrementally, and only where they differ"),
	"add.source.alias.to.metrics":   leave("metrics always name the flow"),
}

// connectorFamilies are beginnings of connector keys whose rest is free.
var connectorFamilies = []string{"transforms.", "predicates.", "topic.creation.", "replication.policy.", "errors."}

// familyVerdict is for keys of connectorFamilies that no rule has.
func familyVerdict(key string) Verdict {
	switch {
	case strings.HasPrefix(key, "transforms."), strings.HasPrefix(key, "predicates."):
		return Verdict{NoEquivalent, noTransform}
	case strings.HasPrefix(key, "topic.creation."):
		return Verdict{NoEquivalent, madeAlike}
	case strings.HasPrefix(key, "errors."):
		return Verdict{LeftOut, ownRetries}
	}
	return Verdict{NoEquivalent, "a setting of a replication policy that is not known here"}
}

// older is a key's former name, which counts only where the present one is missing.
func older(present string, r rule) rule {
	return func(f *flow, s *setting) Verdict {
		if f.effective(present) != nil {
			return Verdict{LeftOut, present + " is given as well, and comes first"}
		}
		return r(f, s)
	}
}

// groupRule is for what only counts where groups are committed on the target.
func groupRule(r rule) rule {
	return func(f *flow, s *setting) Verdict {
		if !f.groupsFollow() {
			return Verdict{LeftOut, "MirrorMaker commits no groups on the target here (sync.group.offsets.enabled)"}
		}
		return r(f, s)
	}
}

func filterClass(usual, instead string) rule {
	return func(_ *flow, s *setting) Verdict {
		class := s.trimmed()
		if class[strings.LastIndexByte(class, '.')+1:] == usual {
			return Verdict{LeftOut, "MirrorMaker's default; " + instead}
		}
		return Verdict{NoEquivalent, fmt.Sprintf("what %s does is not known here; say it with %s", class, instead)}
	}
}

func groupsChosen(f *flow, s *setting) Verdict { return f.patterns(s, "groups", &f.config.Groups) }

func topicsExcluded(f *flow, s *setting) Verdict {
	v := f.patterns(s, "exclude_topics", &f.config.ExcludeTopics)
	v.Text += "; internal topics and those named .replica are left out anyway, unless topics lists one by its whole name"
	return v
}

func groupsExcluded(f *flow, s *setting) Verdict {
	v := f.patterns(s, "exclude_groups", &f.config.ExcludeGroups)
	v.Text += "; console-consumer-, connect- and __ groups are left out anyway, unless groups lists one by its whole name"
	return v
}

func configsExcluded(f *flow, s *setting) Verdict {
	v := f.patterns(s, "exclude_configs", &f.config.ExcludeConfigs)
	if slices.Equal(f.config.ExcludeConfigs, settings.DefaultConfig().ExcludeConfigs) {
		v.Text += ", which is the default here as well"
	}
	return v
}

func boundary(f *flow, s *setting) Verdict {
	ms, ok := f.integer(s)
	d := time.Duration(ms) * time.Millisecond
	switch {
	case !ok:
		return Verdict{LeftOut, ""}
	case !strings.EqualFold(f.value("transaction.boundary"), "interval"):
		return Verdict{LeftOut, "it counts only with transaction.boundary = interval"}
	case d < 10*time.Millisecond || d > 30*time.Second:
		return Verdict{NoEquivalent, "commit_interval is 10ms to 30s here; the default stays, 500ms"}
	}
	f.config.CommitInterval = d
	return f.mapped("commit_interval", s)
}

// refresh: topics and groups are looked for in one interval here, the shorter one.
func refresh(other string) rule {
	return func(f *flow, s *setting) Verdict {
		mine, ok := f.integer(s)
		if o := f.effective(other); ok && o != nil {
			theirs, err := strconv.Atoi(o.trimmed())
			if err == nil && theirs > 0 && (theirs < mine || theirs == mine && o.line < s.line) {
				return Verdict{LeftOut, fmt.Sprintf("refresh_interval is for topics and groups alike; line %d has the shorter "+
					"one", o.line)}
			}
		}
		return f.interval(s, "refresh_interval", &f.config.RefreshInterval)
	}
}
