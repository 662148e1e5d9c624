// Package cluster gives tests real Kafka brokers on 127.0.0.1.
//
// A [Cluster] is one KRaft broker (controller and broker in one process), or
// several with [Brokers], with transactions and groups ready to use and topic
// creation by accident off. Two providers stand behind it: containers where a
// Docker engine answers, else JVM processes with jars from Maven Central. It
// holds that
//
//  1. when [Start] returns, each broker answers requests at its address in
//     [Cluster.Bootstrap] and knows of itself as a member;
//  2. address and data stay the same over Stop, Kill and Start;
//  3. brokers end with the test, and a broker process never outlives the
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

// Brokers starts so many brokers, called 1 to n, of which each is a controller too
// and stands in a rack of its own, "rack-1" to "rack-n". Topics have three replicas
// unless they say otherwise, two of which must be in sync; a reader that names its
// rack is sent to the replica there. As long as a majority runs, the cluster works.
func Brokers(n int) Option {
	return func(s *spec) { s.brokers = n }
}

// Heap sets a broker's maximal heap as -Xmx takes it; the default is "512m".
func Heap(size string) Option {
	return func(s *spec) { s.heap = size }
}

// Java gives the broker's Java more flags, such as "-Dname=value".
func Java(flags ...string) Option {
	return func(s *spec) { s.flags = append(s.flags, flags...) }
}

// Secure adds a listener that speaks the protocol, such as "SASL_SSL", beside the
// plain one. [Config] gives its settings, which begin with listener.name.secure.
func Secure(protocol string) Option {
	return func(s *spec) { s.secure = protocol }
}

// Through adds a plain listener whose clients are told to come back by way of
// address: that of a proxy, which passes on to [Cluster.Behind]. The proxy's address
// has to be there before the broker. It is for clusters of one broker.
func Through(address string) Option {
	return func(s *spec) { s.through = address }
}

// OnDisk runs the broker as a process of this machine whatever the provider of the
// others is, so that its data can be reached: [Cluster.Data].
func OnDisk() Option {
	return func(s *spec) { s.onDisk = true }
}

// Keep leaves the broker's data, configuration and log on disk when the test
// has ended, and logs where.
func Keep() Option {
	return func(s *spec) { s.keep = true }
}

// Cluster is running brokers as one test sees them. Its methods fail that test
// when they cannot do what they say; call them from the test's own goroutine.
type Cluster struct {
	t testing.TB
	*nodes
}

// Start starts a cluster and ends it when the test ends.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	s := newSpec(opts)
	p := needFor(t, s)
	n, err := open(p, s)
	if err != nil {
		t.Fatalf("start cluster %s: %v", s.name, err)
	}
	t.Cleanup(func() { finish(t, n) })
	return &Cluster{t, n}
}

// Pair starts two clusters at once, named "source" and "target".
func Pair(t testing.TB, opts ...Option) (source, target *Cluster) {
	t.Helper()
	specs := [2]*spec{newSpec(opts), newSpec(opts)}
	p := needFor(t, specs[0])
	specs[0].name, specs[1].name = "source", "target"
	var made [2]*nodes
	var errs [2]error
	var wg sync.WaitGroup
	for i := range specs {
		wg.Go(func() { made[i], errs[i] = open(p, specs[i]) })
	}
	wg.Wait()
	for i, n := range made {
		if errs[i] == nil {
			t.Cleanup(func() { finish(t, n) })
		}
	}
	for i, err := range errs {
		if err != nil {
			t.Fatalf("start cluster %s: %v", specs[i].name, err)
		}
	}
	return &Cluster{t, made[0]}, &Cluster{t, made[1]}
}

// finish ends a cluster for good and says what was kept of it.
func finish(t testing.TB, n *nodes) {
	if err := n.close(); err != nil {
		t.Errorf("end cluster %s: %v", n.spec.name, err)
	}
	if n.spec.keep {
		for _, b := range n.brokers {
			t.Logf("cluster %s: broker %d is kept in %s", n.spec.name, b.spec.id, b.home.path)
		}
	}
}

// For is the same cluster as another test sees it, such as a subtest.
func (c *Cluster) For(t testing.TB) *Cluster { return &Cluster{t, c.nodes} }

// Broker is the broker with that id, 1 to n, alone: its address, its log, and what is
// done to it.
func (c *Cluster) Broker(id int) *Cluster {
	return &Cluster{c.t, &nodes{spec: c.spec, provider: c.provider, brokers: c.brokers[id-1 : id]}}
}

// Bootstrap is the address of each broker, "127.0.0.1:port", with commas between them.
func (c *Cluster) Bootstrap() string { return c.addresses((*spec).address) }

// SecureBootstrap is the same of the listeners that [Secure] added.
func (c *Cluster) SecureBootstrap() string { return c.addresses((*spec).secureAddress) }

// Behind is the address of the listener that [Through] added, for a proxy to connect to.
func (c *Cluster) Behind() string { return c.addresses((*spec).behindAddress) }

// Rack is the rack of a broker, for a reader's client.rack.
func (c *Cluster) Rack(id int) string { return rack(id) }

// Name is what the cluster was called with [Named].
func (c *Cluster) Name() string { return c.spec.name }

// Provider is "docker" or "jvm".
func (c *Cluster) Provider() string { return c.provider }

// Data is the data folder of a cluster of one broker, [OnDisk]: while it is stopped a
// test may copy it, and put something else in its place.
func (c *Cluster) Data() string {
	c.t.Helper()
	if !c.spec.onDisk || len(c.brokers) != 1 {
		c.t.Fatalf("the data of cluster %s is not to be reached", c.spec.name)
	}
	return c.brokers[0].home.join("data")
}

// Logs is everything the brokers have printed so far, over all their starts.
func (c *Cluster) Logs() string { return c.logs() }

// Stop ends a broker gracefully, as SIGTERM does, and waits until it is gone. Several
// brokers are stopped one after the other, which the last ones of a cluster cannot be:
// a broker that stops hands over to others, with the consent of a majority.
func (c *Cluster) Stop() { c.t.Helper(); c.do("stop", c.each((*broker).stop)) }

// Start starts what was stopped or killed again, with the same data at the same
// address, and waits until it answers.
func (c *Cluster) Start() { c.t.Helper(); c.do("start", c.start()) }

// Kill ends the brokers as SIGKILL does and waits until they are gone.
func (c *Cluster) Kill() { c.t.Helper(); c.do("kill", c.each((*broker).kill)) }

// Pause freezes the brokers: connections stay open and nothing answers.
func (c *Cluster) Pause() { c.t.Helper(); c.do("pause", c.each((*broker).pause)) }

// Resume lets paused brokers go on.
func (c *Cluster) Resume() { c.t.Helper(); c.do("resume", c.each((*broker).resume)) }

func (c *Cluster) do(verb string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s cluster %s: %v", verb, c.spec.name, err)
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
