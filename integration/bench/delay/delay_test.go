package delay

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// begin runs a line to a server that sends back whatever comes.
func begin(t *testing.T, delay time.Duration) (address string, cut func()) {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() { // ends with the listener
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	line, err := Listen(delay)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one answer
	go func() { ended <- line.Run(ctx, server.Addr().String()) }()
	cut = func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the line ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(cut)
	return line.Address(), cut
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// Everything comes back as it was sent, and after it the end of file.
func TestCarriesAll(t *testing.T) {
	address, _ := begin(t, time.Millisecond)
	c := dial(t, address)
	sent := make([]byte, 5<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(sent)
	wrote := make(chan error, 1) // one answer
	go func() {
		_, err := c.Write(sent)
		if err == nil {
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back, %d were sent, or they are others", len(got), len(sent))
	}
}

// Never sooner than the delay, there and back. How much later is the machine's
// affair.
func TestTakesItsTime(t *testing.T) {
	const delay = 20 * time.Millisecond
	address, _ := begin(t, delay)
	c := dial(t, address)
	for i := range 3 {
		begun := time.Now()
		if _, err := c.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1)
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); got[0] != byte(i) || took < 2*delay {
			t.Errorf("byte %d came back as %d after %s; want it after %s at least", i, got[0], took, 2*delay)
		}
	}
}

// Bytes do not wait for those before them to arrive.
func TestHoldsManyAtOnce(t *testing.T) {
	const never = time.Hour
	address, cut := begin(t, never)
	c := dial(t, address)
	if _, err := c.Write(make([]byte, Held/4)); err != nil {
		t.Errorf("nothing has arrived, and no more can be sent: %v", err)
	}
	cut()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the line is cut, and %d bytes have come", n)
	}
}

func TestNobodyThere(t *testing.T) {
	line, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	gone.listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1) // one answer
	go func() { ended <- line.Run(ctx, gone.Address()) }()
	c := dial(t, line.Address())
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("nobody is there, and %d bytes have come", n)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
