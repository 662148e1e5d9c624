package replicate_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// simNet lies between the replicas and one cluster. It knows each by its client id, so
// that faults meet the engine and never the simulation's own clients.
type simNet struct {
	mu     sync.Mutex
	cuts   []*simCut
	conns  map[*simConn]bool
	dead   map[string]bool          // nothing of them arrives any more
	deaf   map[string]bool          // what they send arrives, and no answer reaches them
	frozen map[string]chan struct{} // what they sent waits until the channel is closed
	asleep chan string              // the next replica that ends a transaction freezes, and is named here
	wrote  map[string]bool          // requests that may change the cluster, by name
}

// simCut closes the connection that the next requests of a kind arrive on: before they
// take effect, or after, in place of their answer.
type simCut struct {
	key   kmsg.Key
	after bool
	left  int
}

// simReads are the requests that change nothing on a cluster: a replica sends no others to the source.
var simReads = map[kmsg.Key]bool{
	kmsg.ApiVersions: true, kmsg.Metadata: true, kmsg.Fetch: true, kmsg.ListOffsets: true, kmsg.OffsetFetch: true,
	kmsg.OffsetForLeaderEpoch: true, kmsg.FindCoordinator: true, kmsg.ListGroups: true, kmsg.DescribeGroups: true,
	kmsg.DescribeConfigs: true, kmsg.DescribeCluster: true, kmsg.GetTelemetrySubscriptions: true,
}

func newSimNet() *simNet {
	return &simNet{conns: map[*simConn]bool{}, dead: map[string]bool{}, deaf: map[string]bool{},
		frozen: map[string]chan struct{}{}, wrote: map[string]bool{}}
}

func (n *simNet) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &simListener{l, n}, err
}

type simListener struct {
	net.Listener
	net *simNet
}

func (l *simListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &simConn{Conn: c, net: l.net, lost: map[uint32]bool{}}
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.net.conns[s] = true
	return s, nil
}

// simConn is the broker's end of a connection. The fields below net.mu's belong to the reading goroutine.
type simConn struct {
	net.Conn
	net    *simNet
	client string          // under net.mu
	lost   map[uint32]bool // correlation ids whose answers are lost; under net.mu

	size []byte // of the next request, as far as it is read
	head []byte // its first bytes
	left uint32 // of it, to be read
}

// simHead is enough of a request for its key, correlation id and client id.
const simHead = 40

func (c *simConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for _, b := range p[:n] {
		if c.left == 0 {
			if c.size = append(c.size, b); len(c.size) == 4 {
				c.left, c.size, c.head = binary.BigEndian.Uint32(c.size), c.size[:0], c.head[:0]
			}
			continue
		}
		c.left--
		if len(c.head) == simHead {
			continue
		}
		c.head = append(c.head, b)
		if (len(c.head) == simHead || c.left == 0) && !c.passes() {
			c.Close() // the fault
			return 0, net.ErrClosed
		}
	}
	return n, err
}

// passes says whether the request that begins with head reaches the broker, and waits while its client is frozen.
func (c *simConn) passes() bool {
	key := kmsg.Key(binary.BigEndian.Uint16(c.head))
	correlation := binary.BigEndian.Uint32(c.head[4:])
	client := ""
	if size := int(int16(binary.BigEndian.Uint16(c.head[8:]))); size > 0 {
		client = string(c.head[10:min(10+size, len(c.head))])
	}
	if len(client) < len(simClient) || client[:len(simClient)] != simClient {
		return true // one of the simulation's own
	}
	c.net.mu.Lock()
	c.client = client
	if asleep := c.net.asleep; asleep != nil && key == kmsg.EndTxn && c.net.frozen[client] == nil {
		c.net.asleep, c.net.frozen[client] = nil, make(chan struct{})
		asleep <- client
	}
	thaw := c.net.frozen[client]
	c.net.mu.Unlock()
	if thaw != nil {
		<-thaw
	}
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.net.dead[client] {
		return false
	}
	if !simReads[key] {
		c.net.wrote[key.Name()] = true
	}
	for _, cut := range c.net.cuts {
		if cut.key == key && cut.left > 0 {
			cut.left--
			c.lost[correlation] = cut.after
			return cut.after
		}
	}
	return true
}

// Write is one answer.
func (c *simConn) Write(p []byte) (int, error) {
	c.net.mu.Lock()
	lost := len(p) >= 8 && c.lost[binary.BigEndian.Uint32(p[4:])] || c.net.dead[c.client] || c.net.deaf[c.client]
	c.net.mu.Unlock()
	if lost {
		c.Close() // the fault
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *simConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	return c.Conn.Close()
}

func (n *simNet) cut(key kmsg.Key, after bool, count int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts = append(n.cuts, &simCut{key, after, count})
	when := "before"
	if after {
		when = "after"
	}
	return fmt.Sprintf("%d connections cut, %s %s took effect", count, when, key.Name())
}

// flap cuts all connections of the replicas.
func (n *simNet) flap() {
	n.mu.Lock()
	var all []*simConn
	for c := range n.conns {
		if c.client != "" {
			all = append(all, c)
		}
	}
	n.mu.Unlock()
	for _, c := range all {
		c.Close() // the fault
	}
}

// kill lets nothing of a client through, for ever.
func (n *simNet) kill(client string) {
	n.mu.Lock()
	n.dead[client] = true
	n.mu.Unlock()
	n.flap()
}

// deafen lets a client's requests arrive, and loses all answers.
func (n *simNet) deafen(client string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf[client] = true
}

// freeze keeps back what a client sends, until thaw: then it arrives late.
func (n *simNet) freeze(client string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen[client] == nil {
		n.frozen[client] = make(chan struct{})
	}
}

// freezeAtEnd freezes the next replica that ends a transaction: this arrives late as well.
func (n *simNet) freezeAtEnd() <-chan string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asleep = make(chan string, 1)
	return n.asleep
}

// heal thaws what is frozen. Cuts stay, each until a request has met it.
func (n *simNet) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for client, thaw := range n.frozen {
		close(thaw)
		delete(n.frozen, client)
	}
}

// written lists the kinds of requests of replicas that may have changed this cluster.
func (n *simNet) written() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.wrote))
}
