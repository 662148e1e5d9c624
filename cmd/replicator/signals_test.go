package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"replicator/cmd/replicator/files"
)

// A daemon outlives its terminal, goes on by what its file says then, and takes a signal that comes twice for one.
func TestHangupDoesNotKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	cmd, log := w.program("run", "-c", w.config)
	w.await("the copy", func() bool { return w.status().CaughtUp })
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	w.source.Fill("orders", 0, 3)
	w.await("more of the copy", func() bool { s := w.status(); return s.CaughtUp && *s.Replicas == 1 })
	w.config = reconfigure(t, w.config, "commit_interval: 50ms", "commit_interval: 60ms\n    topics: [more]")
	w.source.Topic("more", 1)
	w.source.Fill("more", 0, 3)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	w.await("the copy of the topic that the file names now", func() bool {
		return strings.Contains(w.topics(w.target), "more") && w.status().CaughtUp
	})
	if !strings.Contains(log.String(), "configuration is taken over") {
		t.Errorf("the log does not tell of it:\n%s", log.String())
	}
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.exit(cmd, log); got != exitDone || strings.Contains(log.String(), "second signal") {
		t.Errorf("exit %d\n%s", got, log.String())
	}
}

// reconfigure replaces a text of a file.
func reconfigure(t *testing.T, path, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Who interrupts a command is told what it has left undone.
func TestInterruptionSaysWhatWasLeftUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 3)
	w.must("run", "--until-caught-up")
	w.source.Fill("orders", 0, 3)
	interrupted := func(first string, args ...string) outcome {
		ctx, stop := context.WithCancel(w.ctx)
		defer stop()
		var stdout, stderr output
		code := make(chan int, 1)
		go func() { code <- execute(ctx, append([]string{args[0], "-c", w.config}, args[1:]...), &stdout, &stderr) }()
		if first != "" {
			w.await(first, func() bool { return strings.Contains(stderr.String(), first) || len(code) > 0 })
		}
		stop()
		return outcome{<-code, stdout.String(), stderr.String()}
	}
	for _, c := range []struct {
		first string
		line  string
		says  []string
	}{
		{"lag 3", "wait --lag 0", []string{"interrupted: what was waited for does not hold: flow old->new: lag 3"}},
		{"silent", "cutover --yes --silent-for 1h --timeout 2h", []string{
			"interrupted: the cutover is not done, and no application may start on the target: step silent: ",
			"remedy: give the same command again"}},
		{"", "verify", []string{"interrupted: not everything was compared"}},
		{"", "check --connect", []string{"interrupted: nothing was changed, and the answer is not complete"}},
		{"", "status", []string{"interrupted: nothing was changed"}},
		{"", "topics", []string{"interrupted: some topics may not be as they are to be"}},
	} {
		got := interrupted(c.first, strings.Fields(c.line)...)
		for _, want := range c.says {
			if got.code != exitFailed || !strings.Contains(got.stderr, want) ||
				strings.Contains(got.stderr, "context canceled") {
				t.Errorf("%s: exit %d, without %q\n%s%s", c.line, got.code, want, got.stdout, got.stderr)
			}
		}
	}
}

func TestVersionIsAFlagToo(t *testing.T) {
	t.Parallel()
	if got := command(t.Context(), "--version"); got.code != exitDone ||
		got.stdout != "replicator "+files.VersionOf()+"\n" {
		t.Errorf("--version: exit %d %q%s", got.code, got.stdout, got.stderr)
	}
}
