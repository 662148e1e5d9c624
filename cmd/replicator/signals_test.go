package main

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"replicator/cmd/replicator/files"
)

// A daemon outlives its terminal, and takes a signal that comes twice for one.
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
	for range 2 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.exit(cmd, log); got != exitDone || strings.Contains(log.String(), "second signal") {
		t.Errorf("exit %d\n%s", got, log.String())
	}
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
