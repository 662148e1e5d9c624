package kafkatest

import (
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Brokers starts a cluster of so many brokers, each of which can be cut off by its number: nobody reaches it from then
// on, and the others go on.
func Brokers(t testing.TB, n int, opts ...kfake.Opt) (c *Cluster, cutOff func(broker int)) {
	t.Helper()
	var doors []*door
	listen := func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		d := &door{Listener: l}
		doors = append(doors, d)
		return d, err
	}
	c = Start(t, append([]kfake.Opt{kfake.NumBrokers(n), kfake.ListenFn(listen)}, opts...)...)
	return c, func(broker int) { doors[broker].shut() }
}

// door is the listener of one broker.
type door struct {
	net.Listener
	mu     sync.Mutex
	inside []net.Conn
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err == nil {
		d.mu.Lock()
		d.inside = append(d.inside, conn)
		d.mu.Unlock()
	}
	return conn, err
}

func (d *door) shut() {
	_ = d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range d.inside {
		_ = conn.Close()
	}
}
