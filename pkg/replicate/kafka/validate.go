package kafka

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/replicate/kafka/mask"
	"replicator/pkg/replicate/kafka/spelling"
)

// Validate reports every problem of the properties, offline: librdkafka itself
// is asked about names and values, on handles that have no broker to talk to
// and are closed again. The path given to bad is a property's name, or empty
// for the cluster as a whole. Files that properties name must exist.
func (c Config) Validate(bad func(path, format string, args ...any)) {
	v := &validation{Config: c, report: bad}
	for _, step := range []func(){v.each, v.login, v.together, v.carried} {
		if step(); v.problems > 0 {
			return // what follows would tell the same again in other words
		}
	}
}

// validation goes through the properties of a cluster.
type validation struct {
	Config
	report   func(path, format string, args ...any)
	problems int // that were reported
}

func (v *validation) bad(path, format string, args ...any) {
	v.problems++
	v.report(path, "%s", v.redact(fmt.Sprintf(format, args...)))
}

// each looks at one property after another.
func (v *validation) each() {
	v.brokers()
	for _, property := range slices.Sorted(maps.Keys(v.Properties)) {
		v.one(property)
	}
}

// carried reports what a franz-go client cannot have.
func (v *validation) carried() {
	if _, err := franzOptions(v.Config); err != nil {
		v.refused(err)
	}
}

func (v *validation) refused(err error) {
	if carry, ok := err.(*NotCarriedError); ok {
		v.bad(carry.Property, "%s", carry.Why+"; "+carry.Remedy())
		return
	}
	v.bad("", "%s", err.Error())
}

func (v *validation) brokers() {
	list, ok := v.Properties["bootstrap.servers"]
	if !ok || strings.TrimSpace(list) == "" {
		v.bad("bootstrap.servers", "missing; give one or more brokers as host:port, separated by commas")
		return
	}
	for _, server := range strings.Split(list, ",") {
		if _, err := readServer(server, v.security().protocol); err != nil {
			v.bad("bootstrap.servers", "%q is not a broker: %v", mask.URL(strings.TrimSpace(server)), err)
		}
	}
}

func (v *validation) one(property string) {
	value := v.Properties[property]
	if why, is := owner(property); is {
		v.bad(property, "is set by the program: %s; take it out", why)
		return
	}
	if property == "bootstrap.servers" || ours[property] || v.security().login == mskIAM && isMechanism(property) {
		return
	}
	if name, is := javaNames[property]; is {
		if why, is := owner(name); is {
			v.bad(property, "is a property of the Java client, and %s in its place is set by the program: %s; take it out",
				name, why)
			return
		}
		v.bad(property, "is a property of the Java client; use %s", name)
		return
	}
	if name := canonical(property); name != property {
		if _, both := v.Properties[name]; both {
			v.bad(property, "is another name of %s, which is given as well; keep one of them", name)
			return
		}
	}
	if startsAsNumber.MatchString(value) && isNumber(property) {
		v.bad(property, "%q is not a whole number, without a unit", value)
		return
	}
	err := try(ck.ConfigMap{property: value})
	if err == nil {
		return
	}
	text := strings.TrimSpace(err.Error())
	if strings.Contains(text, noSuchProperty) {
		if name := spelling.Nearest(property, Names()); name != "" {
			v.bad(property, "is not a librdkafka client property; did you mean %s?", name)
			return
		}
		v.bad(property, "is not a librdkafka client property; they are listed in librdkafka's CONFIGURATION.md")
		return
	}
	if offending(text, []string{property}) == "" && !strings.Contains(text, "Invalid value") {
		return // it asks for another property beside it, which the try of all together has
	}
	if value == "" {
		v.bad(property, "is empty, and librdkafka refuses that: %s", text)
		return
	}
	v.bad(property, "librdkafka refuses the value: %s", text)
}

// startsAsNumber finds values with a unit, such as 30s, which librdkafka takes for
// 30 of its own unit.
var startsAsNumber = regexp.MustCompile(`^[+-]?[0-9]+[^0-9]`)

// isNumber asks librdkafka whether it knows the property and refuses a word for it.
func isNumber(property string) bool {
	err := try(ck.ConfigMap{property: "word"})
	return err != nil && !strings.Contains(err.Error(), noSuchProperty)
}

const noSuchProperty = "No such configuration property"

// javaNames are properties of the Java clients that operators carry over, and
// what librdkafka has in their place.
var javaNames = map[string]string{
	"sasl.jaas.config":     "sasl.username and sasl.password",
	"ssl.truststore.type":  "ssl.truststore.location alone; its format is seen",
	"ssl.keystore.type":    "ssl.keystore.location alone; its format is seen",
	"buffer.memory":        "queue.buffering.max.kbytes",
	"max.block.ms":         "message.timeout.ms",
	"max.poll.records":     "queued.min.messages",
	"receive.buffer.bytes": "socket.receive.buffer.bytes",
	"send.buffer.bytes":    "socket.send.buffer.bytes",
	"fetch.max.wait.ms":    "fetch.wait.max.ms",
	"max.request.size":     "message.max.bytes",
}

