package kafkatest

import (
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Door is how one of several brokers is reached.
type Door interface {
	Shut()   // nobody reaches it from now on
	Freeze() // it takes connections, and answers nobody from now on, as after SIGSTOP
}

// Brokers starts a cluster of so many brokers, each with a door of its own.
func Brokers(t testing.TB, n int, opts ...kfake.Opt) (*Cluster, []Door) {
	t.Helper()
	var doors []Door
	listen := func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		d := &door{Listener: l}
		doors = append(doors, d)
		return d, err
	}
	c := Start(t, append([]kfake.Opt{kfake.NumBrokers(n), kfake.ListenFn(listen)}, opts...)...)
	return c, doors
}

// door is the listener of one broker.
type door struct {
	net.Listener
	mu     sync.Mutex
	inside []net.Conn
	frozen bool
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err == nil {
		d.mu.Lock()
		d.inside = append(d.inside, conn)
		d.mu.Unlock()
		conn = &guest{conn, d}
	}
	return conn, err
}

// guest is a connection that hears nothing once the door is frozen.
type guest struct {
	net.Conn
	door *door
}

// Read implements net.Conn.
func (g *guest) Read(into []byte) (int, error) {
	for {
		n, err := g.Conn.Read(into)
		g.door.mu.Lock()
		frozen := g.door.frozen
		g.door.mu.Unlock()
		if err != nil || !frozen {
			return n, err
		}
	}
}

// Freeze implements Door.
func (d *door) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
}

// Shut implements Door.
func (d *door) Shut() {
	_ = d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range d.inside {
		_ = conn.Close()
	}
}
