package mm2

import (
	"fmt"
	"strings"
	"testing"

	"replicator/internal/config"
	"replicator/pkg/replicate/settings"
)

// What is loaded means what MirrorMaker would have done: scopes, precedence, and
// settings that only count together.
func TestMeaning(t *testing.T) {
	flow := func(show func(f settings.Config) any) func(*config.Config) string {
		return func(c *config.Config) string { return fmt.Sprint(show(c.Flows[0])) }
	}
	groups := flow(func(f settings.Config) any { return f.Groups })
	excluded := flow(func(f settings.Config) any { return f.ExcludeTopics })
	factor := flow(func(f settings.Config) any { return f.ReplicationFactor })
	topics := flow(func(f settings.Config) any { return f.Topics })
	start := flow(func(f settings.Config) any { return f.Start })
	naming := flow(func(f settings.Config) any { return string(f.Naming) + f.Separator })
	property := func(cluster, name string) func(*config.Config) string {
		return func(c *config.Config) string { return c.Clusters[cluster].Properties[name] }
	}
	const sync = "a->b.sync.group.offsets.enabled = true\n"
	const sasl = "a.security.protocol = SASL_PLAINTEXT\na.sasl.mechanism = PLAIN\n" +
		"a.sasl.jaas.config = x.PlainLoginModule required username=\"%s\" password=\"p\";\n"
	for _, c := range []struct {
		lines string
		what  func(*config.Config) string
		want  string
	}{
		{"", groups, "[]"},
		{sync, groups, "[.*]"},
		{"sync.group.offsets.enabled = TRUE", groups, "[.*]"},
		{sync + "sync.group.offsets.enabled = false", groups, "[.*]"},
		{"a.sync.group.offsets.enabled = true", groups, "[]"},
		{sync + "emit.checkpoints.enabled = false", groups, "[]"},
		{sync + "a->b.emit.offset-syncs.enabled = false", groups, "[]"},
		{sync + "groups = x\na->b.groups = y, z", groups, "[y z]"},
		{"topics = x", topics, "[x]"},
		{"topics = x\na->b.topics = y", topics, "[y]"},
		{"b->a.topics = y", topics, "[.*]"},
		{"a.topics = y", topics, "[.*]"},
		{"topics.blacklist = x", excluded, "[x]"},
		{"topics.exclude = y\na->b.topics.blacklist = x", excluded, "[y]"},
		{"", naming, "prefix."},
		{"replication.policy.separator = _", naming, "prefix_"},
		{"a.replication.policy.separator = _", naming, "prefix."},
		{"replication.policy.class = x.IdentityReplicationPolicy\nreplication.policy.separator = _", naming, "identity."},
		{"replication.policy.class = LegacyReplicationPolicy", naming, "identity."},
		{"consumer.auto.offset.reset = latest", start, "earliest"},
		{"b.consumer.auto.offset.reset = latest", start, "earliest"},
		{"a.consumer.auto.offset.reset = latest", start, "latest"},
		{"a->b.consumer.auto.offset.reset = latest", start, "latest"},
		{"a->b.consumer.auto.offset.reset = latest\na.consumer.auto.offset.reset = earliest", start, "earliest"},
		{"a->b.source.consumer.auto.offset.reset = latest\na.consumer.auto.offset.reset = earliest", start, "latest"},
		{"replication.factor = 3\na->b.replication.factor = 2", factor, "2"},
		{"", flow(func(f settings.Config) any { return f.SyncTopicConfigs }), "true"},
		{"refresh.groups.interval.seconds = 7\nrefresh.topics.interval.seconds = 9",
			flow(func(f settings.Config) any { return f.RefreshInterval }), "7s"},
		{fmt.Sprintf(sasl, "${NAME}"), property("a", "sasl.username"), "${NAME}"},
		{fmt.Sprintf(sasl, "a $${b"), property("a", "sasl.username"), "a $${b"},
		{fmt.Sprintf(sasl, "it's \\u00e9: #"), property("a", "sasl.username"), "it's \u00e9: #"},
		{fmt.Sprintf(sasl, "null"), property("a", "sasl.username"), "null"},
		{fmt.Sprintf(sasl, "x"), property("a", "sasl.password"), "from-environment"},
		{"security.protocol = SSL\nb.security.protocol = plaintext", property("a", "security.protocol"), "SSL"},
		{"security.protocol = SSL\nb.security.protocol = plaintext", property("b", "security.protocol"), "PLAINTEXT"},
		{"a.bootstrap.servers = SSL://a:9093, PLAINTEXT://c:1", property("a", "bootstrap.servers"), "a:9093,c:1"},
		{"a.consumer.client.rack = r1", property("a", "client.rack"), "r1"},
		{"consumer.client.rack = r1", property("a", "client.rack"), ""},
	} {
		text := "clusters = a, b\na.bootstrap.servers = a:9092\nb.bootstrap.servers = b:9092\na->b.enabled = true\n" + c.lines
		r, err := Import("mm2.properties", []byte(text), Options{})
		if err != nil {
			t.Errorf("%s\n%v", c.lines, err)
			continue
		}
		loaded, err := config.Parse("mm2.yaml", []byte(r.Config), environment(r))
		if err != nil {
			t.Errorf("%s\n%v\n%s", c.lines, err, r.Config)
			continue
		}
		if got := c.what(loaded); got != c.want {
			t.Errorf("%s\nis %s, want %s\n%s", c.lines, got, c.want, r.Config)
		}
	}
}

// A password may also stand in a URL.
func TestPasswordInURL(t *testing.T) {
	for _, endpoint := range []string{
		"https://me:s3cret@tokens.example.com/token", "https://tokens.example.com/token?k=s3cret",
	} {
		passwordInURL(t, endpoint)
	}
}

func passwordInURL(t *testing.T, endpoint string) {
	t.Helper()
	r, err := Import("mm2.properties", []byte(`clusters = a, b
b.bootstrap.servers = b:1
a->b.enabled = true
a.bootstrap.servers = a:1
a.security.protocol = SASL_SSL
a.sasl.mechanism = OAUTHBEARER
a.sasl.oauthbearer.token.endpoint.url = `+endpoint), Options{})
	if err != nil {
		t.Fatal(err)
	}
	noSecret(t, "a URL", r.Config+r.Report("mm2.properties", "mm2.yaml"))
	if _, err := config.Parse("mm2.yaml", []byte(r.Config), environment(r)); err != nil {
		t.Errorf("%v\n%s", err, r.Config)
	}
}

// Clusters whose names become one variable are told apart.
func TestVariablesAreApart(t *testing.T) {
	var text strings.Builder
	text.WriteString("clusters = a-b, a.b, 1\n1.bootstrap.servers = one:1\n")
	for _, name := range []string{"a-b", "a.b"} {
		fmt.Fprintf(&text, "%s.bootstrap.servers = %s:1\n%s.security.protocol = SASL_SSL\n%s.sasl.mechanism = PLAIN\n"+
			"%s.sasl.jaas.config = PlainLoginModule required username=u password=s3cret;\n%s->1.enabled = true\n",
			name, name, name, name, name, name)
	}
	r, err := Import("mm2.properties", []byte(text.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Variables) != 2 || r.Variables[0].Name != "A_B_SASL_PASSWORD" || r.Variables[1].Name != "A_B2_SASL_PASSWORD" {
		t.Errorf("variables are %+v", r.Variables)
	}
	if _, err := config.Parse("mm2.yaml", []byte(r.Config), environment(r)); err != nil {
		t.Errorf("%v\n%s", err, r.Config)
	}
}
