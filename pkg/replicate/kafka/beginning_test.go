package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// Whoever gives up a question is not held back by a broker that takes connections and is silent.
func TestQuestionEndsAtASilentBroker(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client, err := NewFranz(Config{Name: "old", Properties: map[string]string{
		"bootstrap.servers": silent.Addr().String(), "socket.timeout.ms": "300000",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Ping(ctx) }()
	accepted, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the broker has answered")
		}
	case <-time.After(time.Minute): // a fifth of what the request may take
		t.Fatal("the question goes on")
	}
}

// A connection that the broker has answered on outlives the question for which it was opened.
func TestConnectionOutlivesItsQuestion(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn := ofQuestion(ctx, ours)
	defer conn.Close()
	exchange := func(text string) {
		t.Helper()
		go func() { _, _ = theirs.Write([]byte(text)) }()
		into := make([]byte, len(text))
		if n, err := conn.Read(into); err != nil || string(into[:n]) != text {
			t.Fatalf("read %q, %v; want %q", into[:n], err, text)
		}
	}
	exchange("first")
	cancel()
	exchange("second")
}

// Where a question ended before the broker has said anything, the error says that, and not who closed the connection.
func TestSilenceHasAName(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn := ofQuestion(ctx, ours)
	defer conn.Close()
	cancel()
	_, err := conn.Read(make([]byte, 1))
	var operation *net.OpError
	if !errors.As(err, &operation) || !strings.Contains(err.Error(), "takes connections, and does not answer") {
		t.Errorf("%v, want an error of the network that names the silence", err)
	}
}
