package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// server answers for metrics and health.
type server struct {
	http *http.Server
	addr net.Addr
}

// serve listens at host:port until close. /healthz answers 200 while the process
// lives, /readyz 200 or 503 with the reason.
func serve(listen string, registry *prometheus.Registry, ready func() error) (*server, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, &kafka.Problem{
			What: "metrics and health cannot be served at " + listen,
			Fix:  `give another address in http.listen, or "" to serve nowhere; perhaps another replicator runs on this machine`,
			Err:  err,
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
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
	s := &server{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, addr: listener.Addr()}
	go func() { _ = s.http.Serve(listener) }() // ends with close
	return s, nil
}

func (s *server) close() { _ = s.http.Close() }
