package interrupt

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Of what may come as a signal, only two orders to end that are a second apart end the
// process at once.
func TestOnlyTwoOrdersEndTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	const after = time.Minute // the end of the patience
	for _, c := range []struct {
		what string
		send map[time.Duration]os.Signal
		ends time.Duration // when it is to end at once
		says string
	}{
		{"one", map[time.Duration]os.Signal{time.Second: syscall.SIGTERM}, 11 * time.Second, "did not let go"},
		{"the same one, twice", map[time.Duration]os.Signal{
			time.Second: syscall.SIGTERM, time.Second + oneSignal/2: syscall.SIGTERM}, 11 * time.Second, "did not let go"},
		{"a second one", map[time.Duration]os.Signal{
			time.Second: syscall.SIGINT, 3 * time.Second: syscall.SIGINT}, 3 * time.Second, "a second signal"},
		{"hangups", map[time.Duration]os.Signal{
			time.Second: syscall.SIGHUP, 5 * time.Second: syscall.SIGHUP}, after, ""},
		{"hangups after one", map[time.Duration]os.Signal{time.Second: syscall.SIGTERM, 3 * time.Second: syscall.SIGHUP},
			11 * time.Second, "did not let go"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			signals, why := make(chan os.Signal, 8), make(chan string, 1)
			begun := time.Now()
			go func() { why <- Obey(signals, cancel) }()
			for at, s := range c.send {
				time.AfterFunc(at, func() { signals <- s })
			}
			select {
			case got := <-why:
				if took := time.Since(begun); took != c.ends || !strings.Contains(got, c.says) || ctx.Err() == nil {
					t.Errorf("%s: %q after %s, want %q after %s", c.what, got, took, c.says, c.ends)
				}
			case <-time.After(after):
				if c.ends != after || ctx.Err() != nil {
					t.Errorf("%s: it goes on, ctx %v; want an end after %s", c.what, ctx.Err(), c.ends)
				}
				signals <- syscall.SIGINT // the end of the test
				<-why
			}
		})
	}
}
