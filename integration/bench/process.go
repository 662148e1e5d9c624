package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a contestant at work.
type process struct {
	cmd   *exec.Cmd
	log   string // file with what it prints
	begun time.Time

	exited chan struct{} // closed when it has ended; the next two belong to the reader from then on
	ended  time.Time
	err    error
}

// start starts a program from a thread of its own: on Linux the parent's death
// signal is bound to the thread that started a process.
func start(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	p := &process{cmd: cmd, log: log, exited: make(chan struct{})}
	started := make(chan error, 1) // one answer
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		p.begun = time.Now()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		p.ended = time.Now()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// kill ends the process at once, so that its CPU time holds no shutdown, and
// waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// cpu is the time the ended process took on all cores, user and system.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// peak is the most memory the ended process had, in bytes, as its parent is told.
// That figure begins at what the parent itself had when it started the process,
// so that sample's is preferred where there is one.
func (p *process) peak() int64 {
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(usage.Maxrss) // 32 bits on some systems
	}
	return int64(usage.Maxrss) << 10 // 32 bits on some systems
}

// sample is what the running process has used so far: CPU time and peak memory
// in bytes. It is zero on systems without /proc, or when the process has ended.
func (p *process) sample() (cpu time.Duration, peak int64) {
	folder := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	stat, err1 := os.ReadFile(filepath.Join(folder, "stat"))
	status, err2 := os.ReadFile(filepath.Join(folder, "status"))
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return cpuOf(string(stat)), peakOf(string(status))
}

// cpuOf reads user and system time out of /proc/PID/stat: fields 14 and 15, in
// hundredths of a second.
func cpuOf(stat string) time.Duration {
	_, after, found := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ")
	fields := strings.Fields(after) // the first is field 3
	if !found || len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// peakOf reads the peak of resident memory out of /proc/PID/status, in bytes.
func peakOf(status string) int64 {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// said is the end of what a process has printed.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}
