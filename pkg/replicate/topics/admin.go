package topics

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

const (
	requestTimeout = 30 * time.Second

	// describeAtOnce bounds the topics of one describing request; changes are bounded by [kafka.Together].
	describeAtOnce = 500

	// visibleWithin bounds the wait until the brokers know of what their
	// controller has done; what is not visible then is taken up by the next refresh.
	visibleWithin = 10 * time.Second
	visiblePoll   = 50 * time.Millisecond
)

// cluster is one side of a flow. A mistake with one topic is in that topic's answer. An
// error of a whole call means that the cluster could not be asked, and is explained already.
type cluster struct {
	conf   kafka.Config
	client *kgo.Client
}

// open opens a cluster; nothing is connected yet.
func open(conf kafka.Config) (*cluster, error) {
	client, err := kafka.NewFranz(conf)
	if err != nil {
		return nil, err
	}
	return &cluster{conf: conf, client: client}, nil
}

func (c *cluster) close() { c.client.Close() }

func (c *cluster) explain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return c.conf.Explain(err)
}

// metadata asks the cluster for itself and for topics; nil asks for all that it
// lets us see.
func (c *cluster) metadata(ctx context.Context, names []string) (*kmsg.MetadataResponse, error) {
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request := kafka.MetadataRequest(names)
	request.IncludeTopicAuthorizedOperations = true
	answer, err := request.RequestWith(asking, c.client)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return answer, nil
}

// names lists the topics that the cluster lets us see.
func (c *cluster) names(ctx context.Context) ([]string, error) {
	answer, err := c.metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(answer.Topics))
	for _, topic := range answer.Topics {
		if topic.Topic != nil {
			names = append(names, *topic.Topic)
		}
	}
	return names, nil
}

// side is a topic as one cluster describes it.
type side struct {
	ID         chunk.TopicID
	Partitions int
	Replicas   int
	Leaders    int                        // partitions that have a leader
	Rights     map[kmsg.ACLOperation]bool // nil: the cluster does not say
	Err        error                      // nil, or why the topic cannot be described

	Settings    settings // nil if not read
	SettingsErr error
}

// describe answers for every name; a topic that is not there has no entry.
func (c *cluster) describe(ctx context.Context, names []string) (map[string]*side, error) {
	sides := make(map[string]*side, len(names))
	for _, batch := range batches(names, describeAtOnce) {
		answer, err := c.metadata(ctx, batch)
		if err != nil {
			return nil, err
		}
		for i := range answer.Topics {
			topic := &answer.Topics[i]
			switch err := kerr.ErrorForCode(topic.ErrorCode); {
			case topic.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition):
			case err != nil:
				sides[*topic.Topic] = &side{Err: err}
			default:
				sides[*topic.Topic] = describedSide(topic)
			}
		}
	}
	return sides, nil
}

// withSettings describes topics and reads the settings of those that may be described.
func (c *cluster) withSettings(ctx context.Context, names []string) (map[string]*side, error) {
	sides, err := c.describe(ctx, names)
	if err != nil {
		return nil, err
	}
	readable := make(map[string]*side, len(sides))
	for name, s := range sides {
		if s.Err == nil {
			readable[name] = s
		}
	}
	return sides, c.settings(ctx, readable)
}

// unknownRights is what a broker answers that does not say what we may do.
const unknownRights int32 = math.MinInt32

func describedSide(topic *kmsg.MetadataResponseTopic) *side {
	s := &side{ID: topic.TopicID, Partitions: len(topic.Partitions)}
	for _, p := range topic.Partitions {
		s.Replicas = max(s.Replicas, len(p.Replicas))
		if p.Leader >= 0 {
			s.Leaders++
		}
	}
	if topic.AuthorizedOperations == unknownRights {
		return s
	}
	s.Rights = map[kmsg.ACLOperation]bool{}
	for operation := range 32 {
		if topic.AuthorizedOperations&(1<<operation) != 0 {
			s.Rights[kmsg.ACLOperation(operation)] = true
		}
	}
	return s
}

// about is the cluster's id and number of brokers.
func (c *cluster) about(ctx context.Context) (id string, brokers int, err error) {
	answer, err := c.metadata(ctx, []string{})
	if err != nil {
		return "", 0, err
	}
	if answer.ClusterID != nil {
		id = *answer.ClusterID
	}
	return id, len(answer.Brokers), nil
}

// settings reads the topics' settings into their sides.
func (c *cluster) settings(ctx context.Context, sides map[string]*side) error {
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := kafka.TopicConfigs(asking, c.client, sortedKeys(sides), nil, func(r *kmsg.DescribeConfigsResponseResource) {
		s := sides[r.ResourceName]
		s.Settings, s.SettingsErr = nil, kerr.ErrorForCode(r.ErrorCode)
		if s.SettingsErr == nil {
			s.Settings = settingsOf(r.Configs)
		}
	})
	if err != nil {
		return c.explain(ctx, err)
	}
	return nil
}

func settingsOf(entries []kmsg.DescribeConfigsResponseResourceConfig) settings {
	read := make(settings, len(entries))
	for _, e := range entries {
		if e.IsSensitive || e.ReadOnly || e.Value == nil {
			continue // cannot be read, or cannot be set
		}
		read[e.Name] = setting{Value: *e.Value, Explicit: e.Source == kmsg.ConfigSourceDynamicTopicConfig}
	}
	return read
}

// visible waits until the brokers show topics with so many partitions, each with a leader,
// and answers the topics as they are then; what does not come within a while is left as it is.
func (c *cluster) visible(ctx context.Context, want map[string]int) (map[string]*side, error) {
	if len(want) == 0 {
		return nil, nil
	}
	var targets map[string]*side
	deadline := time.Now().Add(visibleWithin)
	err := wait.Until(ctx, visiblePoll, func() (done bool, err error) {
		if targets, err = c.describe(ctx, sortedKeys(want)); err != nil {
			return false, err
		}
		ready := 0
		for name, partitions := range want {
			if s := targets[name]; s != nil && s.Partitions >= partitions && s.Leaders == s.Partitions {
				ready++
			}
		}
		return ready == len(want) || time.Now().After(deadline), nil
	})
	if err != nil {
		return nil, err
	}
	return targets, nil
}
