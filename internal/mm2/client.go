package mm2

import (
	"fmt"
	"strings"
)

const (
	oneProcess   = "there is no Connect worker inside: one process, its shards shared through a group on the target"
	ownServer    = "replicas talk to each other through the target only; metrics and health are served at http.listen"
	rawBytes     = "records are copied as the bytes that they are, without converters"
	noPlugins    = "nothing is loaded into the program"
	byVariables  = "secrets come from the environment; the variables to set are listed below"
	exactlyOnce  = "delivery is exactly_once without being asked; delivery: at_least_once lets readers see records sooner"
	tuning       = "it tunes Java's client; the batch lane moves whole batches and needs none of it"
	reaching     = "waiting and trying again have their own defaults; librdkafka's properties below clusters change them"
	exactness    = "the program sets it itself, for records to arrive once and in order"
	grouping     = "reading needs no group on the source; shards are shared through a group on the target"
	asStored     = "a batch keeps the compression of the source, or gets that of the target's topic"
	untouched    = "records are never changed or looked at by plugins"
	noTelemetry  = "metrics are served for Prometheus at http.listen"
	readsCommits = "aborted records are never copied"
)

func reasons(class Class, lists map[string]string) map[string]Verdict {
	table := map[string]Verdict{}
	for text, keys := range lists {
		for _, key := range strings.Fields(keys) {
			table[key] = Verdict{class, text}
		}
	}
	return table
}

// drivers are the keys of the process as a whole.
var drivers = reasons(LeftOut, map[string]string{
	"the names are those of clusters": "clusters",
	ownServer: `dedicated.mode.enable.internal.rest listeners rest.advertised.host.name rest.advertised.port
		rest.advertised.listener access.control.allow.origin access.control.allow.methods
		response.http.headers.config ssl.client.auth admin.listeners rest.extension.classes`,
	byVariables: "config.providers",
})

// workers are the keys of the Connect worker inside, of a target or bare.
var workers = reasons(LeftOut, map[string]string{
	oneProcess: `group.id group.instance.id client.id session.timeout.ms heartbeat.interval.ms rebalance.timeout.ms
		scheduled.rebalance.max.delay.ms connect.protocol worker.sync.timeout.ms worker.unsync.backoff.ms
		task.shutdown.graceful.timeout.ms topic.creation.enable topic.tracking.enable topic.tracking.allow.reset
		connector.client.config.override.policy`,
	ownTopics: `offset.storage.topic offset.storage.partitions offset.storage.replication.factor
		config.storage.topic config.storage.replication.factor
		status.storage.topic status.storage.partitions status.storage.replication.factor`,
	"progress is committed in the transaction of the data itself": "offset.flush.interval.ms offset.flush.timeout.ms",
	exactlyOnce: "exactly.once.source.support",
	rawBytes:    "key.converter value.converter header.converter",
	ownServer: `inter.worker.key.generation.algorithm inter.worker.key.size inter.worker.key.ttl.ms
		inter.worker.signature.algorithm inter.worker.verification.algorithms`,
	noPlugins: "plugin.path plugin.discovery",
	noTelemetry: `metrics.num.samples metrics.recording.level metrics.sample.window.ms metric.reporters
		auto.include.jmx.reporter`,
	reaching: `client.dns.lookup connections.max.idle.ms metadata.max.age.ms metadata.recovery.strategy
		metadata.recovery.rebootstrap.trigger.ms reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms
		retry.backoff.max.ms retry.backoff.ms receive.buffer.bytes send.buffer.bytes
		socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms`,
})

// workerFamilies are beginnings of keys of worker and process whose rest is free.
var workerFamilies = []string{
	"config.providers.", "offset.storage.", "config.storage.", "status.storage.", "key.converter.", "value.converter.",
	"header.converter.", "task.", "worker.", "listeners.", "metrics.context.", "admin.listeners.",
}

// bareWorkers are the beginnings of bare worker keys that MirrorMaker carries over;
// it drops the others.
var bareWorkers = []string{
	"offset.storage", "config.storage", "status.storage", "key.converter", "value.converter", "header.converter", "task",
	"worker", "config.providers",
}

// workerVerdict is what becomes of a worker's setting.
func workerVerdict(s *setting) Verdict {
	v := workers[s.rest]
	switch {
	case strings.HasSuffix(s.rest, ".converter"):
		if class := s.trimmed(); class[strings.LastIndexByte(class, '.')+1:] != "ByteArrayConverter" {
			return Verdict{NoEquivalent, fmt.Sprintf("what %s makes of a record is not done: %s", class, rawBytes)}
		}
	case s.rest == "exactly.once.source.support" && s.cluster+s.flow != "" && strings.EqualFold(s.trimmed(), "enabled"):
		return Verdict{Mapped, "delivery: exactly_once, the default"}
	case v.Class != "":
	case strings.HasPrefix(s.rest, "config.providers."):
		v = Verdict{LeftOut, byVariables}
	case strings.Contains(s.rest, "converter."):
		v = Verdict{LeftOut, rawBytes}
	default:
		v = Verdict{LeftOut, oneProcess}
	}
	if s.cluster+s.flow == "" && !within(s.rest, bareWorkers) {
		v.Text = fmt.Sprintf("MirrorMaker drops it in silence, as it does bare keys of its workers; %s", v.Text)
	}
	return v
}

