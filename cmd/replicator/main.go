// Command replicator mirrors topics and consumer groups from one Kafka cluster to
// another, exactly. Each verb has a file of its own: flags, a call of pkg/operate or
// pkg/replicate, and what is printed by internal/report or internal/answers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"replicator/internal/interrupt"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		why := interrupt.Obey(signals, cancel)
		fmt.Fprintf(os.Stderr, "error: %s; nothing is lost, the next start settles what was under way\n", why)
		os.Exit(exitFailed)
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
