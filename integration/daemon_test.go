package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/judge"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// program builds the command once and gives its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "replicator-integration-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "replicator")
	out, err := exec.Command("go", "build", "-o", path, "replicator/cmd/replicator").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
})

// site is a pair of clusters, and one flow old->new between them as a
// configuration file says.
type site struct {
	t              *testing.T
	source, target *cluster.Cluster
	path           string // of the configuration
	binary         string
}

// newSite writes a configuration with one flow; the lines are added to it.
func newSite(t *testing.T, source, target *cluster.Cluster, lines ...string) *site {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, source: source, target: target, binary: binary, path: filepath.Join(t.TempDir(), "flow.yaml")}
	var b strings.Builder
	fmt.Fprintf(&b, "clusters:\n  old: {bootstrap.servers: %q}\n  new: {bootstrap.servers: %q}\n",
		source.Bootstrap(), target.Bootstrap())
	fmt.Fprintf(&b, "flows:\n  - from: old\n    to: new\n    ledger: __replicator.%s\n", unique(t))
	// Tests share brokers, so that what one of them has to wait for is kept short.
	b.WriteString("    refresh_interval: 1s\n    group_sync_interval: 300ms\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	b.WriteString("http: {listen: \"127.0.0.1:0\"}\n")
	if err := os.WriteFile(s.path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.forget("__replicator." + unique(t)) })
	return s
}

// forget deletes the test's ledgers: every flow that begins on a shared broker would read them.
func (s *site) forget(prefix string) {
	for _, c := range []*cluster.Cluster{s.source, s.target} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.Bootstrap(), ",")...))
		if err == nil {
			admin := kadm.NewClient(client)
			if topics, err := admin.ListTopicsWithInternal(ctx); err == nil {
				var names []string
				for _, name := range topics.Names() {
					if strings.HasPrefix(name, prefix) {
						names = append(names, name)
					}
				}
				if len(names) > 0 {
					_, _ = admin.DeleteTopics(ctx, names...)
				}
			}
			client.Close()
		}
		cancel()
	}
}

// edit puts another text in the place of one, everywhere in the configuration.
func (s *site) edit(old, new string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path)
	must(s.t, err)
	if !strings.Contains(string(text), old) {
		s.t.Fatalf("the configuration does not say %q:\n%s", old, text)
	}
	must(s.t, os.WriteFile(s.path, []byte(strings.ReplaceAll(string(text), old, new)), 0o600))
}

// nameSource gives the source a name of its own, with which the flow can run beside
// another one of its test.
func (s *site) nameSource(name string) {
	s.t.Helper()
	for _, at := range []string{"  old: ", "from: old"} {
		s.edit(at, strings.Replace(at, "old", name, 1))
	}
}

// promise is how a flow carries records, and what it promises.
type promise struct{ lane, delivery string }

func (p promise) String() string { return p.lane + "-" + p.delivery }

func (p promise) lines() []string { return []string{"lane: " + p.lane, "delivery: " + p.delivery} }

var promises = []promise{{"batch", "exactly_once"}, {"record", "exactly_once"}, {"record", "at_least_once"}}

// onLanes runs a test in both lanes, exactly once.
func onLanes(t *testing.T, test func(t *testing.T, lane string)) {
	for _, lane := range []string{"batch", "record"} {
		t.Run(lane, func(t *testing.T) { test(t, lane) })
	}
}

// unique makes a name for topics and groups out of a test's name.
func unique(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, strings.TrimPrefix(t.Name(), "Test"))
}

// sides are the clusters as the judge wants them.
func (s *site) sides() judge.Sides {
	return judge.Sides{Source: s.source.Bootstrap(), Target: s.target.Bootstrap()}
}

// daemon is a running `replicator run`.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *syncBuffer
	done chan struct{}
	err  error
}

// run starts the daemon; it is ended with the test.
func (s *site) run(args ...string) *daemon {
	s.t.Helper()
	d := &daemon{t: s.t, out: &syncBuffer{}, done: make(chan struct{})}
	d.cmd = exec.Command(s.binary, append([]string{"run", "-c", s.path}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	s.t.Cleanup(func() {
		// One that is killed stays in its group for a session, where flows of later tests, whose clusters have the same
		// names, would find it.
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.done:
		case <-time.After(20 * time.Second):
			d.kill()
		}
		if s.t.Failed() {
			s.t.Logf("the daemon said:\n%s", d.out.String())
		}
	})
	return d
}

// kill ends the daemon as SIGKILL does.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
}

// stop ends the daemon as SIGTERM does; it must exit with 0 within 10 s.
func (d *daemon) stop() {
	d.t.Helper()
	begun := time.Now()
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Fatalf("the daemon is still there 20 s after SIGTERM\n%s", d.out.String())
	}
	if d.err != nil {
		d.t.Fatalf("the daemon ended with %v after SIGTERM\n%s", d.err, d.out.String())
	}
	if took := time.Since(begun); took > 10*time.Second {
		d.t.Errorf("the daemon took %s to stop", took)
	}
}

// copyOnce runs until caught up, which must succeed.
func (s *site) copyOnce() {
	s.t.Helper()
	d := s.run("--until-caught-up")
	select {
	case <-d.done:
	case <-time.After(5 * time.Minute):
		s.t.Fatalf("not caught up after 5 minutes\n%s", d.out.String())
	}
	if d.err != nil {
		s.t.Fatalf("run --until-caught-up: %v\n%s", d.err, d.out.String())
	}
}

// command runs another verb and answers what it printed, and its exit code.
func (s *site) command(args ...string) (string, int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, append(args, "-c", s.path)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("replicator %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// syncBuffer collects output that another goroutine writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits for something that has to come true.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; <-tick.C {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// deadline is the context of one test.
func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// adminOf asks a cluster.
func adminOf(t *testing.T, on *cluster.Cluster) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(on.Bootstrap(), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}
