// Command replicator mirrors topics and consumer groups from one Kafka cluster to
// another, exactly. Each verb has a file of its own; what they do is done by
// pkg/replicate.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopLimit is how long a process that was told to end may take to let go.
const stopLimit = 10 * time.Second

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		why := "a second signal ended it at once"
		select {
		case <-signals:
		case <-time.After(stopLimit):
			why = fmt.Sprintf("it did not let go within %s", stopLimit)
		}
		fmt.Fprintf(os.Stderr, "error: %s; nothing is lost, the next start settles what was under way\n", why)
		os.Exit(exitFailed)
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
