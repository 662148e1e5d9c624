package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

const (
	user, password = "mirror", "of the old site" // on both clusters
	records        = 100
	debian         = "bookworm"
)

// rpmArch is how rpm calls what Go calls otherwise.
var rpmArch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// The deb is installed into a Debian that systemd has booted, its service copies as its own user, is taken over by the
// same package once more, ends in order, and goes with the package; and so do the rpm and the unit that is put there by
// hand.
func TestPackageUnderSystemd(t *testing.T) {
	release := os.Getenv("REPLICATOR_RELEASE")
	if release == "" {
		t.Skip("REPLICATOR_RELEASE names no folder; make release-test does, as root, with debootstrap and systemd-nspawn")
	}
	source := cluster(t, kfake.ClusterID("old"), kfake.SeedTopics(3, "orders"))
	target := cluster(t, kfake.ClusterID("new"))
	produce(t, source)
	m := boot(t)
	m.put("/root/replicator.deb", read(t, release+"/*_"+runtime.GOARCH+".deb"), 0o600)
	m.put("/root/replicator.rpm", read(t, release+"/*."+rpmArch[runtime.GOARCH]+".rpm"), 0o600)

	m.run("dpkg", "-i", "/root/replicator.deb")
	if got := m.run("sh", "-c", "systemctl is-enabled replicator || true"); got != "disabled" {
		t.Errorf("after the installation the service is %s; its example names no cluster that exists", got)
	}
	for _, path := range []string{"/usr/share/man/man1/replicator-run.1.gz", "/usr/share/man/man5/replicator-config.5.gz",
		"/usr/share/bash-completion/completions/replicator", "/usr/share/doc/replicator/NOTICES"} {
		m.run("test", "-s", path)
	}
	m.run("bash", "-n", "/usr/share/bash-completion/completions/replicator")
	m.run("systemd-analyze", "verify", "--man=no", "replicator.service")

	m.put("/etc/replicator/site.yaml", configuration(source, target), 0o644)
	m.put("/etc/replicator/environment", []byte("KAFKA_USER="+user+"\n"), 0o600)
	m.put("/etc/replicator/password", []byte(password+"\n"), 0o640)
	m.run("chgrp", "replicator", "/etc/replicator/password")
	m.run("systemctl", "enable", "--now", "replicator")
	consume(t, m, target, records)

	first := m.run("systemctl", "show", "-P", "MainPID", "replicator")
	if got, want := m.run("ps", "-o", "user=", "-p", first), "replicator"; strings.TrimSpace(got) != want {
		t.Errorf("the service runs as %s, want %s", got, want)
	}
	status := m.run("cat", "/proc/"+first+"/status")
	for _, line := range []string{"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"} {
		if !strings.Contains(status, line) {
			t.Errorf("the service has not %q\n%s", line, status)
		}
	}
	t.Log(m.run("sh", "-c", "systemd-analyze security --no-pager replicator | tail -n 1"))

	m.run("dpkg", "-i", "/root/replicator.deb")
	second := m.run("systemctl", "show", "-P", "MainPID", "replicator")
	if second == "0" || second == first {
		t.Errorf("an upgrade leaves process %s, was %s", second, first)
	}
	m.run("systemctl", "stop", "replicator")
	if got := m.run("systemctl", "show", "-P", "Result", "replicator"); got != "success" {
		t.Errorf("the service was stopped with %s\n%s", got, m.log())
	}
	m.run("systemctl", "start", "replicator")
	m.run("cp", "/usr/bin/replicator", "/usr/local/bin/replicator")
	m.run("dpkg", "-r", "replicator")
	m.run("sh", "-c", "! systemctl is-active replicator && ! test -e /usr/bin/replicator")
	m.run("test", "-e", "/etc/replicator/site.yaml")
	m.run("cp", "/etc/replicator/site.yaml", "/root/site.yaml")
	m.run("dpkg", "-P", "replicator")
	m.run("sh", "-c", "! test -e /etc/replicator/site.yaml")

	// Debian's rpm knows nothing of Debian's packages; scripts and files are as elsewhere.
	m.run("rpm", "--install", "--nodeps", "/root/replicator.rpm")
	m.run("cp", "/root/site.yaml", "/etc/replicator/site.yaml")
	m.run("systemctl", "start", "replicator")
	m.run("rpm", "--verify", "--nodeps", "--noconfig", "replicator")
	m.run("rpm", "--install", "--nodeps", "--replacepkgs", "/root/replicator.rpm")
	m.run("systemctl", "is-active", "replicator")
	m.run("rpm", "--erase", "--nodeps", "replicator")
	m.run("sh", "-c", "! systemctl is-active replicator && ! test -e /usr/bin/replicator")

	// The unit by hand, as the runbooks have it: no user of that name is there, and systemd makes one.
	m.run("userdel", "replicator")
	m.run("chmod", "644", "/etc/replicator/password")
	m.run("mv", "/root/site.yaml", "/etc/replicator/site.yaml")
	m.put("/etc/systemd/system/replicator.service", read(t, "../../replicator.service"), 0o644)
	m.run("systemctl", "daemon-reload")
	produce(t, source)
	m.run("systemctl", "start", "replicator")
	consume(t, m, target, 2*records)
	m.run("systemctl", "stop", "replicator")
}

