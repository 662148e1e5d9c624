package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"
)

// grace is how long a process may take to end.
const grace = 15 * time.Second

// process is a program that was started, and has said at which address it serves.
type process struct {
	name    string
	address string
	log     string // the file that holds what it says
	end     context.CancelFunc
	asked   atomic.Bool // to end
	ended   chan struct{}
}

// start starts a program, and waits until it has said where it serves. It ends with ctx.
func start(ctx context.Context, log string, serves *regexp.Regexp, program string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	heard := &hearing{to: file, look: serves, said: make(chan string, 1)}
	ctx, end := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = heard, heard
	// A group of its own: an interrupt at the keyboard reaches this process alone, which then ends them one time each.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		end()
		_ = file.Close()
		return nil, err
	}
	p := &process{name: filepath.Base(program), log: log, end: end, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		defer end()
		_ = cmd.Wait() // that it ended is what matters, and its log says why
		_ = file.Close()
	}()
	select {
	case p.address = <-heard.said:
		return p, nil
	case <-p.ended:
		return nil, p.over()
	}
}

// ready waits until that page of it says so.
func (p *process) ready(ctx context.Context, url string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if response, err := http.Get(url); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return p.over()
		}
	}
}

// stop has it end, which is no error then.
func (p *process) stop() {
	p.asked.Store(true)
	p.end()
}

// lasts waits for the end of ctx; that the process ends before, without being asked to, is an error.
func (p *process) lasts(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.ended:
		if p.asked.Load() {
			return nil
		}
		return p.over()
	}
}

// over is the error that a process has ended, with the end of its log.
func (p *process) over() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s has ended:\n%s", p.name, text[max(0, len(text)-4000):])
}

// hearing writes on what a process says, and picks out the first address in it.
type hearing struct {
	to   io.Writer
	look *regexp.Regexp
	text []byte
	said chan string // has room for the only one
	done bool
}

// Write takes what the process says.
func (h *hearing) Write(p []byte) (int, error) {
	if !h.done {
		h.text = append(h.text, p...)
		if found := h.look.FindSubmatch(h.text); found != nil {
			h.said <- string(found[1])
			h.text, h.done = nil, true
		}
	}
	return h.to.Write(p)
}
