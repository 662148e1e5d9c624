package groups

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/kafka"
)

// errUnanswered stands for a group or partition that the broker's answer leaves out.
var errUnanswered = errors.New("the broker's answer leaves it out")

// kindOf classes what a cluster said about a group or one of its partitions.
func kindOf(err error) Kind {
	var code *kerr.Error
	if !errors.As(err, &code) {
		return Retried // the connection's trouble, not the cluster's decision
	}
	switch code {
	case kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.StaleMemberEpoch,
		kerr.FencedMemberEpoch, kerr.FencedInstanceID, kerr.UnreleasedInstanceID, kerr.UnstableOffsetCommit:
		return Active
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID: // not created there yet
		return Retried
	}
	if code.Retriable {
		return Retried
	}
	return Refused
}

// whyActive says how consumers on the target showed.
func whyActive(err error) string {
	if errors.Is(err, kerr.UnstableOffsetCommit) {
		return "a transaction on the target is about to commit it"
	}
	return "the group has active members on the target"
}

// unread says why a group's positions could not be read, by its name on the cluster; operation is the right that
// it takes there.
func unread(cluster kafka.Config, operation, name string, err error) error {
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return cluster.Denied(operation, "group "+name, err)
	}
	return problem(cluster, "Describe", name, "", err)
}

// problem says what could not be done, and what to do about it. operation is the
// right that it takes; topic is "" when all of the group was asked for.
func problem(cluster kafka.Config, operation, group, topic string, err error) error {
	doing := "did not give the positions"
	if operation == "Read" {
		doing = "did not take the commit"
	}
	what := fmt.Sprintf("cluster %s %s of group %s", cluster.Name, doing, group)
	if topic != "" {
		what += " in topic " + topic
	}
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return cluster.Denied(operation, "group "+group, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return cluster.Denied(operation, "topic "+topic, err)
	case errors.Is(err, kerr.OffsetMetadataTooLarge):
		return &kafka.Problem{What: what, Err: err, Fix: fmt.Sprintf(
			"set offset.metadata.max.bytes on the brokers of cluster %s to 256 or more", cluster.Name)}
	case errors.Is(err, kerr.GroupIDNotFound), errors.Is(err, kerr.InconsistentGroupProtocol):
		return &kafka.Problem{What: what, Err: err, Fix: fmt.Sprintf(
			"on cluster %s the name is taken by a group of another type: name this one in exclude_groups, or let the "+
				"applications of one of them use another name", cluster.Name)}
	}
	if kindOf(err) != Refused {
		if _, said := kafka.Code(err); !said {
			err = cluster.Explain(err) // the connection: the operator can do something about it
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return &kafka.Problem{What: what, Err: err, Fix: fmt.Sprintf(
		"look into the broker's log of cluster %s for the reason, or name the group in exclude_groups", cluster.Name)}
}
