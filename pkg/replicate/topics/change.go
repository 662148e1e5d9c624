package topics

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/kafka"
)

// Whether a cluster does what it is asked, or only checks it.
const (
	forReal      = false
	validateOnly = true
)

// refusal is what a cluster answers to a change that it does not make; its code is a *kerr.Error.
type refusal struct {
	code error
	text string // the cluster's own words
}

func (r *refusal) Error() string {
	if r.text == "" {
		return r.code.Error()
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.code }

// answer is an error, or nil, for one topic.
func answer(code int16, text *string) error {
	err := kerr.ErrorForCode(code)
	if err == nil {
		return nil
	}
	r := &refusal{code: err}
	if text != nil {
		r.text = *text
	}
	return r
}

// is says whether a cluster answered with one of these errors.
func is(err error, among ...*kerr.Error) bool {
	for _, one := range among {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// creation is a topic to create.
type creation struct {
	Name              string
	Partitions        int
	ReplicationFactor int
	Settings          map[string]string
}

func (t creation) request() kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.Name, int32(t.Partitions), int16(t.ReplicationFactor)
	for _, key := range sortedKeys(t.Settings) {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, kmsg.StringPtr(t.Settings[key])
		topic.Configs = append(topic.Configs, config)
	}
	return topic
}

// create answers one error, or nil, for each topic.
func (c *cluster) create(ctx context.Context, topics []creation, validate bool) (map[string]error, error) {
	answers := make(map[string]error)
	for _, batch := range kafka.Together(topics, func(t creation) int { return t.Partitions }) {
		request := kmsg.NewPtrCreateTopicsRequest()
		request.ValidateOnly, request.TimeoutMillis = validate, int32(requestTimeout.Milliseconds())
		for _, t := range batch {
			request.Topics = append(request.Topics, t.request())
		}
		response, err := change(ctx, c, request.RequestWith)
		if err != nil {
			return answers, err
		}
		for _, t := range response.Topics {
			answers[t.Topic] = answer(t.ErrorCode, t.ErrorMessage)
		}
	}
	return answers, nil
}

// grow gives topics the number of partitions; an error, or nil, for each.
func (c *cluster) grow(ctx context.Context, to map[string]int, validate bool) (map[string]error, error) {
	answers := make(map[string]error)
	for _, batch := range kafka.Together(sortedKeys(to), func(name string) int { return to[name] }) {
		request := kmsg.NewPtrCreatePartitionsRequest()
		request.ValidateOnly, request.TimeoutMillis = validate, int32(requestTimeout.Milliseconds())
		for _, name := range batch {
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic, topic.Count = name, int32(to[name])
			request.Topics = append(request.Topics, topic)
		}
		response, err := change(ctx, c, request.RequestWith)
		if err != nil {
			return answers, err
		}
		for _, t := range response.Topics {
			answers[t.Topic] = answer(t.ErrorCode, t.ErrorMessage)
		}
	}
	return answers, nil
}

// alteration is a setting to set on a topic; a nil value takes it away, so that the default holds.
type alteration struct {
	Key   string
	Value *string
}

// alter sets the given settings and touches no other; an error, or nil, for each topic.
func (c *cluster) alter(ctx context.Context, set map[string]map[string]string, validate bool) (
	map[string]error, error) {
	all := make(map[string][]alteration, len(set))
	for name, settings := range set {
		for _, key := range sortedKeys(settings) {
			all[name] = append(all[name], alteration{key, kmsg.StringPtr(settings[key])})
		}
	}
	return c.alterEach(ctx, all, validate)
}

// alterEach changes the given settings and touches no other; an error, or nil, for each topic.
func (c *cluster) alterEach(ctx context.Context, all map[string][]alteration, validate bool) (map[string]error, error) {
	answers := make(map[string]error)
	for _, batch := range kafka.Together(sortedKeys(all), func(string) int { return 1 }) {
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.ValidateOnly = validate
		for _, name := range batch {
			request.Resources = append(request.Resources, alterationOf(name, all[name]))
		}
		response, err := change(ctx, c, request.RequestWith)
		if err != nil {
			return answers, err
		}
		for _, r := range response.Resources {
			answers[r.ResourceName] = answer(r.ErrorCode, r.ErrorMessage)
		}
	}
	return answers, nil
}

func alterationOf(topic string, all []alteration) kmsg.IncrementalAlterConfigsRequestResource {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	for _, a := range all {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value, config.Op = a.Key, a.Value, kmsg.IncrementalAlterConfigOpSet
		if a.Value == nil {
			config.Op = kmsg.IncrementalAlterConfigOpDelete
		}
		resource.Configs = append(resource.Configs, config)
	}
	return resource
}

// change sends a request, to the controller where only that may change things, for no longer than it may take.
func change[Response any](ctx context.Context, c *cluster,
	send func(context.Context, kmsg.Requestor) (Response, error)) (Response, error) {
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := send(asking, c.client)
	return response, c.explain(ctx, err)
}
