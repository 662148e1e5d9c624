package bench

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
)

// mm2Log is how MirrorMaker 2 logs: enough to see why it failed.
const mm2Log = `rootLogger.level = warn
rootLogger.appenderRefs = stdout
rootLogger.appenderRef.stdout.ref = STDOUT
appender.stdout.type = Console
appender.stdout.name = STDOUT
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{HH:mm:ss.SSS} %-5p %m (%c{1})%n
`

// prepareMM2 runs MirrorMaker 2 in its dedicated mode, with the Java options that
// Kafka's own start scripts give to Connect, and 1 GB of heap.
func prepareMM2(exact bool) func(context.Context, *job) (*exec.Cmd, error) {
	return func(_ context.Context, j *job) (*exec.Cmd, error) {
		rest, err := freePort()
		if err != nil {
			return nil, err
		}
		log, err := j.write("log4j2.properties", mm2Log)
		if err != nil {
			return nil, err
		}
		path, err := j.write("mm2.properties", mm2Properties(j, exact, rest))
		if err != nil {
			return nil, err
		}
		return exec.Command(j.tools.java, "-Xms256m", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
			"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
			"-Dlog4j2.configurationFile="+log, "-cp", filepath.Join(j.tools.libs, "*"),
			"org.apache.kafka.connect.mirror.MirrorMaker", path), nil
	}
}

// mm2Properties are tuned for throughput; where the topic goes on, nothing waits for
// more, as is MirrorMaker 2's default. Offset syncs stay on: without them
// MirrorMaker 2 would keep nothing that groups could be translated with.
func mm2Properties(j *job, exact bool, rest int) string {
	source, target := j.alias, "new"
	linger, fetch := 100, 100_000
	if j.follow {
		linger, fetch = 0, 1
	}
	lines := []string{
		"clusters = " + source + ", " + target,
		source + ".bootstrap.servers = " + j.source,
		target + ".bootstrap.servers = " + j.target,
		source + "->" + target + ".enabled = true",
		source + "->" + target + ".topics = " + j.topic,
		"tasks.max = 2",

		// One broker each.
		"replication.factor = 1",
		"offset-syncs.topic.replication.factor = 1",
		"checkpoints.topic.replication.factor = 1",
		"heartbeats.topic.replication.factor = 1",
		"config.storage.replication.factor = 1",
		"offset.storage.replication.factor = 1",
		"status.storage.replication.factor = 1",

		// Nothing but copying.
		"emit.heartbeats.enabled = false",
		"emit.checkpoints.enabled = false",
		"sync.group.offsets.enabled = false",
		"sync.topic.acls.enabled = false",
		"refresh.topics.interval.seconds = 3600",
		"refresh.groups.interval.seconds = 3600",
		"sync.topic.configs.interval.seconds = 3600",
		"plugin.discovery = service_load", // the default looks into every jar at the start

		// Large fetches and polls, large batches, several requests on the way. With exactly once every poll is a
		// transaction; one for half a second instead (transaction.boundary = interval) was slower, not faster.
		source + ".consumer.max.poll.records = 5000",
		source + ".consumer.fetch.max.bytes = 52428800",
		source + ".consumer.max.partition.fetch.bytes = 4194304",
		fmt.Sprintf("%s.consumer.fetch.min.bytes = %d", source, fetch),
		source + ".consumer.fetch.max.wait.ms = 100",
		source + ".consumer.receive.buffer.bytes = 1048576",
		target + ".producer.compression.type = " + j.codec,
		target + ".producer.batch.size = 262144",
		fmt.Sprintf("%s.producer.linger.ms = %d", target, linger),
		target + ".producer.buffer.memory = 134217728",
		target + ".producer.max.request.size = 8388608",
		target + ".producer.max.in.flight.requests.per.connection = 5",
		target + ".producer.enable.idempotence = true",
		target + ".producer.send.buffer.bytes = 1048576",
	}
	if exact {
		lines = append(lines,
			target+".exactly.once.source.support = enabled",
			"dedicated.mode.enable.internal.rest = true",
			fmt.Sprintf("listeners = http://127.0.0.1:%d", rest),
			source+".consumer.isolation.level = read_committed",
		)
	}
	return strings.Join(lines, "\n") + "\n"
}

// freePort finds a port for the REST listener that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
