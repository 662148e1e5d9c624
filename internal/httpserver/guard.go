package httpserver

import (
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/exporter-toolkit/web"

	"replicator/pkg/replicate/kafka"
)

// guard has Prometheus' toolkit put TLS, logins, limits and headers of a file before what is answered: they are in the
// server that it returns, which serves nobody. The toolkit guards a server as a whole, while probes are to be answered
// without a login, so that it is given one that takes no connection. The file is read again for each.
func guard(inner http.Handler, file string, at net.Listener, log *slog.Logger) (*http.Server, error) {
	server := &http.Server{Handler: inner}
	if file == "" {
		return server, nil
	}
	nobody := &nobody{Listener: at, asked: make(chan struct{})}
	failed := make(chan error, 1)
	go func() {
		failed <- web.Serve(nobody, server, &web.FlagConfig{WebConfigFile: &file}, log)
	}()
	select {
	case <-nobody.asked: // all is set by then
		<-failed
		return server, nil
	case err := <-failed:
		return nil, &kafka.Problem{What: "http.web_config " + file + " cannot be used",
			Fix: "correct the file; its form is that of Prometheus' web.config.file", Err: err}
	}
}

// nobody is a listener at which nobody comes.
type nobody struct {
	net.Listener
	once  sync.Once
	asked chan struct{} // closed when the first is waited for
}

// Accept ends the server that calls it.
func (n *nobody) Accept() (net.Conn, error) {
	n.once.Do(func() { close(n.asked) })
	return nil, net.ErrClosed
}

// Close leaves the address as it is.
func (n *nobody) Close() error { return nil }
