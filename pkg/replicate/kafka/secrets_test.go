package kafka

import (
	"fmt"
	"strings"
	"testing"

	"replicator/pkg/replicate/kafka/mask"
)

// Secrets overlap: one is the beginning, the end or the middle of another, or ends as
// another begins. Nothing of any of them is left, in whatever order they are met.
func TestRedactOverlapping(t *testing.T) {
	for range 200 { // a map's order is another each time
		c := Config{Name: "old", Properties: with(
			"sasl.password", "hunter2", "ssl.key.password", "hunter2-and-more", "ssl.keystore.password", "more-of-it",
			"sasl.oauthbearer.client.secret", "nter2-and")}
		for text, want := range map[string]string{
			"with hunter2 refused":                        "with *** refused",
			"with hunter2-and-more refused":               "with *** refused",
			"hunter2-and-more-of-it":                      "***",
			"hunter2 hunter2-and-more hunter2hunter2":     "*** *** ******",
			"nter2-and-more, more-of-it":                  "***-more, ***",
			"a secret's part alone, hunter, is no secret": "a secret's part alone, hunter, is no secret",
		} {
			if got := c.redact(text); got != want {
				t.Fatalf("redact(%q) = %q, want %q", text, got, want)
			}
		}
	}
}

// A library may quote a value, or write it as a part of a URL.
func TestRedactOtherForms(t *testing.T) {
	const password = `p"a ss/wö&rd`
	c := Config{Name: "old", Properties: with("sasl.password", password)}
	for _, text := range []string{
		password, fmt.Sprintf("%q", password), "https://t.example.com/x?p=p%22a+ss%2Fw%C3%B6%26rd",
		"path p%22a%20ss%2Fw%C3%B6&rd", "p%22a+ss%2Fw%C3%B6%26rd",
	} {
		if got := c.redact(text); strings.Contains(got, "ss") || strings.Contains(got, "rd") {
			t.Errorf("redact(%q) = %q", text, got)
		}
	}
}

func TestShowURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://t.example.com/tenant/token":      "https://t.example.com/tenant/token",
		"https://me:s3cret@t.example.com:8443/a":  "https://***@t.example.com:8443/a",
		"https://me@t.example.com/a?k=v&x=y#z":    "https://***@t.example.com/a?***",
		"https://t.example.com/a#z":               "https://t.example.com/a#***",
		"https://me:s3/cr@et@t.example.com":       "https://***@t.example.com",
		"SASL_SSL://me:s3cret@a:1,SSL://u:p@b:2":  "SASL_SSL://***@b:2",
		"me:s3cret@host:9092":                     "***@host:9092",
		"host:9092":                               "host:9092",
		"https://t.example.com/a?mail=me@example": "https://***@example",
	} {
		if got := mask.URL(text); got != want {
			t.Errorf("mask.URL(%q) = %q, want %q", text, got, want)
		}
	}
}

// A protocol in front of a broker is refused where it is not security.protocol: one
// library would drop it and speak in plaintext, the other would never connect.
func TestSchemeBeforeBroker(t *testing.T) {
	for _, c := range []struct {
		servers, protocol string
		says              []string // nil: accepted
	}{
		{"SSL://a:9093", "", []string{"security.protocol: SSL", "which is PLAINTEXT here", `"a:9093"`}},
		{"ssl://a:9093", "SASL_SSL", []string{"security.protocol: SSL", "which is SASL_SSL here"}},
		{"sasl_ssl://a:9093", "", []string{"security.protocol: SASL_SSL"}},
		{"kafka+ssl://a:9093", "", []string{"security.protocol: SSL", `write "a:9093"`}},
		{"kafka+ssl://a:9093", "SSL", []string{`write "a:9093"`}},
		{"kafka://a:9092", "", []string{"security.protocol: PLAINTEXT"}},
		{"PLAINTEXT://a:9092", "SSL", []string{"security.protocol: PLAINTEXT, which is SSL here"}},
		{"http://a:9092", "", []string{"it is a URL", "write host:port"}},
		{"https://me:s3cret@a/x?k=s3cret", "", []string{`"https://***@a/x?***"`, "it is a URL"}},
		{"sasl_ssl://me:s3cret@a:9093/x", "", []string{`write "a:9093"`}},
		{"me:s3cret@a:9093", "", []string{`"***@a:9093"`}},
		{"a:9093, SSL://b:9093", "", []string{`"SSL://b:9093" is not a broker`}},
		{"://a:9093", "", []string{"it is a URL"}},
		{"SSL://a:9093,b", "SSL", nil},
		{"plaintext://a:9092", "", nil},
		{"sasl_plaintext://a:9092", "plaintext", []string{"security.protocol: SASL_PLAINTEXT"}},
	} {
		properties := with("bootstrap.servers", c.servers)
		if c.protocol != "" {
			properties["security.protocol"] = c.protocol
		}
		if c.protocol == "SASL_SSL" {
			properties["sasl.mechanism"], properties["sasl.username"], properties["sasl.password"] = "PLAIN", "u", "p"
		}
		config := Config{Name: "old", Properties: properties}
		got := problemsOf(properties)
		client, err := NewFranz(config)
		if err == nil {
			client.Close()
		}
		handle, librdkafka := NewConsumer(config, map[string]any{"group.id": "g"})
		if librdkafka == nil {
			handle.Close()
		}
		if c.says == nil {
			if got != nil || err != nil || librdkafka != nil {
				t.Errorf("%s with %q: problems %q, errors %v and %v, want none", c.servers, c.protocol, got, err, librdkafka)
			}
			continue
		}
		if err == nil || librdkafka == nil {
			t.Errorf("%s with %q: a client opened: franz-go %v, librdkafka %v", c.servers, c.protocol, err, librdkafka)
		}
		if len(got) != 1 || strings.Contains(got[0], "s3cret") {
			t.Errorf("%s with %q: problems %q, want one without a secret", c.servers, c.protocol, got)
			continue
		}
		for _, part := range c.says {
			if !strings.Contains(got[0], part) {
				t.Errorf("%s with %q: problem %q does not say %q", c.servers, c.protocol, got[0], part)
			}
		}
	}
}

func TestServersAreOneForm(t *testing.T) {
	c := Config{Properties: with("bootstrap.servers", "SSL://a:9092, b ,[::1]", "security.protocol", "ssl")}
	if got := fmt.Sprint(c.Servers()); got != "[a:9092 b:9092 [::1]:9092]" {
		t.Errorf("got %s", got)
	}
}
