// Command profile runs the flows of a configuration until caught up, as
// `replicator run --until-caught-up` does, and writes a CPU profile and a heap
// profile of the middle of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/internal/config"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate"
)

func main() {
	file := flag.String("c", "", "configuration")
	cpu := flag.String("cpu", "cpu.prof", "CPU profile to write")
	heap := flag.String("heap", "heap.prof", "heap profile to write when half of the records are copied")
	flag.Parse()
	if err := run(*file, *cpu, *heap); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func run(file, cpu, heap string) (err error) {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	engine := replicate.New(replicate.Options{
		Clusters: cfg.Clusters, Flows: cfg.Flows, UntilCaughtUp: true, ViewGroups: inspect.ViewGroups(cfg.Clusters, nil),
		Registry: prometheus.NewRegistry(), Log: slog.New(cfg.Log.Handler(os.Stderr)),
	})
	into, err := os.Create(cpu)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	if err := pprof.StartCPUProfile(into); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	taken := make(chan error, 1) // one error, sent once
	go func() { taken <- heapInTheMiddle(ctx, engine, heap) }()
	ran := engine.Run(ctx)
	pprof.StopCPUProfile()
	cancel()
	p := engine.Progress()
	fmt.Printf("%d records, %d bytes\n", p.Records, p.Bytes)
	return errors.Join(ran, <-taken)
}

// heapInTheMiddle waits until half is copied: at the end there is nothing left to
// see. A copy that is over sooner gives the profile of its end.
func heapInTheMiddle(ctx context.Context, engine *replicate.Engine, path string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for half := false; !half; {
		select {
		case <-ctx.Done():
			half = true
		case <-tick.C:
			p := engine.Progress()
			half = p.Goal > 0 && p.Done >= p.Goal/2
		}
	}
	into, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(into, 0), into.Close())
}
