package topics

import (
	"context"
	"errors"
	"math"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

const (
	requestTimeout = 30 * time.Second

	// describeAtOnce bounds the topics of one describing request; changes are bounded by [kafka.Together].
	describeAtOnce = 500
)

// cluster is one side of a flow; no type of librdkafka leaves it but error
// codes. A mistake with one topic is in that topic's answer. An error of a whole
// call means that the cluster could not be asked, and is explained already.
type cluster struct {
	conf kafka.Config
	// reader does all that reads. A handle of librdkafka that is closed while it waits for a description, or that asks a
	// broker which has just started, ends the
	// process, and its binding loses each topic's name with the settings.
	reader *kgo.Client
	admin  *kafka.Admin      // changes topics; nil where nothing is ever changed
	opened kafka.Credentials // of admin
}

// open opens a cluster to read from.
func open(conf kafka.Config) (*cluster, error) {
	client, err := kafka.NewFranz(conf)
	if err != nil {
		return nil, err
	}
	return &cluster{conf: conf, reader: client}, nil
}

// openToChange opens one whose topics are made as asked.
func openToChange(conf kafka.Config) (*cluster, error) {
	c, err := open(conf)
	if err != nil {
		return nil, err
	}
	if _, err = c.changer(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// changer is the admin client; another one where certificates or passwords were renewed
// since it was opened. No call may be under way.
func (c *cluster) changer() (*kafka.Admin, error) {
	if c.admin != nil && c.opened.Renewed() == nil {
		return c.admin, nil
	}
	opened := c.conf.Credentials()
	admin, err := kafka.NewAdmin(c.conf, nil)
	if err != nil {
		return nil, err
	}
	if c.admin != nil {
		c.admin.Close()
	}
	c.admin, c.opened = admin, opened
	return admin, nil
}

func (c *cluster) close() {
	if c.admin != nil {
		c.admin.Close()
	}
	c.reader.Close()
}

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
	answer, err := request.RequestWith(asking, c.reader)
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
	Leaders    int                      // partitions that have a leader
	Rights     map[ck.ACLOperation]bool // nil: the cluster did not tell
	Err        error                    // nil, or why the topic cannot be described

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

// untold is what a broker answers that does not tell rights.
const untold int32 = math.MinInt32

func describedSide(topic *kmsg.MetadataResponseTopic) *side {
	s := &side{ID: topic.TopicID, Partitions: len(topic.Partitions)}
	for _, p := range topic.Partitions {
		s.Replicas = max(s.Replicas, len(p.Replicas))
		if p.Leader >= 0 {
			s.Leaders++
		}
	}
	if topic.AuthorizedOperations == untold {
		return s
	}
	s.Rights = map[ck.ACLOperation]bool{}
	for operation := range 32 {
		if topic.AuthorizedOperations&(1<<operation) != 0 {
			s.Rights[ck.ACLOperation(operation)] = true // both number the operations as the protocol does
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, batch := range batches(sortedKeys(sides), describeAtOnce) {
		req := kmsg.NewPtrDescribeConfigsRequest()
		for _, name := range batch {
			resource := kmsg.NewDescribeConfigsRequestResource()
			resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
			req.Resources = append(req.Resources, resource)
		}
		resp, err := req.RequestWith(ctx, c.reader)
		if err != nil {
			return c.explain(ctx, err)
		}
		for _, r := range resp.Resources {
			s := sides[r.ResourceName]
			s.Settings, s.SettingsErr = nil, kerr.ErrorForCode(r.ErrorCode)
			if s.SettingsErr == nil {
				s.Settings = settingsOf(r.Configs)
			}
		}
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

// creation is a topic to create.
type creation struct {
	Name              string
	Partitions        int
	ReplicationFactor int
	Settings          map[string]string
}

// create answers one error, or nil, for each topic.
func (c *cluster) create(ctx context.Context, topics []creation, rehearse bool) (map[string]error, error) {
	var specs []ck.TopicSpecification
	partitions := make(map[string]int)
	for _, t := range topics {
		specs = append(specs, ck.TopicSpecification{Topic: t.Name, NumPartitions: t.Partitions,
			ReplicationFactor: t.ReplicationFactor, Config: t.Settings})
		partitions[t.Name] = t.Partitions
	}
	size := func(s ck.TopicSpecification) int { return s.NumPartitions }
	return changeAll(specs, size, func(batch []ck.TopicSpecification) ([]ck.TopicResult, error) {
		admin, err := c.changer()
		if err != nil {
			return nil, err
		}
		result, err := admin.CreateTopics(ctx, batch, ck.SetAdminValidateOnly(rehearse),
			ck.SetAdminRequestTimeout(requestTimeout), ck.SetAdminOperationTimeout(requestTimeout))
		return result, c.explain(ctx, err)
	})
}

// grow gives topics the number of partitions; an error, or nil, for each.
func (c *cluster) grow(ctx context.Context, to map[string]int, rehearse bool) (map[string]error, error) {
	var specs []ck.PartitionsSpecification
	for _, name := range sortedKeys(to) {
		specs = append(specs, ck.PartitionsSpecification{Topic: name, IncreaseTo: to[name]})
	}
	size := func(s ck.PartitionsSpecification) int { return s.IncreaseTo }
	return changeAll(specs, size, func(batch []ck.PartitionsSpecification) ([]ck.TopicResult, error) {
		admin, err := c.changer()
		if err != nil {
			return nil, err
		}
		result, err := admin.CreatePartitions(ctx, batch, ck.SetAdminValidateOnly(rehearse),
			ck.SetAdminRequestTimeout(requestTimeout), ck.SetAdminOperationTimeout(requestTimeout))
		return result, c.explain(ctx, err)
	})
}

// alter sets the given settings and touches no other; an error, or nil, for each topic.
func (c *cluster) alter(ctx context.Context, set map[string]map[string]string, rehearse bool) (
	map[string]error, error) {
	entries := make(map[string][]ck.ConfigEntry, len(set))
	for name, settings := range set {
		for _, key := range sortedKeys(settings) {
			entries[name] = append(entries[name], ck.ConfigEntry{Name: key, Value: settings[key],
				IncrementalOperation: ck.AlterConfigOpTypeSet})
		}
	}
	return c.alterEach(ctx, entries, rehearse)
}

// alterEach changes the given settings and touches no other; an error, or nil, for each topic.
func (c *cluster) alterEach(ctx context.Context, entries map[string][]ck.ConfigEntry, rehearse bool) (
	map[string]error, error) {
	var resources []ck.ConfigResource
	for _, name := range sortedKeys(entries) {
		resources = append(resources, ck.ConfigResource{Type: ck.ResourceTopic, Name: name, Config: entries[name]})
	}
	size := func(ck.ConfigResource) int { return 1 }
	return changeAll(resources, size, func(batch []ck.ConfigResource) ([]ck.TopicResult, error) {
		admin, err := c.changer()
		if err != nil {
			return nil, err
		}
		results, err := admin.IncrementalAlterConfigs(ctx, batch, ck.SetAdminValidateOnly(rehearse),
			ck.SetAdminRequestTimeout(requestTimeout))
		var answers []ck.TopicResult
		for i := range results {
			answers = append(answers, ck.TopicResult{Topic: results[i].Name, Error: results[i].Error})
		}
		return answers, c.explain(ctx, err)
	})
}

// changeAll sends the changes in batches that a controller takes.
func changeAll[S any](specs []S, partitions func(S) int,
	send func([]S) ([]ck.TopicResult, error)) (map[string]error, error) {
	answers := make(map[string]error)
	for _, batch := range kafka.Together(specs, partitions) {
		results, err := send(batch)
		if err != nil {
			return answers, err
		}
		for _, r := range results {
			answers[r.Topic] = failure(r.Error)
		}
	}
	return answers, nil
}

// failure is a result's error, as an error that is nil when there is none.
func failure(e ck.Error) error {
	if e.Code() == ck.ErrNoError {
		return nil
	}
	return e
}

// code is the Kafka code of an error of either library, ErrNoError if it has none.
func code(err error) ck.ErrorCode {
	if c, ok := kafka.Code(err); ok {
		return ck.ErrorCode(c)
	}
	return ck.ErrNoError
}
