package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusals remembers logins of a franz-go client that ended with a closed connection, as librdkafka's
// log does of its own: there are brokers that say no in this way, and the call only says EOF.
type refusals struct{ config Config }

// OnBrokerRead is called by franz-go after each read.
func (r refusals) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if kmsg.Key(key) != kmsg.SASLAuthenticate || !closed(err) {
		return
	}
	address := net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	r.config.logger().remember(r.config,
		fmt.Sprintf("%s: SASL authentication error: the broker closed the connection", address), time.Now())
}

// closed says whether a read failed because the other side closed the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}
