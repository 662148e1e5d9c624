// Package kafka opens clients of both libraries, librdkafka (through
// confluent-kafka-go) and franz-go, from one [Config]: the brokers, TLS and
// SASL of one cluster, written as librdkafka client properties.
//
// It guarantees:
//
//  1. a property that librdkafka does not know, whose value it refuses, or
//     that the program must own is refused by name ([Config.Validate]);
//  2. both libraries reach a cluster in the same way, or the difference is an
//     error that names the property ([NewFranz]);
//  3. librdkafka writes nothing to standard error: its log goes to
//     [Config.Logger];
//  4. no text of an error or of the log holds a password or a key.
//
// It holds no logic about records, offsets or groups: what a client is for is
// said by the caller's settings.
package kafka

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/replicate/kafka/tokens"
)

// Config says how to reach one cluster.
type Config struct {
	// Name is what flows, logs and errors call the cluster.
	Name string
	// Properties are librdkafka client properties, bootstrap.servers among them.
	Properties map[string]string
	// Renew gives properties with the passwords, keys and certificates of this moment, for new connections; nil, or
	// an answer of nil: they are what Properties say. It may be called from any goroutine.
	Renew func() map[string]string
	// Logger receives librdkafka's own log; nil stands for slog's default logger.
	Logger *Logger
	// Silence is what franz-go clients share that are not to wait twice for one broker; nil: each question waits.
	Silence *Silence
	// Tokens keeps the token of logins by OAUTHBEARER for all clients of the cluster; nil: each has its own.
	Tokens *tokens.Cache
}

// With is the same cluster with other values of some properties.
func With(cluster Config, properties map[string]string) Config {
	all := make(map[string]string, len(cluster.Properties)+len(properties))
	maps.Copy(all, cluster.Properties)
	maps.Copy(all, properties)
	cluster.Properties = all
	return cluster
}

// ClientID is the client.id of every client, unless the configuration has another.
const ClientID = "replicator"

// kind is what a librdkafka handle is; properties of the other kind draw a
// warning from librdkafka, so that they are left out.
type kind string

const (
	consumer kind = "consumer"
	producer kind = "producer"
)

// NewConsumer opens a consumer. The settings in over hold against librdkafka's
// defaults and give way to the configuration's properties, which by
// [Config.Validate] hold nothing that the program must own. librdkafka wants a
// group.id in over. Values are strings, booleans, integers, or durations where
// the property counts milliseconds. The log ends with Close.
func NewConsumer(c Config, over map[string]any) (*Consumer, error) {
	c = withTokens(c)
	settings, err := c.settings(consumer, over)
	if err != nil {
		return nil, err
	}
	settings["go.logs.channel.enable"] = true
	opened, err := ck.NewConsumer(&settings)
	if err != nil {
		return nil, openError(c, "consumer", err)
	}
	keeper := keep(c, opened)
	go c.logger().drain(c, opened.Logs(), keeper.doubt)
	return &Consumer{opened, keeper}, nil
}

// NewProducer opens a producer; over is as for [NewConsumer]. The caller reads
// Events() from the start: why an authentication failed comes only there.
func NewProducer(c Config, over map[string]any) (*Producer, error) {
	c = withTokens(c)
	settings, err := c.settings(producer, over)
	if err != nil {
		return nil, err
	}
	settings["go.logs.channel.enable"] = true
	opened, err := ck.NewProducer(&settings)
	if err != nil {
		return nil, openError(c, "producer", err)
	}
	keeper := keep(c, opened)
	go c.logger().drain(c, opened.Logs(), keeper.doubt)
	return &Producer{opened, keeper}, nil
}

// withTokens has a place to keep tokens in.
func withTokens(c Config) Config {
	if c.Tokens == nil {
		c.Tokens = tokens.NewCache()
	}
	return c
}

// forLibrdkafka are the properties of this moment as far as they are for that library:
// tokens it is given, and what stores hold it has as PEM.
func forLibrdkafka(c Config) (map[string]string, error) {
	now := c.now()
	all := maps.Clone(now.Properties)
	if c.security().byToken() {
		maps.DeleteFunc(all, func(property, _ string) bool { return aboutTokens(property) || isMechanism(property) })
		all["sasl.mechanisms"] = "OAUTHBEARER"
	}
	if err := (pemFiles{now}).opened(all); err != nil {
		return nil, err
	}
	return all, nil
}

// settings joins, each above the one before: what every client has, the
// caller's settings, the configuration's properties.
func (c Config) settings(k kind, over map[string]any) (ck.ConfigMap, error) {
	if why := RecordLaneRefused(c); why != "" {
		return nil, &Problem{What: why, Fix: "use lane: batch with delivery: exactly_once, or another login"}
	}
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	joined := ck.ConfigMap{
		"client.id": ClientID,
		// Telemetry to the brokers is the operator's choice; it also makes noise on brokers without it.
		"enable.metrics.push": false,
		// Idle connections end all the time and nobody needs to act.
		"log.connection.close": false,
		// The thread's name before each line would hide that two lines are the same.
		"log.thread.name": false,
		// A broker that its controller has just shut out names no brokers at all in its metadata, itself included.
		// librdkafka forgets the last one then, and asks the configured ones again (KIP-1102) only when no metadata
		// has come for this long: five minutes by default, in which the handle does nothing. Metadata is asked for
		// more often than that, so that a handle that is well does not begin anew.
		"metadata.recovery.rebootstrap.trigger.ms": "15000",
		"topic.metadata.refresh.interval.ms":       "10000",
	}
	for property, value := range over {
		if strings.HasPrefix(property, "go.") {
			joined[property] = value // typed, and read by the Go binding
			continue
		}
		text, err := settingText(value)
		if err != nil {
			return nil, fmt.Errorf("%s for cluster %s: %s: %w", k, c.Name, property, err)
		}
		joined[canonical(property)] = text
	}
	given, err := forLibrdkafka(c)
	if err != nil {
		return nil, err
	}
	for property, value := range given {
		if why, owned := owner(property); owned {
			return nil, &Problem{
				What: fmt.Sprintf("cluster %s: property %s is set by the program", c.Name, property),
				Fix:  fmt.Sprintf("take %s out of the configuration: %s", property, why),
			}
		}
		if other, only := onlyFor[property]; only && other != k {
			continue
		}
		joined[canonical(property)] = value
	}
	joined[canonical("bootstrap.servers")] = strings.Join(servers, ",")
	return joined, nil
}

func settingText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool, int, int16, int32, int64, uint16, uint32:
		return fmt.Sprint(v), nil
	case time.Duration:
		return fmt.Sprint(v.Milliseconds()), nil
	}
	return "", fmt.Errorf("%T is not a value of a property; use a string, bool, int or duration", value)
}

func openError(c Config, what string, err error) error {
	return &Problem{
		What: fmt.Sprintf("open a %s for cluster %s", what, c.Name),
		Fix:  fmt.Sprintf("correct the properties of cluster %s; 'replicator check' tries them offline", c.Name),
		Err:  errors.New(c.redact(err.Error())),
	}
}

func (c Config) logger() *Logger {
	if c.Logger == nil {
		return defaultLogger
	}
	return c.Logger
}

// property is a property's value by its own name or an alias of it.
func (c Config) property(name string) (string, bool) {
	if value, ok := c.Properties[name]; ok {
		return value, true
	}
	for property, value := range c.Properties {
		if canonical(property) == canonical(name) {
			return value, true
		}
	}
	return "", false
}
