package kafka

import (
	"strings"
)

// protocol is security.protocol in lower case.
func (c Config) protocol() string {
	value, ok := c.Properties["security.protocol"]
	if !ok {
		return "plaintext"
	}
	return strings.ToLower(value)
}

// login is the SASL mechanism in use, in upper case, or "" without SASL.
func (c Config) login() string {
	if !strings.HasPrefix(c.protocol(), "sasl_") {
		return ""
	}
	value, ok := c.property("sasl.mechanism")
	if !ok {
		return "GSSAPI" // librdkafka's default
	}
	return strings.ToUpper(value)
}

func isScram(mechanism string) bool {
	return mechanism == "SCRAM-SHA-256" || mechanism == "SCRAM-SHA-512"
}

// validateSecurity reports settings that contradict each other: librdkafka
// takes them in silence and then does not use them.
func (c Config) validateSecurity(bad func(path, format string, args ...any)) {
	login := c.login()
	if login == "" {
		for _, property := range []string{"sasl.username", "sasl.password", "sasl.mechanism", "sasl.mechanisms"} {
			if _, ok := c.Properties[property]; ok {
				bad(property, "would not be used: security.protocol is %s; set it to SASL_SSL or SASL_PLAINTEXT",
					c.protocol())
				return
			}
		}
	}
	if !strings.HasSuffix(c.protocol(), "ssl") {
		for _, property := range []string{"ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location",
			"ssl.certificate.pem", "ssl.key.location", "ssl.key.pem"} {
			if _, ok := c.Properties[property]; ok {
				bad(property, "would not be used: security.protocol is %s; set it to SSL or SASL_SSL", c.protocol())
				return
			}
		}
	}
	if _, ok := c.property("sasl.mechanism"); login != "" && !ok {
		bad("sasl.mechanism", "missing; accepted are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER")
		return
	}
	if login == "PLAIN" || isScram(login) {
		for _, property := range []string{"sasl.username", "sasl.password"} {
			if c.Properties[property] == "" {
				bad(property, "missing; sasl.mechanism %s needs it", login)
			}
		}
	}
}
