package cluster

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPropertiesTakeConfig(t *testing.T) {
	s := newSpec([]Option{Config("log.cleaner.backoff.ms", "7"), Config("x.path", ` C:\a`)})
	s.id, s.port, s.controllers = 1, 20001, []int{20002}
	text := s.properties("/data", "0.0.0.0")
	for line, want := range map[string]int{
		"log.cleaner.backoff.ms=7":        1, // replaced
		"log.cleaner.backoff.ms=1000":     0,
		`x.path=\ C:\\a`:                  1, // added, as Java reads it
		"auto.create.topics.enable=false": 1,
		"listeners=CLIENT://0.0.0.0:20001,CONTROLLER://127.0.0.1:20002": 1,
		"advertised.listeners=CLIENT://127.0.0.1:20001":                 1,
		"controller.quorum.voters=1@127.0.0.1:20002":                    1,
		"log.dirs=/data": 1,
	} {
		if got := strings.Count("\n"+text, "\n"+line+"\n"); got != want {
			t.Errorf("%q stands there %d times, want %d, in\n%s", line, got, want, text)
		}
	}
}

func TestPropertiesWithSecureListener(t *testing.T) {
	s := newSpec([]Option{Secure("SASL_SSL")})
	s.id, s.port, s.controllers, s.securePort = 1, 20001, []int{20002}, 20003
	text := "\n" + s.properties("/data", "0.0.0.0")
	for _, line := range []string{
		"listeners=CLIENT://0.0.0.0:20001,CONTROLLER://127.0.0.1:20002,SECURE://0.0.0.0:20003",
		"advertised.listeners=CLIENT://127.0.0.1:20001,SECURE://127.0.0.1:20003",
		"listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%q does not stand in\n%s", line, text)
		}
	}
}

// What goes through a proxy is told the proxy's address, or it would go around it.
func TestPropertiesWithListenerBehindProxy(t *testing.T) {
	s := newSpec([]Option{Through("127.0.0.1:9")})
	s.id, s.port, s.controllers, s.behindPort = 1, 20001, []int{20002}, 20004
	text := "\n" + s.properties("/data", "0.0.0.0")
	for _, line := range []string{
		"listeners=CLIENT://0.0.0.0:20001,CONTROLLER://127.0.0.1:20002,BEHIND://0.0.0.0:20004",
		"advertised.listeners=CLIENT://127.0.0.1:20001,BEHIND://127.0.0.1:9",
		"listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%q does not stand in\n%s", line, text)
		}
	}
}

// Brokers of one cluster know of each other, keep apart, and can do with one less.
func TestPropertiesOfSeveralBrokers(t *testing.T) {
	var held []*ports
	for i := range 3 {
		held = append(held, &ports{number: []int{20001 + i, 20011 + i, 20021 + i, 20031 + i}})
	}
	want := map[string]string{
		"controller.quorum.voters":                 "1@127.0.0.1:20011,2@127.0.0.1:20012,3@127.0.0.1:20013",
		"listeners":                                "CLIENT://0.0.0.0:20002,CONTROLLER://127.0.0.1:20012",
		"advertised.listeners":                     "CLIENT://127.0.0.1:20002",
		"node.id":                                  "2",
		"broker.rack":                              "rack-2",
		"default.replication.factor":               "3",
		"min.insync.replicas":                      "2",
		"transaction.state.log.replication.factor": "3",
	}
	second := newSpec([]Option{Brokers(3)}).forEach(held)[1]
	text := "\n" + second.properties("/data", "0.0.0.0")
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if line := key + "=" + want[key]; !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%q does not stand in\n%s", line, text)
		}
	}
}

func TestImageOfVersion(t *testing.T) {
	for _, c := range []struct{ env, version, want string }{
		{"", "4.1.0", "apache/kafka:4.1.0"},
		{"", "3.9.1", "apache/kafka:3.9.1"},
		{"mine:5000/kafka", "4.1.0", "mine:5000/kafka"},
		{"mine:5000/kafka", "3.9.1", "mine:5000/kafka:3.9.1"}, // the colon is a port's
		{"mine/kafka:latest", "3.9.1", "mine/kafka:3.9.1"},
	} {
		t.Setenv("REPLICATOR_KAFKA_IMAGE", c.env)
		if got := image(c.version); got != c.want {
			t.Errorf("REPLICATOR_KAFKA_IMAGE=%q, version %s: %q, want %q", c.env, c.version, got, c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	if got, want := quote([]string{"a b", "libs/*", "it's"}), `'a b' 'libs/*' 'it'\''s'`; got != want {
		t.Errorf("quote: %s, want %s", got, want)
	}
}

// Two reservations never share a number, and a port in use is not given.
func TestReserve(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	seen := map[int]bool{}
	for range 20 {
		p, err := reserve(2)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.release)
		for _, n := range p.number {
			if seen[n] || n < firstPort || n > lastPort {
				t.Errorf("port %d: given twice (%v) or out of range", n, seen[n])
			}
			seen[n] = true
		}
	}
}

// Abandoned homes go; living and kept ones stay.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dead, living, kept, boxed := mustHome(t, "dead"), mustHome(t, "living"), mustHome(t, "kept"), mustHome(t, "boxed")
	dead.lock.Close()
	if err := kept.remove(true); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(boxed.add("c0ffee"), boxed.add("7ea")); err != nil {
		t.Fatal(err)
	}
	boxed.lock.Close()
	there := func() string {
		entries, err := filepath.Glob(filepath.Join(os.TempDir(), homePrefix+"*"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, strings.Split(filepath.Base(e), "-")[2])
		}
		return strings.Join(names, " ")
	}
	if err := sweep(jvm{}); err != nil {
		t.Fatal(err)
	}
	if got, want := there(), "boxed kept living"; got != want { // no engine: the container cannot go yet
		t.Errorf("after a sweep without an engine: %s, want %s", got, want)
	}
	engine := &forgetful{}
	if err := sweep(engine); err != nil {
		t.Fatal(err)
	}
	if got, want := there(), "kept living"; got != want || engine.forgot != "c0ffee 7ea " {
		t.Errorf("after a sweep with one: %s, want %s; forgot %q", got, want, engine.forgot)
	}
	living.lock.Close()
}

type forgetful struct {
	jvm
	forgot string
}

func (f *forgetful) forget(id string) error { f.forgot += id + " "; return nil }

func mustHome(t *testing.T, name string) *home {
	t.Helper()
	h, err := newHome(newSpec([]Option{Named(name)}))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