// configuration mirrors one cluster to the other, with the user from the environment and the password from a file.
func configuration(source, target *kfake.Cluster) []byte {
	login := `security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: "${KAFKA_USER}", ` +
		`sasl.password: "${file:/etc/replicator/password}"`
	return fmt.Appendf(nil, "clusters:\n  old: {bootstrap.servers: %q, %s}\n  new: {bootstrap.servers: %q, %[2]s}\n"+
		"flows: [{from: old, to: new}]\nhttp: {listen: \"127.0.0.1:0\"}\n",
		source.ListenAddrs()[0], login, target.ListenAddrs()[0])
}

// machine is a Debian that runs.
type machine struct {
	*testing.T
	root   string
	leader string // the process id of its systemd
}

// boot makes a Debian and waits until its systemd has started everything.
func boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, root: filepath.Join(t.TempDir(), "root")}
	install := exec.Command("debootstrap", "--variant=minbase",
		"--include=systemd,systemd-sysv,dbus,ca-certificates,procps,rpm", debian, m.root)
	install.Args = append(install.Args, mirror()...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	var console bytes.Buffer
	nspawn := exec.Command("systemd-nspawn", "-q", "-D", m.root, "-b", "--register=no", "--keep-unit", "--console=pipe")
	nspawn.Stdout, nspawn.Stderr = &console, &console
	if err := nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = nspawn.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = nspawn.Process.Signal(syscall.SIGTERM) // it powers the machine off
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = nspawn.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("console:\n%s", console.String())
		}
	})
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", nspawn.Process.Pid)
	until(t, "the machine begins", func() bool {
		text, err := os.ReadFile(children)
		m.leader = strings.TrimSpace(string(text))
		return err == nil && m.leader != "" && m.try("systemctl", "is-system-running", "--wait") != ""
	})
	return m
}

// mirror is the Debian mirror that apt uses here; nothing where apt does not tell, and debootstrap knows one.
func mirror() []string {
	targets, _ := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
		"Created-By: Packages").Output()
	for line := range strings.Lines(string(targets)) {
		if address, found := strings.CutSuffix(strings.TrimSpace(line), " "+debian); found {
			return []string{address}
		}
	}
	return nil
}

func (m *machine) inside(command ...string) *exec.Cmd {
	inside := exec.Command("nsenter", append([]string{"-t", m.leader, "-a"}, command...)...)
	inside.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	return inside
}

// try runs a command in the machine; what it prints, or nothing if it does not come about.
func (m *machine) try(command ...string) string {
	out, _ := m.inside(command...).Output()
	return strings.TrimSpace(string(out))
}

// run runs a command in the machine, which must succeed.
func (m *machine) run(command ...string) string {
	m.Helper()
	out, err := m.inside(command...).CombinedOutput()
	if err != nil {
		m.Fatalf("%s: %v\n%s\n%s", strings.Join(command, " "), err, out, m.log())
	}
	return strings.TrimSpace(string(out))
}

// log is what the service said last.
func (m *machine) log() string {
	return m.try("journalctl", "--no-pager", "-n", "40", "-u", "replicator")
}

func (m *machine) put(path string, text []byte, mode os.FileMode) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.root, path), text, mode); err != nil {
		m.Fatal(err)
	}
}

// read is the one file of a pattern.
func read(t *testing.T, pattern string) []byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s: %v, want one file (%v)", pattern, paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// until waits for something, for a minute at most.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end, tick := time.After(time.Minute), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end:
			t.Fatalf("after a minute: not %s", what)
		case <-tick.C:
		}
	}
}

// cluster is one that asks for a password, on loopback, which the machine shares.
func cluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(options, kfake.NumBrokers(1), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", user, password))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func login(t *testing.T, c *kfake.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	login := kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(c.ListenAddrs()...), login)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	to := login(t, c)
	for i := range records {
		r := kgo.Record{Topic: "orders", Value: fmt.Append(nil, i)}
		if err := to.ProduceSync(t.Context(), &r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// consume waits for that many records.
func consume(t *testing.T, m *machine, c *kfake.Cluster, records int) {
	t.Helper()
	from := login(t, c, kgo.ConsumeTopics("orders"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for got := 0; got < records; {
		fetches := from.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records were copied in a minute\n%s", got, records, m.log())
		}
		got += fetches.NumRecords()
	}
}
