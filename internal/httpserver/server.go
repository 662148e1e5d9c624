package httpserver

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
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

// Options are what a Server answers for, and where.
type Options struct {
	Listen  string // host:port
	Metrics *prometheus.Registry
	Ready   func() error // why the process is not at work
	Page    http.Handler // of all other paths
	Log     *slog.Logger
}

// Server answers for metrics and health.
type Server struct {
	http *http.Server
	door *door
	Addr net.Addr // where it listens
}

// Serve listens at host:port until Close. /healthz answers 200 while the process
// lives, /readyz 200 or 503 with the reason. Nothing but GET and HEAD is answered.
func Serve(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, &kafka.Problem{
			What: "metrics and health cannot be served at " + o.Listen,
			Fix:  `give another address in http.listen, or "" to serve nowhere; perhaps another replicator runs on this machine`,
			Err:  err,
		}
	}
	failures := slog.NewLogLogger(o.Log.With("server", "http").Handler(), slog.LevelWarn)
	d := &door{Listener: listener, most: mostVisitors, inside: map[net.Conn]visitor{}}
	s := &Server{
		door: d, Addr: listener.Addr(),
		http: &http.Server{
			Handler: readOnly(paths(&o, failures)), ErrorLog: failures, ConnState: d.moved,
			ReadHeaderTimeout: headerWithin, ReadTimeout: requestWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
			MaxHeaderBytes: mostHeader,
		},
	}
	go func() { _ = s.http.Serve(d) }() // ends with Close
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() { _ = s.http.Close() }

func paths(o *Options, failures *log.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", o.Page)
	mux.Handle("/metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{
		Registry: o.Metrics, ErrorLog: failures, MaxRequestsInFlight: mostCollecting,
	}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := o.Ready()
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
