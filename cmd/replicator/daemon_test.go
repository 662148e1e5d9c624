package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"replicator/internal/answers"
	"replicator/internal/interrupt"
)

// asReplicator makes the test binary be the program, so that signals reach it alone.
const asReplicator = "REPLICATOR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asReplicator) != "" {
		main()
	}
	os.Exit(m.Run())
}

// output is what a running command has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await polls until the condition holds.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(45 * time.Second); !holds(); {
		if time.Now().After(limit) {
			w.t.Fatalf("in vain waited for: %s", what)
		}
		<-tick.C
	}
}

// serving waits until a daemon has said where it serves.
func (w *world) serving(log *output) string {
	w.t.Helper()
	said := regexp.MustCompile(`http=(127\.0\.0\.1:\d+)`)
	w.await("the address in the log", func() bool { return said.MatchString(log.String()) })
	return "http://" + said.FindStringSubmatch(log.String())[1]
}

func (w *world) get(url string) (int, string) {
	w.t.Helper()
	response, err := http.Get(url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// listen turns the metrics on, at a free port.
func (w *world) listen(at string) {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	changed := strings.Replace(string(text), `listen: ""`, `listen: "`+at+`"`, 1)
	if err := os.WriteFile(w.config, []byte(changed), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func TestDaemonServesAndIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "group_sync_interval: 100ms")
	w.source.Topic("orders", 2)
	w.source.Fill("orders", 0, 30)
	w.source.Commit("billing", "orders", 0, 30)
	w.listen("127.0.0.1:0")
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	var stdout, log output
	code := make(chan int, 1)
	go func() { code <- execute(ctx, []string{"run", "-c", w.config}, &stdout, &log) }()
	at := w.serving(&log)
	if got, body := w.get(at + "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d %s", got, body)
	}
	w.await("readiness", func() bool { got, _ := w.get(at + "/readyz"); return got == http.StatusOK })
	w.await("the end of the copy", func() bool { return w.status().CaughtUp })

	w.source.Fill("orders", 1, 20) // while it runs
	w.source.Commit("billing", "orders", 1, 20)
	w.await("the new records and the new position", func() bool {
		s := w.status()
		if !s.CaughtUp || partitionOf(t, s, "orders", 1).SourceEnd != 20 {
			return false
		}
		p := positionOf(t, s, "billing", "orders", 1)
		return p.State == "right" && *p.TargetLag == 0 && s.Replicas != nil && *s.Replicas == 1
	})
	_, metrics := w.get(at + "/metrics")
	for _, want := range []string{
		`replicator_records_total{flow="old->new",topic="orders"} 50`, "replicator_build_info",
		`replicator_shards{flow="old->new",state="owned"}`, "go_goroutines",
		"process_cpu_seconds_total", "go_build_info",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	stop()
	select {
	case got := <-code:
		if got != exitDone || stdout.String() != "" {
			t.Errorf("told to stop: exit %d, %q\n%s", got, stdout.String(), log.String())
		}
	case <-time.After(interrupt.StopLimit):
		t.Fatalf("still running %s after it was told to stop:\n%s", interrupt.StopLimit, log.String())
	}
	if _, err := http.Get(at + "/healthz"); err == nil {
		t.Error("/healthz answers after the end")
	}
}

// program starts this binary as the program.
func (w *world) program(args ...string) (*exec.Cmd, *output) {
	w.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	log := &output{}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), asReplicator+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, log
}

// exit waits for a program's end and answers its code.
func (w *world) exit(cmd *exec.Cmd, log *output) int {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			w.t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	case <-time.After(interrupt.StopLimit + 2*time.Second):
		w.t.Fatalf("did not end:\n%s", log.String())
	}
	return -1
}

func TestSignalsEndTheProgram(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.source.Topic("orders", 2)
			w.source.Fill("orders", 0, 30)
			cmd, log := w.program("run", "-c", w.config)
			w.await("the copy", func() bool { return w.status().CaughtUp })
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if got := w.exit(cmd, log); got != exitDone {
				t.Errorf("exit %d, want %d\n%s", got, exitDone, log.String())
			}
			if s := w.status(); !s.CaughtUp || s.Replicas == nil || *s.Replicas != 0 {
				t.Errorf("after the end: %+v, want caught up and no replica", s)
			}
		})
	}
}

// A one-off copy that is told to stop has not done what it was started for.
func TestInterruptedCopyIsNotDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.transactions(w.source, "orders", 0, 1, 3)
	// Ends never: the target takes no connection.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w.config = w.write(w.source.Address(), silent.Addr().String())
	w.listen("127.0.0.1:0")
	cmd, log := w.program("run", "-c", w.config, "--until-caught-up")
	accepted, err := silent.Accept() // it has begun
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := w.exit(cmd, log); got != exitFailed ||
		!strings.Contains(log.String(), "error: interrupted before it had caught up\nremedy: run the same command again") {
		t.Errorf("exit %d, want %d, and what to do\n%s", got, exitFailed, log.String())
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w.listen(taken.Addr().String())
	got := w.run("run")
	if got.code != exitFailed || !strings.Contains(got.stderr, "remedy: give another address in http.listen") {
		t.Errorf("run: exit %d, want %d with a remedy\n%s", got.code, exitFailed, got.stderr)
	}
	got = w.run("run", "--until-caught-up")
	if got.code != exitDone || !strings.Contains(got.stderr, "page, metrics and health are not served") {
		t.Errorf("run --until-caught-up: exit %d, want %d with a warning\n%s", got.code, exitDone, got.stderr)
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config = w.write("127.0.0.1:1", w.target.Address())
	w.listen("127.0.0.1:0")
	ctx, stop := context.WithCancel(w.ctx)
	var stdout, log output
	code := make(chan int, 1)
	go func() { code <- execute(ctx, []string{"run", "-c", w.config}, &stdout, &log) }()
	at := w.serving(&log)
	got, body := w.get(at + "/readyz")
	if got != http.StatusServiceUnavailable || !strings.Contains(body, "flow old->new") {
		t.Errorf("/readyz: %d %q, want 503 with the flow", got, body)
	}
	stop()
	if got := <-code; got != exitDone {
		t.Errorf("told to stop: exit %d\n%s", got, log.String())
	}
}

// --watch looks again until it is told to stop, also when a cluster is away for a while.
func TestWatchLooksUntilItIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	for _, c := range []struct{ config, want string }{
		{w.config, "orders/0"},
		{w.write("127.0.0.1:1", w.target.Address()), "cluster old (127.0.0.1:1) cannot be reached"},
	} {
		ctx, stop := context.WithCancel(w.ctx)
		out := &output{}
		code := make(chan int, 1)
		go func() { code <- execute(ctx, []string{"status", "-c", c.config, "--watch"}, out, out) }()
		w.await("a second look", func() bool { return strings.Count(out.String(), c.want) >= 2 })
		stop()
		if got := <-code; got != exitDone {
			t.Errorf("told to stop: exit %d\n%s", got, out.String())
		}
	}
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	out := &output{}
	go func() { execute(ctx, []string{"status", "-c", w.config, "--watch", "--json"}, out, out) }()
	w.await("two lines of JSON", func() bool { return strings.Count(out.String(), "\n") >= 2 })
	for _, line := range strings.SplitN(out.String(), "\n", 3)[:2] {
		var got answers.Status
		if err := json.Unmarshal([]byte(line), &got); err != nil || len(got.Flows) != 1 {
			t.Errorf("a line of --watch --json: %v\n%s", err, line)
		}
	}
}
