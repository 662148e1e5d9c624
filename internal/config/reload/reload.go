// Package reload has a daemon go on by what its configuration says now: when it is told to by a signal, and when the
// file, or one that it names, has other contents.
//
// The central type is [Reloader]. It guarantees:
//
//  1. a configuration that is refused leaves everything as it was, and is told once, with all its problems;
//  2. what is taken over of clusters and flows is taken over as a whole, or not at all;
//  3. what only a restart, or nothing, can change is named by its key, with what to do;
//  4. contents count once two looks have seen them: a file that is half written is not taken.
//
// Files are read, and not watched by name: Kubernetes exchanges what a link leads to.
package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/internal/config"
	"replicator/pkg/replicate/chunk"
)

// Every is how often files are looked at.
const Every = 2 * time.Second

// Options say what is reloaded, and what follows.
type Options struct {
	Path  string
	Begun *config.Loaded // what runs
	// Take has the clusters and flows of the next configuration run in the place of those before. Refused may be called
	// later, and says that what ran before runs again.
	Take     func(ctx context.Context, before, next *config.Config, refused func(error)) error
	Level    *slog.LevelVar // of the log
	Hangup   <-chan os.Signal
	Registry prometheus.Registerer
	Log      *slog.Logger
	Every    time.Duration // as the constant, which 0 stands for
}

// Reloader follows a configuration file.
type Reloader struct {
	Options
	running    *config.Loaded
	tried      [sha256.Size]byte // contents that were looked at
	seen       [sha256.Size]byte // by the last look
	watched    []string
	refusals   chan refusal
	successful prometheus.Gauge
	at         prometheus.Gauge
}

type refusal struct {
	former *config.Loaded
	err    error
}

// Register makes the metrics, by the names that Prometheus gives its own.
func Register(registry prometheus.Registerer) (successful, at prometheus.Gauge) {
	successful = prometheus.NewGauge(prometheus.GaugeOpts{Name: "replicator_config_last_reload_successful",
		Help: "Whether the configuration file, as it was read last, is what runs: 1, or 0."})
	at = prometheus.NewGauge(prometheus.GaugeOpts{Name: "replicator_config_last_reload_success_timestamp_seconds",
		Help: "When what the configuration file says was taken over last, in Unix time."})
	registry.MustRegister(successful, at)
	return successful, at
}

// New makes one whose configuration runs.
func New(o Options) *Reloader {
	if o.Every == 0 {
		o.Every = Every
	}
	r := &Reloader{Options: o, running: o.Begun, watched: o.Begun.Files, refusals: make(chan refusal, 1)}
	r.successful, r.at = Register(o.Registry)
	r.taken()
	r.tried = sum(r.watched)
	r.seen = r.tried
	return r
}

func (r *Reloader) taken() {
	r.successful.Set(1)
	r.at.SetToCurrentTime()
}

// Run follows the file until ctx ends.
func (r *Reloader) Run(ctx context.Context) error {
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.Hangup:
			r.tried = sum(r.watched)
			r.reload(ctx)
		case <-tick.C:
			if now := sum(r.watched); now != r.tried && now == r.seen {
				r.tried = now
				r.reload(ctx)
			} else {
				r.seen = now
			}
		case back := <-r.refusals:
			r.running = back.former
			r.refuse(back.err)
		}
	}
}

// sum stands for the contents of files.
func sum(files []string) [sha256.Size]byte {
	digest := sha256.New()
	for _, file := range files {
		data, err := config.ReadFile(file)
		fmt.Fprintf(digest, "%q%q%v", file, data, err != nil)
	}
	return [sha256.Size]byte(digest.Sum(nil))
}

// reload takes over what the file says now, as far as that can be.
func (r *Reloader) reload(ctx context.Context) {
	next, err := config.Read(r.Path)
	if err != nil {
		var problems *config.Problems
		if errors.As(err, &problems) {
			r.watch(slices.Insert(slices.Clone(problems.Read), 0, r.Path))
		}
		r.refuse(err)
		return
	}
	r.watch(next.Files)
	changes := config.Changed(r.running.Settings, next.Settings)
	if len(changes) == 0 {
		r.taken()
		r.Log.Info("configuration was read again, and is what runs")
		return
	}
	r.Level.Set(next.Config.Log.Level)
	var held, all []string
	var stay []config.Change
	whole := true
	for _, c := range changes {
		all = append(all, c.String())
		if f := fixedBy(c); f != nil {
			stay = append(stay, c)
			held = append(held, c.String()+": "+f.remedy)
			whole = whole && c.Section == ""
		}
	}
	if whole {
		former := r.running
		back := func(err error) {
			select {
			case r.refusals <- refusal{former, err}:
			case <-ctx.Done():
			}
		}
		if err := r.Take(ctx, former.Config, next.Config, back); err != nil {
			return // the process ends
		}
		r.running = &config.Loaded{Config: next.Config, Settings: config.Keep(former.Settings, next.Settings, stay)}
	}
	switch {
	case len(held) == 0:
		r.taken()
		r.Log.Info("configuration is taken over", "changed", all)
	case whole:
		r.successful.Set(0)
		r.Log.Error("configuration is taken over, but for what cannot change while the program runs", "changed", all,
			"remedy", strings.Join(held, "; "))
	default:
		r.successful.Set(0)
		r.Log.Error("clusters and flows stay as they were: something that the configuration changes in them cannot change "+
			"while the program runs", "changed", all, "remedy", strings.Join(held, "; "))
	}
}

// watch looks at other files from now on.
func (r *Reloader) watch(files []string) {
	if !slices.Equal(r.watched, files) {
		r.watched = files
		r.tried = sum(files)
		r.seen = r.tried
	}
}

// refuse tells why what runs is not what the file says.
func (r *Reloader) refuse(err error) {
	r.successful.Set(0)
	r.Log.Error("configuration is refused, what ran before goes on", "error", err, "remedy", chunk.Remedy(err))
}

// fixed is a key that cannot change while the program runs.
type fixed struct {
	section, key string // section: cluster, flow or none; key: its first word
	remedy       string
}

const (
	onLedger = "put it back: a ledger that has begun with it refuses another; a flow that is to begin anew needs " +
		"another ledger, and a restart"
	restart = "restart the program"
)

var fixedKeys = []fixed{
	{"", "http", restart},
	{"", "log.format", restart},
	{"cluster", "prefix", onLedger},
	{"flow", "naming", onLedger},
	{"flow", "separator", onLedger},
	{"flow", "shards", onLedger},
	{"flow", "ledger", restart + ": the flow begins anew with another ledger, see docs/changing-rules.md"},
}

// fixedBy is why a key that changed cannot; nil: it can. What comes or goes as a whole may.
func fixedBy(c config.Change) *fixed {
	kind, _, _ := strings.Cut(c.Section, " ")
	for i := range fixedKeys {
		f := &fixedKeys[i]
		if f.section == kind && (c.Key == f.key || strings.HasPrefix(c.Key, f.key+".")) && !c.Whole {
			return f
		}
	}
	return nil
}
