package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func problemsOf(properties map[string]string) []string {
	var found []string
	Config{Name: "old", Properties: properties}.Validate(func(path, format string, args ...any) {
		found = append(found, path+": "+fmt.Sprintf(format, args...))
	})
	return found
}

func with(pairs ...string) map[string]string {
	properties := map[string]string{"bootstrap.servers": "127.0.0.1:1"}
	for i := 0; i < len(pairs); i += 2 {
		properties[pairs[i]] = pairs[i+1]
	}
	return properties
}

func TestValidateAccepts(t *testing.T) {
	for why, properties := range map[string]map[string]string{
		"only brokers":               with(),
		"several, one without port":  with("bootstrap.servers", "a:9092, b, PLAINTEXT://c:1"),
		"IPv6":                       with("bootstrap.servers", "[::1]:9092,[fe80::1]"),
		"consumer and producer ones": with("fetch.min.bytes", "10", "linger.ms", "20", "session.timeout.ms", "7000"),
		"tuning of a producer":       with("request.timeout.ms", "30000", "max.in.flight", "5"),
		"debug":                      with("debug", "broker,topic"),
		"PLAIN": with("security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN",
			"sasl.username", "u", "sasl.password", "p"),
		"SCRAM by the other name": with("security.protocol", "sasl_plaintext", "sasl.mechanisms", "SCRAM-SHA-512",
			"sasl.username", "u", "sasl.password", "p"),
		"token service": with("security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me",
			"sasl.oauthbearer.client.secret", "hush", "sasl.oauthbearer.token.endpoint.url", "https://127.0.0.1:1/t"),
		"a token in a file": with("security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.token.endpoint.url", "file:///run/token"),
		"a keytab": with("security.protocol", "SASL_SSL", "sasl.mechanism", "GSSAPI",
			"sasl.kerberos.principal", "me@TEST", "sasl.kerberos.keytab", "/no/keytab"),
		"keys of AWS": with("security.protocol", "SASL_SSL", "sasl.mechanism", "AWS_MSK_IAM", "aws.profile", "p"),
		"unsecured tokens": with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER",
			"enable.sasl.oauthbearer.unsecure.jwt", "true", "sasl.oauthbearer.config", "principal=me scope=a,b"),
	} {
		if got := problemsOf(properties); got != nil {
			t.Errorf("%s: %v has problems %q, want none", why, properties, got)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	scram := []string{"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "SCRAM-SHA-256"}
	for why, c := range map[string]struct {
		properties map[string]string
		want       []string // each a part of the problem at the same place
	}{
		"no brokers":    {map[string]string{}, []string{"bootstrap.servers: missing"}},
		"empty brokers": {with("bootstrap.servers", " "), []string{"bootstrap.servers: missing"}},
		"bad port": {with("bootstrap.servers", "a:b"),
			[]string{`bootstrap.servers: "a:b" is not a broker: port "b"`}},
		"one bad of three": {with("bootstrap.servers", "a:1,:2,c:3"),
			[]string{`":2" is not a broker: the host is missing`}},
		"unknown": {with("no.such", "1"), []string{"no.such: is not a librdkafka client property"}},
		"misspelt": {with("sasl.pasword", "x"),
			[]string{"sasl.pasword: is not a librdkafka client property; did you mean sasl.password?"}},
		"of the Java": {with("sasl.jaas.config", "x"), []string{"use sasl.username and sasl.password"}},
		"bad value": {with("socket.timeout.ms", "soon"),
			[]string{`socket.timeout.ms: librdkafka refuses the value`}},
		"a unit": {with("socket.timeout.ms", "30s", "client.id", "30s"),
			[]string{`socket.timeout.ms: "30s" is not a whole number`}},
		"out of range": {with("fetch.min.bytes", "0"),
			[]string{"fetch.min.bytes: librdkafka refuses the value"}},
		"owned":           {with("group.id", "g"), []string{"group.id: is set by the program"}},
		"owned, an alias": {with("acks", "1"), []string{"acks: is set by the program"}},
		"owned, a transaction's": {with("transaction.timeout.ms", "100"),
			[]string{"transaction.timeout.ms: is set by the program: it follows commit_interval"}},
		"owned, both names": {with("message.timeout.ms", "100", "delivery.timeout.ms", "100"),
			[]string{"delivery.timeout.ms: is set by the program", "message.timeout.ms: is set by the program"}},
		"owned, a size": {with("message.max.bytes", "1000"),
			[]string{"message.max.bytes: is set by the program: the target"}},
		"owned, of the Java": {with("max.block.ms", "1", "max.request.size", "1"), []string{
			"max.block.ms: is a property of the Java client, and message.timeout.ms in its place is set by the program",
			"max.request.size: is a property of the Java client, and message.max.bytes in its place"}},
		"owned, the old": {with("metadata.broker.list", "a:1"),
			[]string{"metadata.broker.list: is set by the program: say bootstrap"}},
		"of the binding": {with("go.batch.producer", "true"),
			[]string{"go.batch.producer: is set by the program"}},
		"callback": {with("dr_msg_cb", "x"), []string{"dr_msg_cb: is set by the program"}},
		"both names": {with("linger.ms", "1", "queue.buffering.max.ms", "2"),
			[]string{"linger.ms: is another name"}},
		"several": {with("acks", "1", "no.such", "1", "transactional.id", "t"),
			[]string{"acks", "no.such", "transactional.id"}},
		"against exactness": {with("max.in.flight", "6"),
			[]string{"max.in.flight: librdkafka refuses the properties"}},
		"no mechanism":      {with("security.protocol", "SASL_SSL"), []string{"sasl.mechanism: missing"}},
		"no user":           {with(scram...), []string{"sasl.username: missing", "sasl.password: missing"}},
		"login not used":    {with("sasl.username", "u"), []string{"sasl.username: would not be used"}},
		"CA not used":       {with("ssl.ca.location", "/ca.pem"), []string{"ssl.ca.location: would not be used"}},
		"unknown, a number": {with("no.such", "30s"), []string{"no.such: is not a librdkafka client property"}},
		"no such CA": {with("security.protocol", "SSL", "ssl.ca.location", "/no/ca.pem"),
			[]string{"ssl.ca.location: "}},
		"Kerberos": {with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "GSSAPI"),
			[]string{"sasl.kerberos.principal: is missing"}},
		"Kerberos without a key": {with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "GSSAPI",
			"sasl.kerberos.principal", "me@TEST"), []string{"sasl.kerberos.keytab: is missing"}},
		"an unknown login": {with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "DIGEST-MD5"),
			[]string{"sasl.mechanism: "}},
		"tokens from nowhere": {with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER"),
			[]string{"sasl.oauthbearer.method: has to say where tokens come from"}},
		"no secret": {with("security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER", "sasl.oauthbearer.method",
			"oidc", "sasl.oauthbearer.client.id", "me", "sasl.oauthbearer.token.endpoint.url", "https://127.0.0.1:1"),
			[]string{"sasl.oauthbearer.client.secret: is missing"}},
	} {
		got := problemsOf(c.properties)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v has problems %q, want %q", why, c.properties, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: problem %q, want %q", why, got[i], c.want[i])
			}
		}
	}
}

