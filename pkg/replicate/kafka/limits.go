package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Limits is what a cluster's brokers say of transactions and of the topics that they keep
// for themselves.
type Limits struct {
	Transaction time.Duration // the longest that a transaction may ask for; 0: unknown
	// Problems are internal topics that cannot be made, or written to, with the brokers that run: without them there
	// is no transaction and no group. No retry helps.
	Problems []error
}

// Settings of brokers.
const (
	brokerProtocol = "inter.broker.protocol.version"
	maxTransaction = "transaction.max.timeout.ms"
	stateFactor    = "transaction.state.log.replication.factor"
	stateInSync    = "transaction.state.log.min.isr"
	offsetsFactor  = "offsets.topic.replication.factor"
)

// InternalTopicError reports a topic of the brokers' own that the cluster cannot make or
// write to with the brokers that it has.
type InternalTopicError struct {
	Cluster, Topic, Setting string
	Value, Brokers          int
	For                     string // what does not work without it
}

func (e *InternalTopicError) Error() string {
	return fmt.Sprintf("cluster %s: topic %s cannot be made or written to, and %s do not work without it: %s is %d, and "+
		"%d brokers run", e.Cluster, e.Topic, e.For, e.Setting, e.Value, e.Brokers)
}

// Remedy tells what to do.
func (e *InternalTopicError) Remedy() string {
	return fmt.Sprintf("start the missing brokers of cluster %s, or set %s to at most %d on all of them", e.Cluster,
		e.Setting, e.Brokers)
}

// LimitsOf asks a cluster by a client of it. What it does not let us read is unknown, and no error.
func LimitsOf(ctx context.Context, client *kgo.Client, c Config) (Limits, error) {
	var l Limits
	answer, err := MetadataRequest([]string{"__transaction_state", "__consumer_offsets"}).RequestWith(ctx, client)
	if err != nil {
		return l, c.Explain(err)
	}
	brokers := len(answer.Brokers)
	if brokers == 0 {
		return l, nil
	}
	set, err := brokerSettings(ctx, client, answer.Brokers[0].NodeID)
	if err != nil {
		return l, c.Explain(err)
	}
	l.Transaction = time.Duration(set[maxTransaction]) * time.Millisecond
	for i := range answer.Topics {
		topic := &answer.Topics[i]
		if topic.Topic == nil {
			continue
		}
		absent := errors.Is(kerr.ErrorForCode(topic.ErrorCode), kerr.UnknownTopicOrPartition)
		refuse := func(setting, what string) {
			if set[setting] > brokers {
				l.Problems = append(l.Problems, &InternalTopicError{c.Name, *topic.Topic, setting, set[setting], brokers, what})
			}
		}
		switch {
		case absent && *topic.Topic == "__transaction_state":
			refuse(stateFactor, "transactions")
			if set[stateFactor] <= brokers {
				refuse(stateInSync, "transactions")
			}
		case absent:
			refuse(offsetsFactor, "groups")
		}
	}
	return l, nil
}

// idsFrom is the version of Metadata that tells ids of topics, of Kafka 2.8.
const idsFrom = 10

// WithoutIDs says of a cluster that shows no topic whether those that are made there get
// no ids: its brokers are too old, or speak an older protocol among themselves, if they
// let that be seen.
func WithoutIDs(ctx context.Context, client *kgo.Client, c Config) (bool, error) {
	answer, err := MetadataRequest([]string{"__transaction_state"}).RequestWith(ctx, client)
	if err != nil || answer.Version < idsFrom || len(answer.Brokers) == 0 {
		return err == nil && len(answer.Brokers) > 0, c.Explain(err)
	}
	set, err := describeBroker(ctx, client, answer.Brokers[0].NodeID, brokerProtocol)
	var major, minor int
	if n, _ := fmt.Sscanf(set[brokerProtocol], "%d.%d", &major, &minor); n < 2 {
		return false, c.Explain(err)
	}
	return major < 2 || major == 2 && minor < 8, c.Explain(err)
}

// brokerSettings reads the numbers among a broker's settings; none where it does not let us.
func brokerSettings(ctx context.Context, client *kgo.Client, broker int32) (map[string]int, error) {
	texts, err := describeBroker(ctx, client, broker, maxTransaction, stateFactor, stateInSync, offsetsFactor)
	set := map[string]int{}
	for name, text := range texts {
		if n, err := strconv.Atoi(text); err == nil {
			set[name] = n
		}
	}
	return set, err
}

func describeBroker(ctx context.Context, client *kgo.Client, broker int32, names ...string) (map[string]string, error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(broker))
	one.ConfigNames = names
	request.Resources = append(request.Resources, one)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for _, r := range answer.Resources {
		for _, entry := range r.Configs {
			if entry.Value != nil {
				set[entry.Name] = *entry.Value
			}
		}
	}
	return set, nil
}
