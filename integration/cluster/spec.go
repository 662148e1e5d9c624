package cluster

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

//go:embed log4j2.properties
var log4j2 string

//go:embed log4j.properties
var log4j1 string

// spec is what a test asked for, and, in a copy for each broker, who that is and
// which ports were found for it.
type spec struct {
	onDisk    bool // see [OnDisk]
	name      string
	version   string
	heap      string
	keep      bool
	config    map[string]string
	java      []string // flags for the broker's Java, by its provider
	flags     []string // and by [Java]
	clusterID string
	brokers   int
	secure    string // what a second listener speaks; empty: there is none
	through   string // where clients reach a third listener, through something in between; empty: there is none

	id          int    // 1 to brokers
	host        string // that clients connect to
	controllers []int  // ports of all brokers' controllers, by id
	port        int
	securePort  int
	behindPort  int // of the third listener
}

func newSpec(opts []Option) *spec {
	s := &spec{
		name: "kafka", version: DefaultVersion, heap: "512m",
		config: map[string]string{}, clusterID: newClusterID(), host: "127.0.0.1", brokers: 1,
	}
	for _, o := range opts {
		o(s)
	}
	return s
}

// newClusterID makes a Kafka Uuid: 16 random bytes in URL-safe base64, without
// a leading dash, which the format tool would take for a flag.
func newClusterID() string {
	for {
		var b [16]byte
		rand.Read(b[:])
		if id := base64.RawURLEncoding.EncodeToString(b[:]); id[0] != '-' {
			return id
		}
	}
}

func (s *spec) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

func (s *spec) secureAddress() string { return net.JoinHostPort(s.host, strconv.Itoa(s.securePort)) }

func (s *spec) behindAddress() string { return net.JoinHostPort(s.host, strconv.Itoa(s.behindPort)) }

// forEach gives a copy for each broker, with its id and its ports.
func (s *spec) forEach(held []*ports) []*spec {
	var all []*spec
	var controllers []int
	for i, p := range held {
		one := *s
		one.id, one.port, one.securePort, one.behindPort = i+1, p.number[0], p.number[2], p.number[3]
		controllers = append(controllers, p.number[1])
		all = append(all, &one)
	}
	for _, one := range all {
		one.controllers = controllers
	}
	return all
}

// voters names the controllers. They are of one machine or share a container's network.
func (s *spec) voters() string {
	var voters []string
	for i, port := range s.controllers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, port))
	}
	return strings.Join(voters, ",")
}

// replicated are the settings that follow from the number of brokers: each
// partition has three replicas if it can, and can do with one less.
func (s *spec) replicated() map[string]string {
	replicas := min(s.brokers, 3)
	all, enough := strconv.Itoa(replicas), strconv.Itoa(max(replicas-1, 1))
	p := map[string]string{
		"default.replication.factor":                       all,
		"min.insync.replicas":                              enough,
		"offsets.topic.replication.factor":                 all,
		"transaction.state.log.replication.factor":         all,
		"transaction.state.log.min.isr":                    enough,
		"share.coordinator.state.topic.replication.factor": all,
		"share.coordinator.state.topic.min.isr":            enough,
	}
	if s.brokers > 1 {
		p["broker.rack"] = rack(s.id)
		p["replica.selector.class"] = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
	}
	return p
}

func rack(id int) string { return fmt.Sprintf("rack-%d", id) }

