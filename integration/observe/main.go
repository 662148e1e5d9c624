// Observe shows what there is to see of a mirror, until it is interrupted: two embedded clusters with traffic, two
// replicas of the daemon, and, where one is installed, a real Prometheus that scrapes them and has loaded alerts and
// rules of deploy. One group is too slow on purpose, so that an alert fires.
//
// The central type is [stage]. Its test asks that Prometheus for every expression of every board, alert and rule.
//
//  1. It listens and connects on the loopback interface only, on ports that the system chooses.
//  2. Nothing of it outlives it: what it started ends with it, what it wrote is deleted.
//
// Usage: observe PROGRAM, which is the daemon's binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: observe PROGRAM")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := show(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// show sets the stage, says where to look, and keeps it until it is told to stop.
func show(ctx context.Context, program string) error {
	dir, err := os.MkdirTemp("", "replicator-observe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	prometheus, err := exec.LookPath("prometheus")
	if errors.Is(err, exec.ErrNotFound) {
		prometheus = ""
	}
	s, err := set(ctx, options{program: program, prometheus: prometheus, dir: dir, deploy: "deploy",
		scrape: 2 * time.Second})
	if err == nil {
		s.tell(os.Stdout)
		err = s.play(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// tell writes where to look.
func (s *stage) tell(out io.Writer) {
	fmt.Fprintf(out, "\ntwo embedded clusters, old %s and new %s, with traffic; two replicas mirror them\n\n",
		s.old.address, s.new.address)
	for i, r := range s.replicas {
		fmt.Fprintf(out, "  page of replica %d   http://%s/\n", i+1, r.address)
	}
	if s.prometheus != nil {
		fmt.Fprintf(out, "  Prometheus          http://%s/alerts\n", s.prometheus.address)
		fmt.Fprintf(out, "  boards              deploy/grafana/*.json, to be imported into a Grafana that asks it\n")
	} else {
		fmt.Fprintf(out, "  Prometheus          is not installed (Debian: apt-get install prometheus)\n")
	}
	fmt.Fprintf(out, "  configuration       %s, for status, pause and the other verbs\n", s.config)
	fmt.Fprintf(out, "\nGroup %s is too slow: new has deleted records that it has not read, and an alert fires.\n", slow)
	fmt.Fprintf(out, "Ctrl-C ends all of it.\n")
}
