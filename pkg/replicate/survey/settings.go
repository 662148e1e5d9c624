package survey

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/kafka"
)

// matters says of each setting that is compared what a difference does.
var matters = map[string]string{
	"retention.ms":           "records are kept for another time",
	"retention.bytes":        "another amount of records is kept",
	"cleanup.policy":         "records are deleted, or compacted, where they are not on the other side",
	"max.message.bytes":      "batches that one side takes are refused by the other",
	"message.timestamp.type": "the target would give records another time",
	"compression.type":       "the target compresses what it gets anew, which costs its brokers time",
	"min.insync.replicas":    "another number of brokers may be away before writing stops",
	"segment.bytes":          "whole segments are deleted and compacted: earlier or later",
	"segment.ms":             "whole segments are deleted and compacted: earlier or later",
	"delete.retention.ms":    "tombstones are forgotten earlier or later",
	"min.compaction.lag.ms":  "older values are hidden from slow readers earlier or later",
	"max.compaction.lag.ms":  "older values stay for another time",
	"unclean.leader.election.enable": "records may be lost on one side when all brokers in sync are away, and not " +
		"on the other",
}

// Settings are the values that hold on a topic, whoever set them.
type Settings map[string]string

// Difference is a setting whose values differ, or will after the run.
type Difference struct {
	Key    string `json:"key"`
	Source string `json:"source"`
	Target string `json:"target"` // as it will be
	Why    string `json:"why"`    // what that does
}

// Settings asks for the settings of topics; errors are by topic.
func (c *Cluster) Settings(ctx context.Context, topics []string) (map[string]Settings, map[string]error, error) {
	all, failed := map[string]Settings{}, map[string]error{}
	if len(topics) == 0 {
		return all, failed, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	answers, err := c.admin.DescribeTopicConfigs(ctx, topics...)
	for _, answer := range answers {
		if answer.Err != nil {
			failed[answer.Name] = c.why(answer.Err, "DescribeConfigs", "topic "+answer.Name)
			continue
		}
		all[answer.Name] = settingsOf(answer.Configs)
	}
	return all, failed, c.why(err, "DescribeConfigs", "topics")
}

func settingsOf(configs []kadm.Config) Settings {
	s := Settings{}
	for _, entry := range configs {
		if _, compared := matters[entry.Key]; compared && entry.Value != nil {
			s[entry.Key] = *entry.Value
		}
	}
	return s
}

// New is a topic that is to be created.
type New struct {
	Partitions, ReplicationFactor int
	Set                           map[string]string
}

// NewSettings asks which settings topics would have if they were created: nothing
// is. Topics whose creation the cluster refuses, or that it does not tell of, are
// left out.
func (c *Cluster) NewSettings(ctx context.Context, topics map[string]New) (map[string]Settings, error) {
	would := map[string]Settings{}
	if len(topics) == 0 {
		return would, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	partitions := func(name string) int { return topics[name].Partitions }
	for _, names := range kafka.Together(slices.Sorted(maps.Keys(topics)), partitions) {
		answer, err := validateOnly(names, topics).RequestWith(ctx, c.client)
		if err != nil {
			return would, c.why(err, "Create", "topics")
		}
		for _, topic := range answer.Topics {
			if kerr.ErrorForCode(topic.ErrorCode) == nil && len(topic.Configs) > 0 {
				would[topic.Topic] = newSettingsOf(topic.Configs)
			}
		}
	}
	if len(would) < len(topics) {
		return would, &kafka.Problem{
			What: fmt.Sprintf("cluster %s tells the settings of %d of the %d topics that are to be created", c.conf.Name,
				len(would), len(topics)),
			Fix: "look again once they are there",
		}
	}
	return would, nil
}

// validateOnly is a request that would create topics, and creates none.
func validateOnly(names []string, topics map[string]New) *kmsg.CreateTopicsRequest {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.ValidateOnly, request.TimeoutMillis = true, int32(askLimit.Milliseconds())
	for _, name := range names {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic = name
		topic.NumPartitions, topic.ReplicationFactor = int32(topics[name].Partitions), int16(topics[name].ReplicationFactor)
		for key, value := range topics[name].Set {
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
		}
		request.Topics = append(request.Topics, topic)
	}
	return request
}

func newSettingsOf(configs []kmsg.CreateTopicsResponseTopicConfig) Settings {
	s := Settings{}
	for _, entry := range configs {
		if _, compared := matters[entry.Name]; compared && entry.Value != nil {
			s[entry.Name] = *entry.Value
		}
	}
	return s
}

// Differing compares what holds on both sides, the target with what will be set.
// Settings that one side does not know are left out.
func Differing(source, target Settings, set map[string]string) []Difference {
	differ := []Difference{}
	for _, key := range slices.Sorted(maps.Keys(source)) {
		value, known := target[key]
		if altered, ok := set[key]; ok {
			value, known = altered, true
		}
		if known && value != source[key] {
			differ = append(differ, Difference{key, source[key], value, matters[key]})
		}
	}
	return differ
}
