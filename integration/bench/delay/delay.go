// Package delay puts a long line between a client and a server on one machine.
//
// A [Line] takes connections at its address and passes them on. What it guarantees:
//
//  1. every byte arrives, in order, no sooner than the delay after it was sent, in
//     each direction: a request and its answer take twice that;
//  2. the delay costs no throughput: up to [Held] bytes of a connection are under
//     way in each direction before a sender has to wait.
//
// It imitates distance only. Nothing gets lost, and no congestion window has to
// grow first, as it would on a real line.
package delay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Held is how many bytes of a connection can be under way in one direction.
const Held = pieces * pieceBytes

const (
	pieceBytes = 64 << 10
	pieces     = 1024
)

// Line is a listener, until it is run.
type Line struct {
	listener net.Listener
	delay    time.Duration
}

// Listen takes an address of this machine, at which [Line.Run] will take connections.
func Listen(delay time.Duration) (*Line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a line of %s: %w", delay, err)
	}
	return &Line{listener: l, delay: delay}, nil
}

// Address is where clients connect to.
func (l *Line) Address() string { return l.listener.Addr().String() }

// Run passes connections on to the server at an address, until the context ends;
// then it cuts them all and gives its own address back.
func (l *Line) Run(ctx context.Context, server string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { l.listener.Close() })
	var all sync.WaitGroup
	defer all.Wait()
	for {
		client, err := l.listener.Accept()
		if err != nil {
			stop()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("the line to %s: %w", server, err)
		}
		all.Go(func() { l.connect(ctx, client, server) })
	}
}

// connect passes one connection on, until both sides have ended or the line is cut.
// What a server that does not answer would show its client, this does, too.
func (l *Line) connect(ctx context.Context, client net.Conn, server string) {
	defer client.Close()
	var dialer net.Dialer
	far, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() {
		client.Close()
		far.Close()
	})()
	var both sync.WaitGroup
	both.Go(func() { l.carry(ctx, far, client) })
	both.Go(func() { l.carry(ctx, client, far) })
	both.Wait()
}

// piece is what was sent at once.
type piece struct {
	data []byte
	due  time.Time
}

// carry carries one direction. An end of file travels as the bytes do; a broken
// receiver makes the sender's writes fail.
func (l *Line) carry(ctx context.Context, to, from net.Conn) {
	line := make(chan piece, pieces)
	go func() { // ends with what it reads from
		defer close(line)
		data := make([]byte, pieceBytes)
		for {
			n, err := from.Read(data)
			if n > 0 {
				line <- piece{bytes.Clone(data[:n]), time.Now().Add(l.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failed error
	for p := range line {
		if failed != nil {
			continue // until the reader has seen that it is over
		}
		timer.Reset(time.Until(p.due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			failed = ctx.Err()
			continue
		}
		if _, failed = to.Write(p.data); failed != nil {
			from.Close()
		}
	}
	end(to)
}

// end tells a receiver that no more comes, and leaves its own direction open.
func end(to net.Conn) {
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it may be broken already
		return
	}
	_ = to.(io.Closer).Close()
}
