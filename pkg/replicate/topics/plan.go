package topics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Mirrored is a topic that the policy selects, as it stands on both clusters.
type Mirrored struct {
	Source, Target     string        // its names
	SourceID, TargetID chunk.TopicID // a zero TargetID: not there yet, wait
	Partitions         int           // of the source topic; 0 where it cannot be described
	TargetPartitions   int           // fewer than Partitions: the others are not there yet, wait
	TargetMaxBytes     int64         // the largest batch that the target topic takes; 0: not known

	// Waits is what has to happen first, as it will in a moment: copying waits. What does not come becomes a Stop.
	Waits string

	// Stop is why the topic is not to be copied now, nil when it can be. It holds
	// for all partitions: the number in its Partition is 0 and means nothing.
	Stop *chunk.Stop
}

// Change is what has to be done so that the target topic is what the source
// topic asks for.
type Change struct {
	Mirrored
	Create            bool
	PartitionsFrom    int               // 0 for a topic to be created
	PartitionsTo      int               // equal to PartitionsFrom when there is nothing to do
	ReplicationFactor int               // of a topic to be created, else 0
	Set               map[string]string // settings to set on the target
	From              map[string]string // their values now; nothing for a topic to be created
	Left              []Left            // what the target does not get, by key

	created bool        // it was created by this refresh, and is looked at a second time
	refused *chunk.Stop // for a setting that the target does not take: it gets the others before it stops
}

// Nothing says that the target topic is as it should be.
func (c *Change) Nothing() bool { return !c.Create && !c.grows() && len(c.Set) == 0 }

func (c *Change) grows() bool { return !c.Create && c.PartitionsTo > c.PartitionsFrom }

// pair is one topic on both sides; target is nil when it is not there.
type pair struct {
	Source, Target string
	blocked        string // why the policy cannot name it on the target; "": it can
	source, target *side
}

// rules are what plan goes by beside the topics themselves.
type rules struct {
	ReplicationFactor int // 0: the source's
	Brokers           int // of the target
	SyncConfigs       bool
	Watched           bool // see Config
	Exclude           []*regexp.Regexp
	From, To          kafka.Config             // name the clusters in reasons
	CarriesBack       func(target string) bool // see Config
}

// plan says for each pair what is to be done, in the order of the source names.
func plan(pairs []pair, r rules) []Change {
	changes := make([]Change, 0, len(pairs))
	for _, p := range pairs {
		changes = append(changes, r.change(p))
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Source, b.Source) })
	return changes
}

func (r rules) change(p pair) Change {
	c := Change{Mirrored: Mirrored{Source: p.Source, Target: p.Target,
		SourceID: p.source.ID, Partitions: p.source.Partitions}}
	c.PartitionsTo = p.source.Partitions
	if c.Stop = r.sourceStop(p); c.Stop != nil {
		if p.target != nil { // nothing is known to compare it with
			c.TargetID, c.TargetPartitions = p.target.ID, p.target.Partitions
			c.PartitionsFrom = p.target.Partitions
		}
		c.PartitionsTo = c.PartitionsFrom
		return c
	}
	if p.blocked != "" {
		c.Stop = stop(p.Source, chunk.StopTopic, p.blocked, policy.BlockedFix, nil)
		c.PartitionsTo = 0
		return c
	}
	if p.target == nil {
		c.Create = true
		c.ReplicationFactor = replicationFactor(r.ReplicationFactor, p.source.Replicas, r.Brokers)
		if p.source.SettingsErr != nil {
			c.Stop = r.absent(p)
			return c
		}
		c.Set, c.Left = settingsForCreation(p.source.Settings, r.Exclude)
		return c
	}
	c.TargetID, c.TargetPartitions = p.target.ID, p.target.Partitions
	c.PartitionsFrom = p.target.Partitions
	if c.Stop = r.targetStop(p); c.Stop != nil {
		c.PartitionsTo = c.PartitionsFrom
		return c
	}
	r.compareSettings(p, &c)
	return c
}

// compareSettings fills in what is to be set on an existing target topic.
func (r rules) compareSettings(p pair, c *Change) {
	switch {
	case denied(p.target.SettingsErr) && r.Watched && !r.SyncConfigs:
		c.Left = []Left{{"", fmt.Sprintf("cluster %s does not let them be read; should it not take every record unchanged, "+
			"that shows when it is written", r.To.Name)}}
		return
	case p.target.SettingsErr != nil:
		c.Stop = r.unreadable(p, r.To, p.Target, p.target.SettingsErr)
		return
	case r.SyncConfigs && p.source.SettingsErr != nil:
		c.Stop = r.unreadable(p, r.From, p.Source, p.source.SettingsErr)
		return
	}
	var want map[string]string
	var excluded, unknown []Left
	if r.SyncConfigs {
		want, excluded = wanted(p.source.Settings, r.Exclude, true)
	}
	c.Set, c.From, unknown = difference(p.target.Settings, want)
	c.Left = append(excluded, unknown...)
	if !r.SyncConfigs {
		r.leaveAlone(c)
	}
	c.TargetMaxBytes = number(p.target.Settings[maxMessageBytes].Value)
	if raised, ok := c.Set[maxMessageBytes]; ok {
		c.TargetMaxBytes = number(raised)
	}
	slices.SortStableFunc(c.Left, func(a, b Left) int { return strings.Compare(a.Key, b.Key) })
}

