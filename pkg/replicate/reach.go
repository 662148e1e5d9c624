package replicate

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/wait"
)

const (
	// askEvery is how often a cluster is asked whether it answers.
	askEvery = 5 * time.Second
	// sayAfter is how long it may be silent before the log says so.
	sayAfter = 30 * time.Second
	// connectWithin is how long one of its brokers may take to be reached, ms: one that is gone is not the cluster.
	connectWithin = "5000"
)

// reach knows whether one cluster answers this process at all. Whoever copies notices
// by himself that something fails; this says which cluster it is, also when nothing is
// to be copied.
type reach struct {
	cluster      kafka.Config
	log          *slog.Logger
	every, after time.Duration

	mu     sync.Mutex
	asked  bool      // at least once, with an answer or in vain
	silent time.Time // since when it does not answer; zero: it does
}

// reachesOf makes one for each cluster that a flow names.
func reachesOf(o *Options) []*reach {
	every, after := o.AskEvery, o.SayAfter
	if every == 0 {
		every = askEvery
	}
	if after == 0 {
		after = sayAfter
	}
	var names []string
	for _, cfg := range o.Flows {
		names = append(names, cfg.From, cfg.To)
	}
	slices.Sort(names)
	var list []*reach
	for _, name := range slices.Compact(names) {
		cluster := kafka.With(o.Clusters[name], map[string]string{"socket.connection.setup.timeout.ms": connectWithin})
		list = append(list, &reach{cluster: cluster, log: o.Log, every: every, after: after})
	}
	return list
}

// run asks until ctx ends.
func (r *reach) run(ctx context.Context) {
	client, err := listoffsets.Open(r.cluster)
	if err != nil {
		return // the flows say why
	}
	defer client.Close()
	said := false
	for {
		err := client.Reach(ctx)
		if ctx.Err() != nil {
			return
		}
		switch away := r.heard(err, time.Now()); {
		case err != nil && !said && away >= r.after:
			said = true
			remedy := chunk.Remedy(err)
			if remedy == "" {
				remedy = "see whether its brokers run and can be reached from here"
			}
			r.log.Error("cluster is away", "cluster", r.cluster.Name, "for", away.Round(time.Second).String(), "error", err,
				"remedy", strings.TrimSuffix(remedy, ".")+"; copying goes on by itself once it answers")
		case err == nil && said:
			said = false
			r.log.Info("cluster answers again", "cluster", r.cluster.Name, "away", away.Round(time.Second).String())
		}
		if wait.Pause(ctx, r.every) != nil {
			return
		}
	}
}

// heard notes an answer, or a question in vain, and says how long the cluster has been,
// or had been, away.
func (r *reach) heard(err error, now time.Time) (away time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = true
	if err != nil && r.silent.IsZero() {
		r.silent = now
	}
	if !r.silent.IsZero() {
		away = now.Sub(r.silent)
	}
	if err == nil {
		r.silent = time.Time{}
	}
	return away
}

// state says whether the cluster answers, and whether that is known.
func (r *reach) state() (up, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent.IsZero(), r.asked
}