// properties is server.properties for a broker that is a controller too, keeps its
// data in data and listens on the address bind.
func (s *spec) properties(data, bind string) string {
	controller := s.controllers[s.id-1]
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(s.id),
		"controller.quorum.voters":       s.voters(),
		"listeners":                      fmt.Sprintf("CLIENT://%s:%d,CONTROLLER://127.0.0.1:%d", bind, s.port, controller),
		"advertised.listeners":           "CLIENT://" + s.address(),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "CLIENT",
		"listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       data,

		"auto.create.topics.enable":                    "false",
		"offsets.topic.num.partitions":                 "8",
		"transaction.state.log.num.partitions":         "8",
		"share.coordinator.state.topic.num.partitions": "1",
		"group.initial.rebalance.delay.ms":             "0",
		"group.coordinator.rebalance.protocols":        "classic,consumer",

		// Tests wait for these to happen, so they happen often.
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
		"log.retention.check.interval.ms":                             "1000",
		"log.cleaner.backoff.ms":                                      "1000",
		// The default of 128 MiB is a quarter of the heap.
		"log.cleaner.dedupe.buffer.size": "16777216",
		// A killed broker comes back only when its old session has ended.
		"broker.heartbeat.interval.ms": "500",
		"broker.session.timeout.ms":    "6000",
	}
	if s.zookeeper() {
		maps.DeleteFunc(p, func(key, _ string) bool {
			return strings.HasPrefix(key, "controller.") || key == "process.roles" || key == "node.id"
		})
		p["broker.id"] = strconv.Itoa(s.id)
		p["zookeeper.connect"] = fmt.Sprintf("127.0.0.1:%d", controller)
		p["listeners"] = fmt.Sprintf("CLIENT://%s:%d", bind, s.port)
		p["listener.security.protocol.map"] = "CLIENT:PLAINTEXT"
		p["zookeeper.session.timeout.ms"] = "18000"
		p["zookeeper.connection.timeout.ms"] = "120000" // it may start on a busy machine
		delete(p, "group.coordinator.rebalance.protocols")
	}
	maps.Copy(p, s.replicated())
	if s.secure != "" {
		p["listeners"] += fmt.Sprintf(",SECURE://%s:%d", bind, s.securePort)
		p["advertised.listeners"] += ",SECURE://" + s.secureAddress()
		p["listener.security.protocol.map"] += ",SECURE:" + s.secure
	}
	if s.through != "" {
		p["listeners"] += fmt.Sprintf(",BEHIND://%s:%d", bind, s.behindPort)
		p["advertised.listeners"] += ",BEHIND://" + s.through
		p["listener.security.protocol.map"] += ",BEHIND:PLAINTEXT"
	}
	maps.Copy(p, s.config)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, escape(p[k]))
	}
	return b.String()
}

// escape writes a value so that java.util.Properties reads it back unchanged.
func escape(value string) string {
	value = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value)
	if strings.HasPrefix(value, " ") {
		value = `\` + value
	}
	return value
}

// logging gives the name, the content and the java flag of the logging
// configuration that this version's log binding reads, kept in folder.
func (s *spec) logging(folder string) (name, content, flag string) {
	if logsByLog4j1(s.version) {
		return "log4j.properties", log4j1, "-Dlog4j.configuration=file:" + folder + "/log4j.properties"
	}
	return "log4j2.properties", log4j2, "-Dlog4j2.configurationFile=" + folder + "/log4j2.properties"
}

func logsByLog4j1(version string) bool {
	return strings.HasPrefix(version, "2.") || strings.HasPrefix(version, "3.")
}

// zookeeper: the version has no controllers of its own that could do all that is
// needed here. One process of ZooKeeper runs beside the broker, on the controller's port.
func (s *spec) zookeeper() bool { return strings.HasPrefix(s.version, "2.") }

// zookeeperArgs are the java arguments that run it.
func (s *spec) zookeeperArgs(libs, folder string) []string {
	_, _, flag := s.logging(folder)
	return []string{
		"-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", flag, "-Dzookeeper.admin.enableServer=false",
		"-Dzookeeper.4lw.commands.whitelist=ruok", "-cp", libs + "/*",
		"org.apache.zookeeper.server.ZooKeeperServerMain", strconv.Itoa(s.controllers[s.id-1]), folder + "/zookeeper",
	}
}

// formatArgs are the java arguments that prepare empty data.
func (s *spec) formatArgs(libs, folder string) []string {
	_, _, flag := s.logging(folder)
	return []string{
		"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", flag, "-cp", libs + "/*",
		"kafka.tools.StorageTool", "format", "-t", s.clusterID, "-c", folder + "/server.properties",
	}
}

// brokerArgs are the java arguments that run the broker.
func (s *spec) brokerArgs(libs, folder string) []string {
	_, _, flag := s.logging(folder)
	return slices.Concat(s.java, s.flags, []string{
		"-Xmx" + s.heap, "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true", flag, "-cp", libs + "/*",
		"kafka.Kafka", folder + "/server.properties",
	})
}
