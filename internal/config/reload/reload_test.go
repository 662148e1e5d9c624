package reload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"replicator/internal/config"
)

// text is a log that is written to and read.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

// take is what was logged since the last time.
func (t *text) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.b.Reset()
	return t.b.String()
}

func valueOf(t *testing.T, gauge prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	if err := gauge.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// Whatever a file says next: what can be taken over is, what cannot is named, and what is refused has no effect.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	path, secret := filepath.Join(dir, "site.yaml"), filepath.Join(dir, "secret")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := func(flow, more string) string {
		return fmt.Sprintf("clusters:\n"+
			"  old: {bootstrap.servers: 'old:9092', client.id: 'x${file:%s}'}\n"+
			"  new: {bootstrap.servers: 'new:9092'}\nflows:\n  - {from: old, to: new%s}\n%s", secret, flow, more)
	}
	write(secret, "hunter2")
	write(path, site("", ""))
	begun, err := config.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var log text
	var taken *config.Config
	var back func(error)
	hangup := make(chan os.Signal)
	level := new(slog.LevelVar)
	r := New(Options{Path: path, Begun: begun, Level: level, Hangup: hangup, Registry: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Take: func(_ context.Context, _, next *config.Config, refused func(error)) error {
			taken, back = next, refused
			return nil
		}})
	step := func(why string, runs bool, success float64, says ...string) string {
		t.Helper()
		taken = nil
		r.reload(t.Context())
		got := log.take()
		for _, part := range says {
			if !strings.Contains(got, part) {
				t.Errorf("%s: without %q:\n%s", why, part, got)
			}
		}
		if (taken != nil) != runs || valueOf(t, r.successful) != success || strings.Contains(got, "hunter2") {
			t.Errorf("%s: taken %v, success %v\n%s", why, taken != nil, valueOf(t, r.successful), got)
		}
		return got
	}
	step("nothing new", false, 1, "is what runs")
	write(path, site(", topics: [a], commit_interval: 1s", "log: {level: debug}"))
	step("topics, an interval and the level", true, 1, "configuration is taken over",
		"[log.level flow old->new commit_interval flow old->new topics]")
	if level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", level)
	}
	write(path, site(", topics: [b, a", ""))
	step("half written", false, 0, "is refused, what ran before goes on", "is not YAML")
	write(path, site(", topics: [b], shards: 4", "log: {level: warn}\nhttp: {listen: ''}"))
	step("shards and others", false, 0, "clusters and flows stay as they were",
		"flow old->new shards: put it back", "http.listen: restart the program")
	write(path, site(", topics: [b]", "http: {listen: ''}"))
	step("listen", true, 0, "but for what cannot change", "http.listen: restart the program")
	write(path, site(", topics: [c]", ""))
	step("put back", true, 1, "flow old->new topics")
	back(errors.New("the clusters say no"))
	write(secret, "hunter2-too")
	step("a file that is named", true, 1, "cluster old client.id")
	if got := taken.Clusters["old"].Properties["client.id"]; got != "xhunter2-too" {
		t.Errorf("got %q", got)
	}
	write(path, site("", "")+"  - {from: new, to: old, sync_topic_configs: false, naming: identity}\n")
	step("another flow", true, 1, "flow new->old shards")
}

// Contents count once two looks have seen them, however the file came to its place; a signal is obeyed at once.
func TestFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	mount := func(n int, topics string) { // as Kubernetes does it
		t.Helper()
		folder := filepath.Join(dir, fmt.Sprint(n))
		text := "clusters: {old: {bootstrap.servers: 'old:9092'}, new: {bootstrap.servers: 'new:9092'}}\n" +
			"flows: [{from: old, to: new, topics: " + topics + "}]\n"
		next := filepath.Join(dir, "next")
		if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, "site.yaml"), []byte(text), 0o600),
			os.Symlink(folder, next), os.Rename(next, filepath.Join(dir, "data"))); err != nil {
			t.Fatal(err)
		}
	}
	mount(1, "[a]")
	path := filepath.Join(dir, "data", "site.yaml")
	begun, err := config.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	took := make(chan string, 1)
	hangup := make(chan os.Signal)
	start := func(every time.Duration) (stop func()) {
		r := New(Options{Path: path, Begun: begun, Level: new(slog.LevelVar), Hangup: hangup,
			Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Every: every,
			Take: func(_ context.Context, _, next *config.Config, _ func(error)) error {
				took <- next.Flows[0].Topics[0]
				return nil
			}})
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		return func() { end(); <-done }
	}
	stop := start(time.Millisecond)
	for n, topic := range []string{"b", "c"} {
		mount(n+2, "["+topic+"]")
		if got := <-took; got != topic {
			t.Errorf("got %s, want %s", got, topic)
		}
	}
	stop()
	defer start(time.Hour)()
	hangup <- syscall.SIGHUP
	if got := <-took; got != "c" {
		t.Errorf("after the signal: got %s", got)
	}
}
