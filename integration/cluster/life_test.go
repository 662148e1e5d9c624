package cluster_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
)

// until polls a condition to its deadline.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ctx := within(t, 30*time.Second)
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited 30s in vain until %s", what)
		case <-tick.C:
		}
	}
}

// asks tells whether the broker answers a request within d.
func asks(t *testing.T, c *cluster.Cluster, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_, err := kadm.NewClient(connect(t, c)).ListBrokers(ctx)
	return err
}

func TestSharedIsStartedOnce(t *testing.T) {
	source, target := cluster.SharedPair(t)
	again := cluster.Shared(t, "source")
	if source.Bootstrap() != again.Bootstrap() {
		t.Errorf("source is at %s, then at %s", source.Bootstrap(), again.Bootstrap())
	}
	if source.Bootstrap() == target.Bootstrap() {
		t.Errorf("source and target are both at %s", source.Bootstrap())
	}
	if got := source.Name() + " " + target.Name(); got != "source target" {
		t.Errorf("the pair is called %q, want %q", got, "source target")
	}
}

func TestPausedBrokerIsSilent(t *testing.T) {
	c := cluster.Start(t, cluster.Config("num.partitions", "3"), cluster.Named("frozen"))
	c.Pause()
	if err := asks(t, c, time.Second); err == nil {
		t.Error("the paused broker answered")
	}
	c.Resume()
	until(t, "the resumed broker answers", func() bool { return asks(t, c, 5*time.Second) == nil })
	if log := c.Logs(); !strings.Contains(log, "Kafka Server started") {
		t.Errorf("the log lacks the broker's start:\n%s", log)
	}
	// Config reaches the broker: a topic without a count gets three partitions.
	if _, err := kadm.NewClient(connect(t, c)).CreateTopic(within(t, 30*time.Second), -1, -1, nil, "default"); err != nil {
		t.Fatal(err)
	}
	// The controller answers before the broker has applied its metadata log, so the topic is waited for.
	var got int
	until(t, "the broker knows the topic", func() bool {
		details, err := kadm.NewClient(connect(t, c)).ListTopics(within(t, 30*time.Second), "default")
		if err != nil {
			t.Fatal(err)
		}
		got = len(details["default"].Partitions)
		return got > 0
	})
	if got != 3 {
		t.Errorf("num.partitions=3 gave a topic of %d partitions", got)
	}
	c.Pause()
	c.Stop() // a frozen broker can be stopped as well
	c.Start()
	if err := asks(t, c, 10*time.Second); err != nil {
		t.Errorf("started after a stop while frozen: %v", err)
	}
}

// TestHelperOrphan is the child of TestNothingOutlivesAKilledTest: it starts a
// broker, says where, and ends when it is killed or its input closed.
func TestHelperOrphan(t *testing.T) {
	if os.Getenv("REPLICATOR_CLUSTER_ORPHAN") != "1" {
		t.Skip("runs only as the child of another test")
	}
	c := cluster.Start(t, cluster.Named("orphan"))
	os.Stdout.WriteString("orphan at " + c.Bootstrap() + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A test process that is killed leaves no broker and, once the next one runs,
// nothing at all.
func TestNothingOutlivesAKilledTest(t *testing.T) {
	c := cluster.Shared(t, "source") // also skips where there are no brokers
	temp := t.TempDir()
	run := func() (*exec.Cmd, string) { // without a parent's word the child ends by itself, and ends its broker
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperOrphan$")
		cmd.Env = append(os.Environ(), "REPLICATOR_CLUSTER_ORPHAN=1", "TMPDIR="+temp, "REPLICATOR_REQUIRE_KAFKA=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if at, ok := strings.CutPrefix(lines.Text(), "orphan at "); ok {
				return cmd, at
			}
		}
		t.Fatal("the child ended without a broker")
		return nil, ""
	}
	homes := func() []string {
		found, err := filepath.Glob(filepath.Join(temp, "replicator-kafka-orphan-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	reachable := func(address string) bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}

	cmd, first := run()
	left := homes()
	if len(left) != 1 || !reachable(first) {
		t.Fatalf("a running broker at %s: reachable %v, homes %q, want one", first, reachable(first), left)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if c.Provider() == "jvm" {
		until(t, "the orphan is gone", func() bool { return !reachable(first) })
	}
	_, second := run()
	if reachable(first) {
		t.Errorf("the broker at %s has outlived its test and the next one, at %s", first, second)
	}
	if now := homes(); len(now) != 1 || now[0] == left[0] {
		t.Errorf("the home %s is still there: %q", left[0], now)
	}
}
