package kafka

import (
	"context"
	"net"
	"sync/atomic"
)

// beginning is a connection on which the broker has not said anything yet. It ends with the question for which it was
// opened: franz-go waits for a broker's first answer whatever has become of that question, and a broker that takes
// connections and is silent would hold back whoever has given up, for ten seconds.
type beginning struct {
	net.Conn
	waiting atomic.Bool
	stop    func() bool
}

// ofQuestion makes a new connection end with ctx, until something was read from it.
func ofQuestion(ctx context.Context, conn net.Conn) net.Conn {
	b := &beginning{Conn: conn}
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
	if n > 0 && b.waiting.CompareAndSwap(true, false) {
		b.stop()
	}
	return n, err
}
