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
	// WebConfig is a file of TLS and logins, as Prometheus has them; "": everybody is answered.
	WebConfig string
	Log       *slog.Logger
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
			ErrorLog: failures, ConnState: d.moved,
			ReadHeaderTimeout: headerWithin, ReadTimeout: requestWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
			MaxHeaderBytes: mostHeader,
		},
	}
	if err := s.serve(d, &o, failures); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the server and its connections.
func (s *Server) Close() { _ = s.http.Close() }

// serve answers until Close: for health everybody, for all else those whom WebConfig lets in.
func (s *Server) serve(d *door, o *Options, failures *log.Logger) error {
	inner := http.NewServeMux()
	inner.Handle("/", o.Page)
	inner.Handle("/metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{
		Registry: o.Metrics, ErrorLog: failures, MaxRequestsInFlight: mostCollecting,
	}))
	within, err := guard(inner, o.WebConfig, d.Listener, o.Log.With("server", "http"))
	if err != nil {
		return err
	}
	s.http.Handler = readOnly(health(o.Ready, within.Handler))
	// The file is asked for each connection where it has TLS.
	if within.TLSConfig == nil || within.TLSConfig.GetConfigForClient == nil {
		go func() { _ = s.http.Serve(d) }()
		return nil
	}
	s.http.TLSConfig = within.TLSConfig
	if within.TLSNextProto != nil && within.TLSNextProto["h2"] == nil {
		s.http.TLSNextProto = within.TLSNextProto // the file wants no HTTP/2
	}
	go func() { _ = s.http.ServeTLS(d, "", "") }()
	return nil
}

// health answers probes, which have no logins, and leaves all else to the next.
func health(ready func() error, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
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
