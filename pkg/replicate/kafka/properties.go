package kafka

import (
	"slices"
	"strings"
)

// owned are the properties that decide over exactness, ownership or the
// program's own plumbing, with the reason why the configuration may not set them.
var owned = map[string]string{
	"transactional.id":      "each shard has its own, which fences a former owner",
	"enable.idempotence":    "records must arrive once and in order",
	"request.required.acks": "a record counts as written only when all in-sync replicas have it",
	"queuing.strategy":      "records keep their order",
	"enable.gapless.guarantee": "the engine looks at every delivery report itself; a failed record aborts " +
		"its transaction",
	"delivery.report.only.error": "the map of offsets is made from the delivery reports",
	"produce.offset.report":      "the map of offsets is made from the delivery reports",
	"partitioner":                "a record keeps its partition",
	"transaction.timeout.ms":     "it follows commit_interval; a shorter one would fence the shard for ever",
	"message.timeout.ms":         "a record waits as long as its transaction lives",
	"message.max.bytes":          "the target topic decides which record is too large",

	"enable.auto.commit":            "progress lives in the ledger, beside the data",
	"auto.commit.enable":            "progress lives in the ledger, beside the data",
	"auto.commit.interval.ms":       "progress lives in the ledger, beside the data",
	"enable.auto.offset.store":      "progress lives in the ledger, beside the data",
	"offset.store.method":           "progress lives in the ledger, beside the data",
	"offset.store.path":             "progress lives in the ledger, beside the data",
	"offset.store.sync.interval.ms": "progress lives in the ledger, beside the data",
	"auto.offset.reset":             "a position that is gone must be reported, not replaced; see the key start of a flow",
	"isolation.level":               "aborted records must not be copied",
	"enable.partition.eof":          "the exact end of a partition comes with it",
	"consume.callback.max.messages": "records are not read through callbacks",

	"group.id":                      "a flow's group decides which replica owns a shard",
	"group.instance.id":             "a flow's group decides which replica owns a shard",
	"group.protocol":                "a flow's group decides which replica owns a shard",
	"group.protocol.type":           "a flow's group decides which replica owns a shard",
	"group.remote.assignor":         "a flow's group decides which replica owns a shard",
	"partition.assignment.strategy": "a flow's group decides which replica owns a shard",

	"allow.auto.create.topics":    "nothing is written to a source, and target topics are created as the source's are",
	"topic.blacklist":             "the keys topics and exclude_topics of a flow choose topics",
	"metadata.broker.list":        "say bootstrap.servers",
	"statistics.interval.ms":      "the program has metrics of its own",
	"enabled_events":              "the program chooses the events that it reads",
	"log.queue":                   "librdkafka's log goes to the program's log; see the key log",
	"log.thread.name":             "librdkafka's log goes to the program's log; see the key log",
	"internal.termination.signal": "the program ends its clients itself",
	"builtin.features":            "it tells what the library can do and is not a setting",
	"plugin.library.paths":        "a plugin could change what is read and written",
	"interceptors":                "it can be set by code only",
	"default_topic_conf":          "it can be set by code only",
	"opaque":                      "it can be set by code only",
	"msg_order_cmp":               "it can be set by code only",
	"ssl_key":                     "say ssl.key.location or ssl.key.pem",
	"ssl_certificate":             "say ssl.certificate.location or ssl.certificate.pem",
	"ssl_ca":                      "say ssl.ca.location or ssl.ca.pem",
	"ssl_engine_callback_data":    "it can be set by code only",
	"default.topic.config":        "name the properties of topics beside the others",
}

// owner says whether the program must own a property, and why.
func owner(property string) (why string, is bool) {
	switch {
	case strings.HasPrefix(property, "go."):
		return "it steers the program's binding to librdkafka", true
	case strings.HasPrefix(property, "{topic}."):
		return owned["default.topic.config"], true
	case strings.HasSuffix(property, "_cb"):
		return "a callback can be set by code only", true
	case strings.HasPrefix(property, "test."):
		return "it is for librdkafka's own tests", true
	}
	if property == "bootstrap.servers" { // an alias of an owned name, and the one to use
		return "", false
	}
	why, is = owned[canonical(property)]
	return why, is
}