func TestTuning(t *testing.T) {
	c := Config{Properties: with("linger.ms", "1", "fetch.min.bytes", "1", "batch.size", "1", "max.in.flight", "1",
		"socket.send.buffer.bytes", "1", "client.id", "x", "socket.timeout.ms", "1000", "session.timeout.ms", "7000",
		"security.protocol", "SSL", "ssl.ca.location", "ca.pem", "sasl.username", "u", "debug", "broker")}
	want := []string{"batch.size", "fetch.min.bytes", "linger.ms", "max.in.flight", "socket.send.buffer.bytes"}
	if got := c.Tuning(); !slices.Equal(got, want) {
		t.Errorf("%v tune fetching and producing, want %v", got, want)
	}
}

// Whatever librdkafka says about a secret must not reach a terminal.
func TestValidateHidesSecrets(t *testing.T) {
	for property := range secret {
		for _, more := range [][]string{nil, {"security.protocol", "SSL"}, {"no.such." + "hunter2secret", "x"},
			{"client.id", "hunter2secret", "sasl.mechanisms", "hunter2secret"}} {
			properties := with(append([]string{property, "hunter2secret"}, more...)...)
			for _, problem := range problemsOf(properties) {
				if strings.Contains(problem, ": ") && strings.Contains(problem[strings.Index(problem, ": "):], "hunter2secret") {
					t.Errorf("%v: %q shows the secret", properties, problem)
				}
			}
		}
	}
}

// Every property of the tables is one that librdkafka knows: a misspelt one would
// be passed to the wrong kind of handle, or not be refused.
func TestTablesNameRealProperties(t *testing.T) {
	listed := slices.Clone(names)
	for property := range onlyFor {
		listed = append(listed, property)
	}
	for alias, name := range aliases {
		listed = append(listed, alias, name)
	}
	for property := range secret {
		listed = append(listed, property)
	}
	for property := range owned {
		listed = append(listed, property)
	}
	listed = append(append(listed, tuned...), untuned...)
	notText := []string{"default.topic.config", "opaque", "interceptors", "default_topic_conf", "ssl_engine_callback_data",
		"msg_order_cmp", "builtin.features"}
	for _, property := range listed {
		if slices.Contains(notText, property) || ours[property] {
			continue
		}
		err := try(ck.ConfigMap{property: "\x01"})
		if err != nil && strings.Contains(err.Error(), "No such configuration property") {
			t.Errorf("librdkafka does not know %s", property)
		}
	}
}

func TestValidateLeavesNothingBehind(t *testing.T) {
	threads := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skip("no /proc to count threads in")
		}
		return len(entries)
	}
	validate := func() {
		if got := problemsOf(with("fetch.min.bytes", "1", "linger.ms", "1", "no.such", "1")); len(got) != 1 {
			t.Fatalf("got %q, want one problem", got)
		}
		if got := problemsOf(with("fetch.min.bytes", "1", "linger.ms", "1")); got != nil {
			t.Fatalf("got %q, want no problem", got)
		}
	}
	validate() // Go's own threads come up the first time
	before, goroutines := threads(), runtime.NumGoroutine()
	for range 5 {
		validate()
	}
	deadline, tick := time.After(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for threads() > before+4 || runtime.NumGoroutine() > goroutines {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d threads and %d goroutines after, %d and %d before",
				threads(), runtime.NumGoroutine(), before, goroutines)
		}
	}
}

func TestValidateReadsFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := problemsOf(with("security.protocol", "SSL", "ssl.ca.location", empty))
	if len(got) != 1 || !strings.HasPrefix(got[0], "ssl.ca.location: ") {
		t.Errorf("a file without certificates: got %q, want one problem at ssl.ca.location", got)
	}
}
