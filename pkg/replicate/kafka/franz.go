package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// NotCarriedError reports a librdkafka property whose meaning a franz-go client
// cannot have. Leaving it out would make a connection other than the operator
// asked for, so that it is refused.
type NotCarriedError struct {
	Cluster  string
	Property string
	Why      string // what is wrong
	Fix      string // what is accepted instead
}

func (e *NotCarriedError) Error() string {
	return fmt.Sprintf("cluster %s: %s %s", e.Cluster, e.Property, e.Why)
}

// Remedy tells what to write instead.
func (e *NotCarriedError) Remedy() string { return e.Fix }

func (c Config) notCarried(property, fix, why string, args ...any) error {
	return &NotCarriedError{Cluster: c.Name, Property: property, Why: c.redact(fmt.Sprintf(why, args...)), Fix: fix}
}

// NewFranz opens a franz-go client of the same cluster; opts come after, and so
// above, what the properties give. Carried over are the brokers, client.id,
// client.rack, TLS with PEM and stores, SASL PLAIN, SCRAM, OAUTHBEARER (the same
// tokens as librdkafka's, see package tokens), AWS_MSK_IAM and GSSAPI, broker.address.family
// and the time-outs of sockets. Refused with a [NotCarriedError] are revocation lists, OpenSSL providers
// and engines. Without effect here: ssl.cipher.suites, ssl.curves.list and
// ssl.sigalgs.list (Go chooses among modern ones), and all that tunes
// librdkafka's queues and fetches ([Config.Tuning]). Certificates, keys and passwords are
// read anew for each connection.
func NewFranz(c Config, opts ...kgo.Opt) (*kgo.Client, error) {
	mapped, err := franzOptions(c)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(mapped, opts...)...)
	if err != nil {
		return nil, openError(c, "client", err)
	}
	return client, nil
}

// batchBytes is what a batch that franz-go itself unpacks may become: a few bytes can claim
// any size. The lanes read batches piece by piece, see package wire.
const batchBytes = 128 << 20

func franzOptions(c Config) ([]kgo.Opt, error) {
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(servers...), kgo.ClientID(c.ClientID()), kgo.MaxDecompressBatchBytes(batchBytes)}
	if c.Properties["enable.metrics.push"] != "true" {
		opts = append(opts, kgo.DisableClientMetrics())
	}
	if rack := c.Properties["client.rack"]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	if wait, ok := milliseconds(c, "socket.timeout.ms"); ok {
		opts = append(opts, kgo.RequestTimeoutOverhead(max(wait, 100*time.Millisecond))) // franz-go's least
	}
	if idle, ok := milliseconds(c, "connections.max.idle.ms"); ok && idle > 0 {
		opts = append(opts, kgo.ConnIdleTimeout(idle))
	}
	dial, err := dialerOf(c)
	if err != nil {
		return nil, err
	}
	if c.Silence != nil {
		dial = c.Silence.dialing(dial)
		opts = append(opts, kgo.WithHooks(c.Silence))
	}
	opts = append(opts, kgo.Dialer(dial))
	mechanism, err := mechanismOf(c)
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism), kgo.WithHooks(refusals{c}))
	}
	return opts, nil
}

// Duration is the value of a property in milliseconds, or another where it is not set.
func (c Config) Duration(property string, otherwise time.Duration) time.Duration {
	if d, ok := milliseconds(c, property); ok {
		return d
	}
	return otherwise
}

func milliseconds(c Config, property string) (time.Duration, bool) {
	n, err := strconv.ParseInt(c.Properties[property], 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func dialerOf(c Config) (dialFunc, error) {
	plain := &net.Dialer{Timeout: 30 * time.Second} // librdkafka's default
	if wait, ok := milliseconds(c, "socket.connection.setup.timeout.ms"); ok {
		plain.Timeout = wait
	}
	if c.Properties["socket.keepalive.enable"] != "true" {
		plain.KeepAlive = -1
	}
	dial := plain.DialContext
	if c.security().encrypted() {
		encryption, err := newTLS(c)
		if err != nil {
			return nil, err
		}
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&tls.Dialer{NetDialer: plain, Config: encryption.settings()}).DialContext(ctx, network, address)
		}
	}
	suffix := map[string]string{"v4": "4", "v6": "6"}[c.Properties["broker.address.family"]]
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network+suffix, address)
		if err != nil {
			return nil, err
		}
		return ofQuestion(ctx, conn), nil
	}, nil
}

// logins are the mechanisms that can be used.
const logins = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM and, in the batch lane, GSSAPI"

// mechanismOf logs in with the name and the password of the moment.
func mechanismOf(c Config) (sasl.Mechanism, error) {
	scrams := func(context.Context) (scram.Auth, error) {
		now := c.now().Properties
		return scram.Auth{User: now["sasl.username"], Pass: now["sasl.password"]}, nil
	}
	switch login := c.security().login; login {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			now := c.now().Properties
			return plain.Auth{User: now["sasl.username"], Pass: now["sasl.password"]}, nil
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(scrams), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(scrams), nil
	case gssapi:
		return byTicket(c)
	case "OAUTHBEARER", mskIAM:
		login := oauthbearer{withTokens(c)}
		if _, err := (oauthbearer{login.now()}).source(); err != nil {
			return nil, err
		}
		return &tokenLogin{oauthbearer: login}, nil
	default:
		return nil, c.notCarried("sasl.mechanism",
			"accepted are "+logins, "%s cannot be used", login)
	}
}

// MetadataRequest asks for topics by name, past any client's memory; nil asks for
// all that the cluster lets us see, an empty list for the cluster alone.
func MetadataRequest(topics []string) *kmsg.MetadataRequest {
	request := kmsg.NewPtrMetadataRequest()
	if topics != nil {
		request.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	return request
}