// aliases are librdkafka's second names. Two names of one property would be
// applied in no order, so that settings are kept under one.
var aliases = map[string]string{
	"acks":                      "request.required.acks",
	"bootstrap.servers":         "metadata.broker.list",
	"compression.type":          "compression.codec",
	"delivery.timeout.ms":       "message.timeout.ms",
	"linger.ms":                 "queue.buffering.max.ms",
	"max.in.flight":             "max.in.flight.requests.per.connection",
	"max.partition.fetch.bytes": "fetch.message.max.bytes",
	"retries":                   "message.send.max.retries",
	"sasl.mechanism":            "sasl.mechanisms",
	"sasl.oauthbearer.client.credentials.client.id":     "sasl.oauthbearer.client.id",
	"sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}

func canonical(property string) string {
	if name, ok := aliases[property]; ok {
		return name
	}
	return property
}

// ours are properties that librdkafka is not given: most of them it does not have.
var ours = map[string]bool{
	"aws.region": true, "aws.profile": true, "ssl.truststore.location": true, "ssl.truststore.password": true,
	"ssl.keystore.location": true, "ssl.keystore.password": true,
}

// isMechanism says whether a property is that of the login, by either of its names.
func isMechanism(property string) bool { return canonical(property) == canonical("sasl.mechanism") }

// onlyFor names the properties of one kind of handle, as librdkafka 2.11.1
// lists them; all others are for both.
var onlyFor = kinds(map[kind]string{
	consumer: `
		auto.commit.enable auto.commit.interval.ms auto.offset.reset check.crcs consume.callback.max.messages
		coordinator.query.interval.ms enable.auto.commit enable.auto.offset.store enable.partition.eof
		fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes fetch.min.bytes fetch.queue.backoff.ms
		fetch.wait.max.ms group.id group.instance.id group.protocol group.protocol.type group.remote.assignor
		heartbeat.interval.ms isolation.level max.partition.fetch.bytes max.poll.interval.ms offset.store.method
		offset.store.path offset.store.sync.interval.ms partition.assignment.strategy queued.max.messages.kbytes
		queued.min.messages session.timeout.ms`,
	producer: `
		acks batch.num.messages batch.size compression.codec compression.level compression.type
		delivery.report.only.error delivery.timeout.ms enable.gapless.guarantee enable.idempotence linger.ms
		message.send.max.retries message.timeout.ms partitioner produce.offset.report
		queue.buffering.backpressure.threshold queue.buffering.max.kbytes queue.buffering.max.messages
		queue.buffering.max.ms queuing.strategy request.required.acks request.timeout.ms retries
		sticky.partitioning.linger.ms transaction.timeout.ms transactional.id`,
})

// untuned are the properties of one kind of handle that have nothing to do with
// records: they concern the group that shares the shards.
var untuned = []string{
	"heartbeat.interval.ms", "max.poll.interval.ms", "session.timeout.ms",
}

// tuned are the properties of both kinds of handles that tune how records travel.
var tuned = []string{
	"max.in.flight", "max.in.flight.requests.per.connection", "message.copy.max.bytes", "receive.message.max.bytes",
	"socket.nagle.disable", "socket.receive.buffer.bytes", "socket.send.buffer.bytes",
}

// Tuning lists, by name, the given properties that tune how librdkafka fetches and
// produces records. Whatever copies by franz-go copies as if they were not there.
func (c Config) Tuning() []string {
	var list []string
	for property := range c.Properties {
		only := onlyFor[property] != "" && !slices.Contains(untuned, property)
		if only || slices.Contains(tuned, property) {
			list = append(list, property)
		}
	}
	slices.Sort(list)
	return list
}

func kinds(lists map[kind]string) map[string]kind {
	only := map[string]kind{}
	for k, list := range lists {
		for _, property := range strings.Fields(list) {
			only[property] = k
		}
	}
	return only
}
