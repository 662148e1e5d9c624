package kafka

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A broker that did not answer one client is not asked by the next one that shares the silence, until it is forgotten.
// A client with longer patience asks nobody who is silent, and notes nobody.
func TestSilence(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64
	address := peer(t, func(conn net.Conn) {
		taken.Add(1)
		_, _ = conn.Read(make([]byte, 1<<10))
		_, _ = conn.Read(make([]byte, 1)) // until the client gives up
	})
	c := Config{Name: "old", Silence: NewSilence(), Properties: map[string]string{"bootstrap.servers": address,
		"socket.timeout.ms": "100"}}
	ask := func(c Config) error {
		client, err := NewFranz(c, kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = Describe(context.Background(), client, c, []string{})
		return err
	}
	heeding := c
	heeding.Silence = c.Silence.Heeded()
	_ = ask(heeding)
	first := ask(c)
	before := taken.Load()
	if first == nil || before < 2 { // by both of them
		t.Fatalf("it is asked %d times, and the answer is %v", before, first)
	}
	for _, c := range []Config{c, heeding} {
		if err := ask(c); err == nil || !strings.Contains(err.Error(), address+": "+errNoAnswer.Error()) ||
			classify(err) != unreachable {
			t.Errorf("asked again: %v", err)
		}
	}
	if got := taken.Load(); got != before {
		t.Errorf("it was asked %d times more", got-before)
	}
	c.Silence.Forget()
	_ = ask(c)
	if got := taken.Load(); got == before {
		t.Error("once it is forgotten nobody asks")
	}
}