// leaveAlone takes the alterations back that sync_topic_configs: false forbids.
// A wrong timestamp type would change every record unseen, which stops the topic;
// a limit refuses single records aloud, which only has to be known.
func (r rules) leaveAlone(c *Change) {
	if value, wrong := c.From[timestampType]; wrong {
		c.Stop = stop(c.Source, chunk.StopTopic,
			fmt.Sprintf("%s of topic %s on cluster %s is %s, which replaces the timestamps of all records",
				timestampType, c.Target, r.To.Name, value),
			fmt.Sprintf("set it to %s there (kafka-configs.sh --alter --entity-type topics), or %s", createTime,
				r.keep(c.Target)), nil)
	}
	for _, key := range sortedKeys(c.Set) {
		c.Left = append(c.Left, Left{key, fmt.Sprintf("stays %s and should be %s: sync_topic_configs is false",
			c.From[key], c.Set[key])})
	}
	c.Set, c.From = nil, nil
}

// keep says how the flow gets to keep the settings of a topic of the target. Of a pair one flow does, on the side to
// which it writes: with the word in both, neither would run.
func (r rules) keep(target string) string {
	if r.CarriesBack == nil || !r.CarriesBack(target) {
		return "set sync_topic_configs: true"
	}
	return fmt.Sprintf("have this flow keep settings in the place of the one in the opposite direction: "+
		"sync_topic_configs: true here, and false in flow %s->%s", r.To.Name, r.From.Name)
}

// sourceStop tells what keeps the source topic from being read.
func (r rules) sourceStop(p pair) *chunk.Stop {
	switch {
	case denied(p.source.Err):
		stop := r.right(p, r.From, "Read", p.Source, p.source.Err) // it holds Describe, which is denied too
		stop.Fix += "; if the topic is gone for good, name it in exclude_topics"
		return stop
	case p.source.Err != nil:
		return stop(p.Source, chunk.StopMissing,
			fmt.Sprintf("cluster %s cannot describe topic %s", r.From.Name, p.Source),
			"look at the brokers' logs if it stays so; it is tried again at every refresh", p.source.Err)
	case p.source.Rights != nil && !p.source.Rights[kmsg.ACLOperationRead]:
		return r.right(p, r.From, "Read", p.Source, nil)
	}
	return nil
}

// targetStop tells what keeps an existing target topic from being written to.
func (r rules) targetStop(p pair) *chunk.Stop {
	switch {
	case denied(p.target.Err):
		return r.right(p, r.To, "Describe", p.Target, p.target.Err)
	case p.target.Err != nil:
		return stop(p.Source, chunk.StopTopic,
			fmt.Sprintf("cluster %s cannot describe topic %s", r.To.Name, p.Target),
			"look at the brokers' logs if it stays so; it is tried again at every refresh", p.target.Err)
	case p.target.Partitions > p.source.Partitions && (r.CarriesBack == nil || !r.CarriesBack(p.Target)):
		return stop(p.Source, chunk.StopPartitions,
			fmt.Sprintf("topic %s has %d partitions on cluster %s and %d on cluster %s", p.Target,
				p.target.Partitions, r.To.Name, p.source.Partitions, r.From.Name),
			fmt.Sprintf("see first whether from and to are exchanged, or the topic on %s is another one of the same name. "+
				"Partitions cannot be taken away: mirror under another name (naming: prefix), leave the topic out "+
				"(exclude_topics), or add partitions to the one on %s, where that fits its keys", r.To.Name, r.From.Name), nil)
	case p.target.Rights != nil && !p.target.Rights[kmsg.ACLOperationWrite]:
		return r.right(p, r.To, "Write", p.Target, nil)
	case p.target.Rights != nil && !p.target.Rights[kmsg.ACLOperationRead]: // for groups, and between our records
		return r.right(p, r.To, "Read", p.Target, nil)
	}
	return nil
}

// replicationFactor is never above the number of brokers: a migration often ends
// on a cluster of another size.
func replicationFactor(configured, source, brokers int) int {
	factor := configured
	if factor == 0 {
		factor = source
	}
	if brokers > 0 {
		factor = min(factor, brokers)
	}
	return max(factor, 1)
}
