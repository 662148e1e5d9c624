package main

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// What one who asks may take of this process, whose business is another.
const (
	headerWithin   = 5 * time.Second  // to send a request's head
	requestWithin  = 10 * time.Second // all of it
	answerWithin   = 30 * time.Second // to take the answer: some thousand partitions are a few MB
	idleFor        = 2 * time.Minute  // longer than anybody waits between two scrapes
	mostHeader     = 16 << 10
	mostVisitors   = 64 // connections
	mostCollecting = 8  // scrapes at once
)

// server answers for metrics and health.
type server struct {
	http *http.Server
	door *door
	addr net.Addr
}

// serve listens at host:port until close. /healthz answers 200 while the process
// lives, /readyz 200 or 503 with the reason. Nothing but GET and HEAD is answered.
func serve(listen string, registry *prometheus.Registry, ready func() error, logger *slog.Logger) (*server, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, &kafka.Problem{
			What: "metrics and health cannot be served at " + listen,
			Fix:  `give another address in http.listen, or "" to serve nowhere; perhaps another replicator runs on this machine`,
			Err:  err,
		}
	}
	failures := slog.NewLogLogger(logger.With("server", "http").Handler(), slog.LevelWarn)
	d := &door{Listener: listener, most: mostVisitors, inside: map[net.Conn]visitor{}}
	s := &server{
		door: d, addr: listener.Addr(),
		http: &http.Server{
			Handler: readOnly(pages(registry, ready, failures)), ErrorLog: failures, ConnState: d.moved,
			ReadHeaderTimeout: headerWithin, ReadTimeout: requestWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
			MaxHeaderBytes: mostHeader,
		},
	}
	go func() { _ = s.http.Serve(d) }() // ends with close
	return s, nil
}

func (s *server) close() { _ = s.http.Close() }

func pages(registry *prometheus.Registry, ready func() error, failures *log.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry: registry, ErrorLog: failures, MaxRequestsInFlight: mostCollecting,
	}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := ready()
		if err == nil {
			fmt.Fprintln(w, "ready")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready:", err)
		if remedy := chunk.Remedy(err); remedy != "" {
			fmt.Fprintln(w, "remedy:", remedy)
		}
	})
	return mux
}

// readOnly refuses whatever wants to change something: there is nothing to change.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// door bounds the connections: they share the process' file descriptors with those to the
// brokers. Where it is full, the one that has been silent longest makes room, so that
// connections which ask nothing cannot keep out one that does.
type door struct {
	net.Listener
	most int

	mu     sync.Mutex
	inside map[net.Conn]visitor
}

// visitor is a connection.
type visitor struct {
	asking bool // an answer is under way
	since  time.Time
}

// Accept waits for the next connection.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leaves := d.enter(conn)
		if leaves != nil {
			_ = leaves.Close()
		}
		if leaves != conn {
			return conn, nil
		}
	}
}

// enter lets a connection in; it answers which one has to go for it, perhaps that one.
func (d *door) enter(conn net.Conn) (leaves net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.inside) >= d.most {
		leaves = conn
		var silent time.Time
		for one, v := range d.inside {
			if !v.asking && (silent.IsZero() || v.since.Before(silent)) {
				leaves, silent = one, v.since
			}
		}
		delete(d.inside, leaves)
	}
	if leaves != conn {
		d.inside[conn] = visitor{since: time.Now()}
	}
	return leaves
}

// moved is told by the server what becomes of a connection.
func (d *door) moved(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch _, there := d.inside[conn]; {
	case !there:
	case state == http.StateClosed, state == http.StateHijacked:
		delete(d.inside, conn)
	default:
		d.inside[conn] = visitor{asking: state == http.StateActive, since: time.Now()}
	}
}
