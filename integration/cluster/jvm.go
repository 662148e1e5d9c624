package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// jvm runs brokers as Java processes of this machine.
type jvm struct{}

func (jvm) name() string { return "jvm" }

func (jvm) check(version string) error {
	if _, err := java(); err != nil {
		return err
	}
	libs, err := jars(version)
	if err != nil {
		return err
	}
	if err := makeArchive(version, libs); err != nil { // a matter of speed only
		fmt.Fprintf(os.Stderr, "integration/cluster: brokers start slowly: %v\n", err)
	}
	return nil
}

func (j jvm) create(specs []*spec, homes []*home) ([]node, error) {
	var made []node
	for i, s := range specs {
		n, err := j.createOne(s, homes[i])
		if err != nil {
			return made, err
		}
		made = append(made, n)
	}
	return made, nil
}

func (jvm) createOne(s *spec, h *home) (node, error) {
	program, err := java()
	if err != nil {
		return nil, err
	}
	libs, err := jars(s.version)
	if err != nil {
		return nil, err
	}
	if s.java == nil {
		s.java = archiveFlags(libs)
	}
	name, content, _ := s.logging(h.path)
	if err := errors.Join(
		h.write(name, content),
		h.write("server.properties", s.properties(h.join("data"), "127.0.0.1")),
	); err != nil {
		return nil, err
	}
	n := &jvmNode{program: program, args: s.brokerArgs(libs, h.path), log: h.join("broker.log")}
	if s.zookeeper() {
		n.beside = &jvmNode{program: program, args: s.zookeeperArgs(libs, h.path), log: h.join("zookeeper.log")}
		return n, nil
	}
	if out, err := exec.Command(program, s.formatArgs(libs, h.path)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format %s: %w\n%s", h.join("data"), err, tail(string(out), 20))
	}
	return n, nil
}

type jvmNode struct {
	program string
	args    []string
	log     string
	beside  *jvmNode // what the broker needs, for as long as its home is there; nil: nothing
	process *os.Process
	exited  chan struct{}
}

// start runs the broker from a thread of its own: on Linux the parent's death
// signal is bound to the thread that started a process, not to the program.
func (n *jvmNode) start() (<-chan struct{}, error) {
	if n.beside != nil && n.beside.process == nil {
		if _, err := n.beside.start(); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(n.program, n.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	cmd.Dir = filepath.Dir(n.log)
	exited, started := make(chan struct{}), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its status says nothing: after SIGTERM a JVM always ends with 143
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	n.process, n.exited = cmd.Process, exited
	return exited, nil
}

func (n *jvmNode) signal(sig signal) error {
	return n.process.Signal(map[signal]syscall.Signal{
		sigTerm: syscall.SIGTERM, sigKill: syscall.SIGKILL, sigStop: syscall.SIGSTOP, sigCont: syscall.SIGCONT,
	}[sig])
}

func (n *jvmNode) logs() string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (n *jvmNode) remove() error {
	if n.beside != nil {
		defer func() { _ = n.beside.remove() }()
	}
	if n.process == nil {
		return nil
	}
	if err := n.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.exited
	return nil
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// java finds a Java that can run the broker: JAVA_HOME's, else the PATH's.
func java() (string, error) {
	j := findJava()
	if j.err != nil {
		return "", fmt.Errorf("no Java to run the broker with: %w", j.err)
	}
	m := javaVersion.FindStringSubmatch(j.is)
	if m == nil {
		return "", fmt.Errorf("%s -version answers %q", j.program, j.is)
	}
	if major, _ := strconv.Atoi(m[1]); major < 17 {
		return "", fmt.Errorf("%s is Java %s; Kafka %s needs 17", j.program, m[1], DefaultVersion)
	}
	return j.program, nil
}

type javaFound struct {
	program string
	is      string // what -version answers, which tells one build from another
	err     error
}

var findJava = sync.OnceValue(func() javaFound {
	program := "java"
	if root := os.Getenv("JAVA_HOME"); root != "" {
		program = filepath.Join(root, "bin", "java")
	}
	out, err := exec.Command(program, "-version").CombinedOutput()
	return javaFound{program: program, is: string(out), err: err}
})