// clients are the properties of Kafka's Java clients beside those of connections,
// and why they are not carried over.
var clients = func() map[string]string {
	table := map[string]string{}
	for key, v := range reasons(LeftOut, map[string]string{
		tuning: `batch.size linger.ms buffer.memory max.request.size max.block.ms fetch.min.bytes fetch.max.bytes
			fetch.max.wait.ms max.partition.fetch.bytes max.poll.records receive.buffer.bytes send.buffer.bytes
			check.crcs partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms
			partitioner.ignore.keys max.poll.interval.ms`,
		reaching: `request.timeout.ms default.api.timeout.ms retries retry.backoff.ms retry.backoff.max.ms
			reconnect.backoff.ms reconnect.backoff.max.ms connections.max.idle.ms metadata.max.age.ms
			metadata.max.idle.ms metadata.recovery.strategy metadata.recovery.rebootstrap.trigger.ms client.dns.lookup
			socket.connection.setup.timeout.ms socket.connection.setup.timeout.max.ms`,
		exactness: `acks enable.idempotence max.in.flight.requests.per.connection transactional.id
			transaction.timeout.ms transaction.two.phase.commit.enable delivery.timeout.ms partitioner.class
			enable.auto.commit auto.commit.interval.ms allow.auto.create.topics exclude.internal.topics`,
		grouping: `group.id group.instance.id group.protocol group.remote.assignor session.timeout.ms
			heartbeat.interval.ms partition.assignment.strategy`,
		asStored:  `compression.type compression.gzip.level compression.lz4.level compression.zstd.level`,
		untouched: `interceptor.classes key.serializer value.serializer key.deserializer value.deserializer`,
		noTelemetry: `metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms
			auto.include.jmx.reporter enable.metrics.push`,
		"clients are called replicator; client.id below clusters changes that, for quotas that go by it": "client.id",
		readsCommits: "isolation.level",
		"a position is never replaced in silence; start says where a partition without progress starts": "auto.offset.reset",
		"client.rack below clusters lets the source be read from the nearest replica":                   "client.rack",
		"no controller is asked directly": "bootstrap.controllers",
	}) {
		table[key] = v.Text
	}
	return table
}()

// clientVerdict is what becomes of a client's setting that no rule has carried out.
func (in *importer) clientVerdict(s *setting) Verdict {
	text, known := clients[s.name]
	switch {
	case s.cluster+s.flow == "":
		owner := in.flows[0].from.name
		switch {
		case ofFlow(s.prefix):
			owner = in.flows[0].name()
		case s.prefix != "consumer.":
			owner = in.flows[0].to.name
		}
		return Verdict{LeftOut, fmt.Sprintf("MirrorMaker drops it in silence: bare keys of clients have no effect, only "+
			"those of a cluster or a flow (%s.%s)", owner, s.rest) + in.lostWish(s)}
	case s.cluster != "" && ofFlow(s.prefix):
		return Verdict{LeftOut, fmt.Sprintf("MirrorMaker drops it in silence: %s belongs to a flow, as in %s.%s", s.prefix,
			in.flows[0].name(), s.rest)}
	case !known:
		return in.ownConnection(s)
	case s.name == "isolation.level" && strings.EqualFold(s.trimmed(), "read_committed"):
		return Verdict{Mapped, "always so: " + readsCommits}
	case s.name == "isolation.level":
		return Verdict{NoEquivalent, "MirrorMaker copies aborted records as if they were committed; " + readsCommits}
	case s.name == "interceptor.classes":
		return Verdict{NoEquivalent, untouched}
	}
	return Verdict{LeftOut, text}
}

// ofFlow: prefixes of clients that MirrorMaker knows in a flow only.
func ofFlow(prefix string) bool { return strings.Count(prefix, ".") > 1 }

// lostWish adds what to write for a dropped key that would have mattered.
func (in *importer) lostWish(s *setting) string {
	switch {
	case s.name == "auto.offset.reset" && strings.EqualFold(s.trimmed(), "latest"):
		return "; so it starts at earliest, and so does what is written here: start: latest of a flow changes that"
	case s.name == "isolation.level":
		return "; here " + readsCommits
	case clients[s.name] == "":
		return "; say it with the properties below clusters"
	}
	return "; here " + clients[s.name]
}

// ownConnection is for a client that reaches its cluster in a way of its own.
func (in *importer) ownConnection(s *setting) Verdict {
	name := s.cluster
	if name == "" {
		from, to, _ := strings.Cut(s.flow, "->")
		name = to
		if strings.HasPrefix(s.prefix, "source.") || s.prefix == "consumer." {
			name = from
		}
	}
	c := in.clusterOf(name)
	counts := c.effective(s.name)
	switch {
	case counts == s: // carried out as the cluster's own
		return Verdict{Mapped, "clusters." + name}
	case counts != nil && counts.trimmed() == s.trimmed():
		return Verdict{Mapped, fmt.Sprintf("the same as in line %d, for the whole cluster", counts.line)}
	}
	return Verdict{NoEquivalent, fmt.Sprintf("all clients reach a cluster in one way; set it for cluster %s as a whole",
		name)}
}
