package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// errNoAnswer is what a broker does that takes a connection, and nothing more.
var errNoAnswer = errors.New("the broker takes connections, and does not answer")

// beginning is a connection on which the broker has not said anything yet. It ends with the question for which it was
// opened: franz-go waits for a broker's first answer whatever has become of that question, and a broker that takes
// connections and is silent would hold back whoever has given up, for ten seconds.
type beginning struct {
	net.Conn
	ended   func() error // why the question has ended; nil: it has not
	waiting atomic.Bool
	stop    func() bool
}

// ofQuestion makes a new connection end with ctx, until something was read from it.
func ofQuestion(ctx context.Context, conn net.Conn) net.Conn {
	b := &beginning{Conn: conn, ended: ctx.Err}
	b.waiting.Store(true)
	b.stop = context.AfterFunc(ctx, func() {
		if b.waiting.Load() {
			_ = conn.Close() // whoever reads is told
		}
	})
	return b
}

// Read reads from the connection; with the first bytes it is everybody's.
func (b *beginning) Read(into []byte) (int, error) {
	n, err := b.Conn.Read(into)
	switch {
	case n > 0 && b.waiting.CompareAndSwap(true, false):
		b.stop()
	case err != nil && b.waiting.Load() && b.ended() != nil: // it was closed here
		err = &net.OpError{Op: "read", Net: "tcp", Source: b.LocalAddr(), Addr: b.RemoteAddr(), Err: errNoAnswer}
	}
	return n, err
}
