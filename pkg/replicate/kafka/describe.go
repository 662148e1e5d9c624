package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

// DescribeAll describes a cluster and all topics that it lets us see.
func DescribeAll(ctx context.Context, cluster Config) (*Description, error) {
	client, err := NewFranz(cluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return Describe(ctx, client, cluster, nil)
}

// WithoutID is a topic that a cluster describes without an id; "": there is none.
func (c *Description) WithoutID() string {
	for name, t := range c.Topics {
		if t.Err == nil && t.Partitions > 0 && t.ID == (chunk.TopicID{}) {
			return name
		}
	}
	return ""
}

// AskLimit bounds the first contact, and each question about a cluster after it.
const AskLimit = 15 * time.Second

// Description is a cluster as it describes itself.
type Description struct {
	ID      string
	Brokers int
	Topics  map[string]TopicDescription
}

// TopicDescription is a topic as its cluster describes it.
type TopicDescription struct {
	ID         chunk.TopicID
	Partitions int
	rights     int32 // bits by Kafka's number of the operation; RightsUnknown: the cluster does not say
	Err        error
}

// RightsUnknown is what a broker answers that does not say what we may do with a topic.
const RightsUnknown int32 = -1 << 31

// May says whether the right is there, or cannot be known to be missing.
func (t *TopicDescription) May(operation kmsg.ACLOperation) bool {
	return t.rights == RightsUnknown || t.rights&(1<<operation) != 0
}

// Describe asks a cluster for itself and for topics (nil: all that it lets us
// see), past the client's memory.
func Describe(ctx context.Context, client *kgo.Client, cluster Config, names []string) (*Description, error) {
	ctx, cancel := context.WithTimeout(ctx, AskLimit)
	defer cancel()
	request := MetadataRequest(names)
	request.IncludeTopicAuthorizedOperations = true
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, cluster.Explain(err)
	}
	seen := &Description{Brokers: len(response.Brokers), Topics: map[string]TopicDescription{}}
	if response.ClusterID != nil {
		seen.ID = *response.ClusterID
	}
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		if topic.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if errors.Is(err, kerr.TopicAuthorizationFailed) {
			err = cluster.Denied("Describe", "topic "+*topic.Topic, err)
		}
		seen.Topics[*topic.Topic] = TopicDescription{
			ID: chunk.TopicID(topic.TopicID), Partitions: len(topic.Partitions), rights: topic.AuthorizedOperations, Err: err,
		}
	}
	return seen, nil
}
