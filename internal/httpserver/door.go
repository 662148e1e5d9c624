package httpserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// door bounds the connections: they share the process' file descriptors with those to the
// brokers. Where it is full, the one that has been silent longest makes room, so that
// connections which ask nothing cannot keep out one that does.
type door struct {
	net.Listener
	most int

	mu     sync.Mutex
	inside map[net.Conn]visitor
}

// visitor is a connection.
type visitor struct {
	asking bool // an answer is under way
	since  time.Time
}

// Accept waits for the next connection.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leaves := d.enter(conn)
		if leaves != nil {
			_ = leaves.Close()
		}
		if leaves != conn {
			return conn, nil
		}
	}
}

// enter lets a connection in; it answers which one has to go for it, perhaps that one.
func (d *door) enter(conn net.Conn) (leaves net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.inside) >= d.most {
		leaves = conn
		var silent time.Time
		for one, v := range d.inside {
			if !v.asking && (silent.IsZero() || v.since.Before(silent)) {
				leaves, silent = one, v.since
			}
		}
		delete(d.inside, leaves)
	}
	if leaves != conn {
		d.inside[conn] = visitor{since: time.Now()}
	}
	return leaves
}

// moved is told by the server what becomes of a connection.
func (d *door) moved(conn net.Conn, state http.ConnState) {
	if sealed, is := conn.(*tls.Conn); is {
		conn = sealed.NetConn() // the one that came in
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch _, there := d.inside[conn]; {
	case !there:
	case state == http.StateClosed, state == http.StateHijacked:
		delete(d.inside, conn)
	default:
		d.inside[conn] = visitor{asking: state == http.StateActive, since: time.Now()}
	}
}
