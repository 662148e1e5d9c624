package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"replicator/internal/answers"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// Options are what a Page is made of.
type Options struct {
	Clusters map[string]kafka.Config
	Flows    []settings.Config
	Metrics  prometheus.Gatherer                      // of this process
	Words    func(*inspect.FlowStatus) answers.Remark // a flow in one sentence, and what an operator has to know
	Version  string
}

// Page answers for what it shows while Run runs.
type Page struct {
	version string
	looks   *looks
	history *history
	asks    *asks
}

// New makes one.
func New(o Options) *Page {
	asks := &asks{turn: make(chan struct{}, 1)}
	p := &Page{version: o.Version, asks: asks, history: newHistory(o.Metrics, o.Flows)}
	p.looks = newLooks(func() watcher {
		s := asks.setup.Load()
		return inspect.Watch(s.clusters, s.flows)
	}, o.Words, time.Now)
	asks.setup.Store(&setup{o.Clusters, o.Flows})
	return p
}

// Change has it show other flows, or on other clusters.
func (p *Page) Change(clusters map[string]kafka.Config, flows []settings.Config) {
	p.asks.setup.Store(&setup{clusters, flows})
	p.history.change(flows)
	p.looks.changed.Store(true)
}

// Run looks for those who ask, and remembers what the metrics said, until ctx ends.
func (p *Page) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.looks.run(ctx) })
	group.Go(func() error { return p.history.run(ctx) })
	return group.Wait()
}

//go:embed assets
var assets embed.FS

// policy lets the page load and ask what is served beside it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler answers at / and below /api/v1/.
func (p *Page) Handler() http.Handler {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // they are built in
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("/api/v1/status", p.status)
	mux.HandleFunc("/api/v1/history", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, http.StatusOK, p.history.document())
	})
	mux.HandleFunc("/api/v1/offsets", p.asks.offsets)
	mux.HandleFunc("/api/v1/version", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, http.StatusOK, Version{p.version})
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusNotFound, &kafka.Problem{What: "there is nothing at " + r.URL.Path,
			Fix: "see docs/page.md for what is"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

// patience is how long one who asks is made to wait; what took longer is there for the next question.
const patience = 20 * time.Second

// status answers the look that all share.
func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	look, err := p.looks.get(ctx)
	if err != nil {
		refuse(w, r, http.StatusServiceUnavailable, err)
		return
	}
	w.Header().Set("Age", strconv.Itoa(int(p.looks.age(look).Seconds())))
	body := look.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = look.zipped
	}
	write(w, http.StatusOK, body)
}

// refuse answers why there is no answer.
func refuse(w http.ResponseWriter, r *http.Request, code int, err error) {
	answer(w, r, code, Refusal{err.Error(), chunk.Remedy(err)})
}

func answer(w http.ResponseWriter, _ *http.Request, code int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, code, body)
}

func write(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept-Encoding")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // who asked may be gone
}

// errSlow is what one is told who asked for a look that takes long.
var errSlow = &kafka.Problem{What: "the clusters have not told all yet: looking at them takes long",
	Fix: "ask again: the answer is kept as soon as it is there"}

var errEnding = errors.New("this process is ending")
