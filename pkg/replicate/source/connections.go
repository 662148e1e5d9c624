package source

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// connections counts those that were made to each broker.
type connections struct {
	mu   sync.Mutex
	made map[int32]int
}

// OnBrokerConnect is for franz-go, which dials by itself, also in the middle of things.
func (c *connections) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = map[int32]int{}
	}
	c.made[broker.NodeID]++
}

func (c *connections) to(broker int32) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made[broker]
}