// try opens a handle without brokers, so that nothing is sent, and closes it.
// A producer's handle checks the names and values of all properties.
func try(settings ck.ConfigMap) error {
	settings["log.queue"] = true // keeps its log off standard error
	client, err := ck.NewAdminClient(&settings)
	if err != nil {
		return err
	}
	client.Close()
	return nil
}

// login reports settings that contradict each other: librdkafka
// takes them in silence and then does not use them.
func (v *validation) login() {
	sec := v.security()
	if sec.login == "" {
		for _, property := range []string{"sasl.username", "sasl.password", "sasl.mechanism", "sasl.mechanisms"} {
			if _, ok := v.Properties[property]; ok {
				v.bad(property, "would not be used: security.protocol is %s; set it to SASL_SSL or SASL_PLAINTEXT",
					sec.protocol)
				return
			}
		}
	}
	for _, both := range [][2]string{
		{"ssl.keystore.location", "ssl.certificate.location"}, {"ssl.keystore.location", "ssl.certificate.pem"},
		{"ssl.truststore.location", "ssl.ca.location"}, {"ssl.truststore.location", "ssl.ca.pem"},
	} {
		if v.Properties[both[0]] != "" && v.Properties[both[1]] != "" {
			v.bad(both[1], "says what %s says as well; keep one of them", both[0])
			return
		}
	}
	if !sec.encrypted() {
		for _, property := range []string{"ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location",
			"ssl.certificate.pem", "ssl.key.location", "ssl.key.pem", "ssl.keystore.location", "ssl.truststore.location"} {
			if _, ok := v.Properties[property]; ok {
				v.bad(property, "would not be used: security.protocol is %s; set it to SSL or SASL_SSL", sec.protocol)
				return
			}
		}
	}
	for _, property := range []string{"aws.region", "aws.profile"} {
		if _, ok := v.Properties[property]; ok && sec.login != mskIAM {
			v.bad(property, "would not be used: sasl.mechanism is not %s", mskIAM)
			return
		}
	}
	if _, ok := v.property("sasl.mechanism"); sec.login != "" && !ok {
		v.bad("sasl.mechanism", "missing; accepted are %s", logins)
		return
	}
	if sec.byName() {
		for _, property := range []string{"sasl.username", "sasl.password"} {
			if v.Properties[property] == "" {
				v.bad(property, "missing; sasl.mechanism %s needs it", sec.login)
			}
		}
	}
}

// together lets librdkafka look at all properties at once, on both
// kinds of handles and with what the engine needs to hold.
func (v *validation) together() {
	both := map[kind]ck.ConfigMap{
		consumer: {"group.id": ClientID, "log.queue": true, "go.logs.channel.enable": true},
		producer: {"transactional.id": ClientID, "enable.idempotence": true},
	}
	sec := v.security()
	asks := sec.login != "" && !sec.byName() // Kerberos or a token service, which the handle itself would ask
	consumes := false
	given, err := forLibrdkafka(v.Config)
	if err != nil {
		v.refused(err)
		return
	}
	for property, value := range given {
		if property == "bootstrap.servers" || property == "debug" {
			continue
		}
		if strings.Contains(property, "sasl") && asks { // stay offline
			continue
		}
		if property == "security.protocol" && asks {
			value = strings.TrimPrefix(strings.ToLower(value), "sasl_")
		}
		if onlyFor[property] != producer {
			both[consumer][property] = value
		}
		if onlyFor[property] != consumer {
			both[producer][property] = value
		}
		consumes = consumes || onlyFor[property] == consumer
	}
	if err := try(both[producer]); err != nil {
		text := strings.TrimSpace(err.Error())
		v.bad(offending(text, slices.Sorted(maps.Keys(v.Properties))), "librdkafka refuses the properties: %s", text)
		return
	}
	if !consumes {
		return
	}
	opened, err := ck.NewConsumer(ptr(both[consumer]))
	if err != nil {
		text := strings.TrimSpace(err.Error())
		v.bad(offending(text, slices.Sorted(maps.Keys(v.Properties))), "librdkafka refuses the properties: %s", text)
		return
	}
	_ = opened.Close() // it never had anything to leave
}

func ptr(settings ck.ConfigMap) *ck.ConfigMap { return &settings }

// offending is the property that librdkafka's text names first, or "".
func offending(text string, properties []string) string {
	found, at := "", len(text)
	for _, property := range properties {
		i := strings.Index(text, property)
		if i >= 0 && (i < at || i == at && len(property) > len(found)) {
			found, at = property, i
		}
	}
	return found
}
