package httpserver

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func newServer(t *testing.T, log *bytes.Buffer) *Server {
	t.Helper()
	s, err := Serve(Options{Listen: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Ready: func() error { return nil },
		Page: http.NotFoundHandler(), Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (d *door) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.inside)
}

// Connections that ask nothing neither pile up nor keep out those that ask.
func TestServerBoundsConnections(t *testing.T) {
	t.Parallel()
	s := newServer(t, &bytes.Buffer{})
	for range 6 * mostVisitors {
		conn, err := net.Dial("tcp", s.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n := s.door.size(); n > mostVisitors {
			t.Fatalf("%d connections are open, want %d at most", n, mostVisitors)
		}
	}
	for range 3 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + s.Addr.String() + "/healthz")
		if err != nil {
			t.Fatalf("a question among silent connections: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("/healthz: %d", answer.StatusCode)
		}
	}
	if n := s.door.size(); n > mostVisitors {
		t.Errorf("%d connections are open, want %d at most", n, mostVisitors)
	}
}

func TestServerOnlyAnswersQuestions(t *testing.T) {
	t.Parallel()
	s := newServer(t, &bytes.Buffer{})
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		for method, want := range map[string]int{
			http.MethodGet: http.StatusOK, http.MethodHead: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed,
			http.MethodPut: http.StatusMethodNotAllowed, http.MethodDelete: http.StatusMethodNotAllowed,
			"TRACE": http.StatusMethodNotAllowed,
		} {
			request, err := http.NewRequest(method, "http://"+s.Addr.String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != want || want != http.StatusOK && answer.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q, want %d", method, path, answer.StatusCode, answer.Header.Get("Allow"), want)
			}
		}
	}
}

// Nobody holds a connection for as long as he likes, and what fails is told as the log tells all else.
func TestServerEndsWhatTakesLong(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newServer(t, &log)
	if h := s.http; h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.WriteTimeout <= 0 || h.IdleTimeout <= 0 {
		t.Errorf("a time-out is missing: head %s, request %s, answer %s, idle %s", h.ReadHeaderTimeout, h.ReadTimeout,
			h.WriteTimeout, h.IdleTimeout)
	}
	s.http.ErrorLog.Print("http: something failed")
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil || line["level"] != "WARN" ||
		!strings.Contains(line["msg"].(string), "something failed") {
		t.Errorf("the log holds %q, want one line of JSON: %v", log.String(), err)
	}
}
