// Package cluster gives tests real Kafka brokers on 127.0.0.1.
//
// A [Cluster] is one KRaft broker (controller and broker in one process) with
// transactions and groups ready to use and topic creation by accident off. Two
// providers stand behind it: a container where a Docker engine answers, else a
// JVM process with jars from Maven Central. It holds that
//
//  1. when [Start] returns, the broker answers requests at [Cluster.Bootstrap];
//  2. address and data stay the same over Stop, Kill and Start;
//  3. the broker ends with the test, and a broker process never outlives the
//     test process (JVM on Linux); what a killed test process leaves behind
//     otherwise, the next one clears away.
//
// Where neither provider works the tests skip and say why; with
// REPLICATOR_REQUIRE_KAFKA=1 they fail. REPLICATOR_KAFKA_PROVIDER=docker|jvm
// forces one provider, REPLICATOR_KAFKA_IMAGE names another image than
// apache/kafka:4.1.0. The package makes no topics: that is the test's business.
package cluster

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// DefaultVersion is the Kafka version started unless [Version] says otherwise.
const DefaultVersion = "4.1.0"

// Option changes how a cluster is started.
type Option func(*spec)

// Config adds a line to server.properties or replaces the one with that key.
func Config(key, value string) Option {
	return func(s *spec) { s.config[key] = value }
}

// Named gives the cluster a name for messages, such as "source".
func Named(name string) Option {
	return func(s *spec) { s.name = name }
}

// Version starts another Kafka version, such as "3.9.1".
func Version(version string) Option {
	return func(s *spec) { s.version = version }
}

// Heap sets the broker's maximal heap as -Xmx takes it; the default is "512m".
func Heap(size string) Option {
	return func(s *spec) { s.heap = size }
}

// Secure adds a listener that speaks the protocol, such as "SASL_SSL", beside the
// plain one. [Config] gives its settings, which begin with listener.name.secure.
func Secure(protocol string) Option {
	return func(s *spec) { s.secure = protocol }
}

// Through adds a plain listener whose clients are told to come back by way of
// address: that of a proxy, which passes on to [Cluster.Behind]. The proxy's address
// has to be there before the broker.
func Through(address string) Option {
	return func(s *spec) { s.through = address }
}

// Keep leaves the broker's data, configuration and log on disk when the test
// has ended, and logs where.
func Keep() Option {
	return func(s *spec) { s.keep = true }
}

// Cluster is a running broker as one test sees it. Its methods fail that test
// when they cannot do what they say; call them from the test's own goroutine.
type Cluster struct {
	t testing.TB
	b *broker
}

// Start starts a broker and ends it when the test ends.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	p := need(t)
	s := newSpec(opts)
	b, err := open(p, s)
	if err != nil {
		t.Fatalf("start cluster %s: %v", s.name, err)
	}
	t.Cleanup(func() { finish(t, b) })
	return &Cluster{t: t, b: b}
}

// Pair starts two brokers at once, named "source" and "target".
func Pair(t testing.TB, opts ...Option) (source, target *Cluster) {
	t.Helper()
	p := need(t)
	specs := [2]*spec{newSpec(opts), newSpec(opts)}
	specs[0].name, specs[1].name = "source", "target"
	var brokers [2]*broker
	var errs [2]error
	var wg sync.WaitGroup
	for i := range specs {
		wg.Go(func() { brokers[i], errs[i] = open(p, specs[i]) })
	}
	wg.Wait()
	for i, b := range brokers {
		if errs[i] == nil {
			t.Cleanup(func() { finish(t, b) })
		}
	}
	for i, err := range errs {
		if err != nil {
			t.Fatalf("start cluster %s: %v", specs[i].name, err)
		}
	}
	return &Cluster{t: t, b: brokers[0]}, &Cluster{t: t, b: brokers[1]}
}

// finish ends a broker for good and says what was kept of it.
func finish(t testing.TB, b *broker) {
	if err := b.close(); err != nil {
		t.Errorf("end cluster %s: %v", b.spec.name, err)
	}
	if b.spec.keep {
		t.Logf("cluster %s: kept in %s", b.spec.name, b.home.path)
	}
}

// For is the same cluster as another test sees it, such as a subtest.
func (c *Cluster) For(t testing.TB) *Cluster { return &Cluster{t: t, b: c.b} }

// Bootstrap is the address of the broker, "127.0.0.1:port".
func (c *Cluster) Bootstrap() string { return c.b.spec.address() }

// SecureBootstrap is the address of the listener that [Secure] added.
func (c *Cluster) SecureBootstrap() string { return c.b.spec.secureAddress() }

// Behind is the address of the listener that [Through] added, for a proxy to connect to.
func (c *Cluster) Behind() string { return c.b.spec.behindAddress() }

// Name is what the cluster was called with [Named].
func (c *Cluster) Name() string { return c.b.spec.name }

// Provider is "docker" or "jvm".
func (c *Cluster) Provider() string { return c.b.provider }

// Logs is everything the broker has printed so far, over all its starts.
func (c *Cluster) Logs() string { return c.b.node.logs() }

// Stop ends the broker gracefully, as SIGTERM does, and waits until it is gone.
func (c *Cluster) Stop() { c.t.Helper(); c.do("stop", c.b.stop) }

// Start starts a stopped or killed broker again, with the same data at the
// same address, and waits until it answers.
func (c *Cluster) Start() { c.t.Helper(); c.do("start", c.b.start) }

// Kill ends the broker as SIGKILL does and waits until it is gone.
func (c *Cluster) Kill() { c.t.Helper(); c.do("kill", c.b.kill) }

// Pause freezes the broker: connections stay open and nothing answers.
func (c *Cluster) Pause() { c.t.Helper(); c.do("pause", c.b.pause) }

// Resume lets a paused broker go on.
func (c *Cluster) Resume() { c.t.Helper(); c.do("resume", c.b.resume) }

func (c *Cluster) do(verb string, f func() error) {
	c.t.Helper()
	if err := f(); err != nil {
		c.t.Fatalf("%s cluster %s: %v", verb, c.b.spec.name, err)
	}
}

// tail is the end of a log, for an error message.
func tail(log string, lines int) string {
	all := strings.Split(strings.TrimRight(log, "\n"), "\n")
	if len(all) > lines {
		all = append([]string{fmt.Sprintf("(%d lines before)", len(all)-lines)}, all[len(all)-lines:]...)
	}
	return "\t" + strings.Join(all, "\n\t")
}
