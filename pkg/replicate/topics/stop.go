package topics

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

func stop(topic, kind, reason, fix string, err error) *chunk.Stop {
	return &chunk.Stop{Partition: chunk.Partition{Topic: topic}, Kind: kind, Reason: reason, Fix: fix, Err: err}
}

func denied(err error) bool {
	return is(err, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed)
}

// right is the stop for a missing right on a topic of one of the clusters.
func (r rules) right(p pair, on kafka.Config, operation, topic string, err error) *chunk.Stop {
	problem := on.Denied(operation, "topic "+topic, err)
	return stop(p.Source, chunk.StopUnauthorized, problem.What, problem.Fix, err)
}

// unreadable is the stop for a topic whose settings cannot be read.
func (r rules) unreadable(p pair, on kafka.Config, topic string, err error) *chunk.Stop {
	if denied(err) {
		stop := r.right(p, on, "DescribeConfigs", topic, err)
		stop.Fix += fmt.Sprintf("; or look after the settings of topic %s of cluster %s by hand, with "+
			"sync_topic_configs: false and the batch lane", p.Target, r.To.Name)
		return stop
	}
	return stop(p.Source, chunk.StopTopic,
		fmt.Sprintf("cluster %s cannot tell the settings of topic %s", on.Name, topic),
		"look at the brokers' logs if it stays so; it is tried again at every refresh", err)
}

// absent is the stop for a topic that is not on the target and cannot be made there like
// its source. What is missing comes first: where rights cannot be granted, as with hosted
// clusters, the topic can be made by hand.
func (r rules) absent(p pair) *chunk.Stop {
	s := r.unreadable(p, r.From, p.Source, p.source.SettingsErr)
	s.Reason = fmt.Sprintf("topic %s, with %d partitions, is not on cluster %s, and %s", p.Target, p.source.Partitions,
		r.To.Name, s.Reason)
	fix := fmt.Sprintf("create topic %s on cluster %s, with %d partitions", p.Target, r.To.Name, p.source.Partitions)
	if !denied(p.source.SettingsErr) {
		s.Fix = fix + "; or " + s.Fix
		return s
	}
	grant := r.right(p, r.From, "DescribeConfigs", p.Source, p.source.SettingsErr).Fix
	s.Fix = fmt.Sprintf("%s, and the settings that it is to have; or let it be created with the source's: %s", fix, grant)
	return s
}

// verb is a change that was refused, with the right that it needs.
type verb struct {
	what      string
	operation string
	resource  string // before the topic's name
	byHand    func(c *Change) string
}

var (
	creating = verb{"create", "Create", "the cluster or topic ", func(c *Change) string {
		return fmt.Sprintf("create topic %s there by hand, with %d partitions", c.Target, c.PartitionsTo)
	}}
	growing = verb{"add partitions to", "Alter", "topic ", func(c *Change) string {
		return fmt.Sprintf("give topic %s there %d partitions by hand", c.Target, c.PartitionsTo)
	}}
	altering = verb{"alter", "AlterConfigs", "topic ", func(*Change) string {
		return "set sync_topic_configs: false, and look after the settings by hand"
	}}
)

// refused is the stop for a change that the target did not take.
func refused(c *Change, to kafka.Config, v verb, err error) *chunk.Stop {
	if denied(err) {
		problem := to.Denied(v.operation, v.resource+c.Target, err)
		return stop(c.Source, chunk.StopUnauthorized, problem.What, problem.Fix+"; or "+v.byHand(c), err)
	}
	fix := "do it with Kafka's own tools if it stays so, and look at the controller's log; " +
		"it is tried again at every refresh"
	switch {
	case is(err, kerr.PolicyViolation):
		fix = fmt.Sprintf("cluster %s has a limit or a rule against it, which its message names: raise it there, name "+
			"settings that it forbids in exclude_configs, or leave the topic out with exclude_topics", to.Name)
	case is(err, kerr.InvalidConfig):
		fix = fmt.Sprintf("name settings that cluster %s does not take in exclude_configs, or give topic %s there by "+
			"hand what it may have", to.Name, c.Target)
	case is(err, kerr.InvalidReplicationFactor):
		fix = fmt.Sprintf("set replication_factor to at most the number of brokers of cluster %s that run (asked for: "+
			"%d)", to.Name, c.ReplicationFactor)
	case is(err, kerr.InvalidTopicException):
		fix = fmt.Sprintf("cluster %s does not take the name: leave the topic out with exclude_topics, or mirror under "+
			"another name (naming: prefix)", to.Name)
	}
	return stop(c.Source, chunk.StopTopic,
		fmt.Sprintf("cluster %s refused to %s topic %s", to.Name, v.what, c.Target), fix, err)
}

// waits is what another replica of the program has to alter, or a later refresh of this
// one, before a record may be written.
func waits(c *Change, to kafka.Config, key string) string {
	return fmt.Sprintf("%s of topic %s on cluster %s is %s and has to be %s first", key, c.Target, to.Name,
		c.From[key], c.Set[key])
}

// settling is what a topic waits for that would have changed every record unseen: the
// brokers take up after a while what their controller has accepted.
func settling(c *Change, to kafka.Config) string {
	return fmt.Sprintf("%s of topic %s on cluster %s was %s and has just been altered to %s", timestampType, c.Target,
		to.Name, c.From[timestampType], c.Set[timestampType])
}

// overdue is the stop for a topic that has waited for too long.
func overdue(c *Change) *chunk.Stop {
	return stop(c.Source, chunk.StopTopic, c.Waits,
		"look at the replica that owns the topic's first partition, which alters it, and at the brokers' logs", nil)
}
