package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"replicator/cmd/replicator/files"
	"replicator/cmd/replicator/line"
	"replicator/internal/config"
	"replicator/internal/config/reload"
	"replicator/internal/httpserver"
	"replicator/internal/interrupt"
	"replicator/internal/page"
	"replicator/internal/report/status"
	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
)

// newRun makes the verb that copies.
func newRun() *cobra.Command {
	var path string
	var once bool
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Copy, until told to stop or until caught up",
		Long: `run copies all flows of the configuration until SIGTERM or SIGINT. It then
finishes the chunk under way, lets its shards go and exits with 0 within 10
seconds; a second signal ends it at once with 1. Nothing is lost either way.

Start it on as many machines as you like: they share the work, and take over
from each other within seconds.

With --until-caught-up it ends with 0 once everything that was on the source at
its start is on the target and the groups stand right. A transaction that is open
there by then is waited for until its end, and named when that takes long.
Interrupted before, or with a topic stopped or a group that could not be
positioned, it says which and ends with 1, and the same command goes on from there.

The configuration, and the files that it names, are read again on SIGHUP, and within
seconds after they have changed: what can change at once does, the log names the
rest, and a configuration that is refused leaves all as it was.

A page that shows what status tells, /metrics, /healthz and /readyz are served at
http.listen of the configuration.

` + line.ExitCodes,
		Example: `  replicator run -c replicator.yaml
  replicator run -c replicator.yaml --until-caught-up`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Read(path)
			if err != nil {
				return err
			}
			return copyFlows(cmd, path, loaded, once)
		},
	}
	line.ConfigFlag(cmd, &path)
	cmd.Flags().BoolVar(&once, "until-caught-up", false, "end once everything that is on the source now is on the target")
	return cmd
}

func copyFlows(cmd *cobra.Command, path string, loaded *config.Loaded, once bool) error {
	cfg := loaded.Config
	screen := terminal.NewScreen(cmd.ErrOrStderr(), once)
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	log := slog.New(cfg.Log.HandlerAt(screen, level))
	registry := newRegistry()
	var clusters reload.Clusters
	engine := replicate.New(replicate.Options{
		Clusters: clusters.Take(line.ClustersWith(cfg, log)), Flows: cfg.Flows, UntilCaughtUp: once, Registry: registry,
		Log: log, ViewGroups: inspect.ViewGroups(line.ClustersWith(cfg, log), log),
		Version: files.VersionOf(), Commit: files.CommitOf(),
	})
	shown := page.New(page.Options{Clusters: clusters.Take(line.ClustersWith(cfg, log)), Flows: cfg.Flows,
		Metrics: registry, Words: status.Words, Version: files.VersionOf()})
	at := "nowhere"
	if listen := cfg.HTTP.Listen; listen != "" {
		server, err := httpserver.Serve(httpserver.Options{Listen: listen, Metrics: registry, Ready: engine.Ready,
			Page: shown.Handler(), WebConfig: cfg.HTTP.WebConfig, Log: log})
		switch {
		case err == nil:
			defer server.Close()
			at = server.Addr.String()
		case once: // a daemon may run beside it
			log.Warn("page, metrics and health are not served", "error", err)
		default:
			return err
		}
	}
	if !once {
		log.Info("copying", "version", files.VersionOf(), "flows", len(cfg.Flows), "http", at)
	}
	signal.Ignore(syscall.SIGPIPE) // a terminal or a reader of the log that is gone is no reason to end
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	begun := time.Now()
	progress := screen.Follow(engine.Progress)
	beside := []func(context.Context) error{shown.Run}
	if !once {
		beside = append(beside, follow(path, loaded, reload.Options{Level: level, Registry: registry, Log: log,
			Take: func(ctx context.Context, before, next *config.Config, refused func(error)) error {
				show := func(cfg *config.Config) { shown.Change(clusters.Take(line.ClustersWith(cfg, log)), cfg.Flows) }
				show(next)
				return engine.Change(ctx, clusters.Take(line.ClustersWith(next, log)), next.Flows, func(err error) {
					show(before)
					refused(err)
				})
			}}))
	}
	err := besides(cmd.Context(), engine.Run, beside...)
	progress.End()
	sum := engine.Progress()
	switch {
	case once && cmd.Context().Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		return interruptedCopy(err)
	case err != nil:
		return err
	case !once:
		log.Info("stopped", "records", sum.Records, "ran_for", time.Since(begun).Round(time.Second).String())
		return nil
	}
	took := time.Since(begun).Seconds()
	fmt.Fprintf(cmd.OutOrStdout(), "caught up: copied %d records, %.1f MB in %.1f s (%.1f MB/s)\n",
		sum.Records, terminal.Megabytes(sum.Bytes), took, terminal.Megabytes(sum.Bytes)/took)
	return nil
}

// follow has the daemon go on by what its configuration says.
func follow(path string, begun *config.Loaded, o reload.Options) func(context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	o.Path, o.Begun, o.Hangup = path, begun, hangup
	reloader := reload.New(o)
	return func(ctx context.Context) error {
		defer signal.Stop(hangup)
		return reloader.Run(ctx)
	}
}

// besides runs what is the process' business, and something beside it that ends with it.
func besides(ctx context.Context, business func(context.Context) error, beside ...func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var group errgroup.Group
	for _, run := range beside {
		group.Go(func() error { return run(ctx) })
	}
	err := business(ctx)
	end()
	return cmp.Or(err, group.Wait())
}

// gcPercent: most of the heap is what travels, in a few large pieces. Collecting them
// sooner than Go does by itself costs next to nothing, and keeps a third of the memory.
const gcPercent = 40

// interruptedCopy is the end of a one-off copy that was told to stop.
func interruptedCopy(err error) error {
	said := &interrupt.InterruptedError{What: "interrupted before it had caught up",
		Fix: "run the same command again: it goes on where it stopped, and nothing is copied twice"}
	var stopped *replicate.StoppedError
	if errors.As(err, &stopped) && len(stopped.Open) > 0 {
		said.What += ": " + strings.Join(stopped.Open, "; ")
		said.Fix += "; " + chunk.OpenRemedy
	}
	return said
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
