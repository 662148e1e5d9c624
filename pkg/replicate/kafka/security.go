package kafka

import (
	"strings"
)

// security is how the brokers are spoken to.
type security struct {
	protocol    string // security.protocol in lower case
	login       string // the SASL mechanism in use, in upper case, or "" without SASL
	certificate bool   // the client has one to show
}

func (c Config) security() security {
	s := security{protocol: "plaintext"}
	if value, ok := c.Properties["security.protocol"]; ok {
		s.protocol = strings.ToLower(value)
	}
	if strings.HasPrefix(s.protocol, "sasl_") {
		s.login = gssapi // librdkafka's default
		if value, ok := c.property("sasl.mechanism"); ok {
			s.login = strings.ToUpper(value)
		}
	}
	for _, property := range []string{"ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"} {
		s.certificate = s.certificate || c.Properties[property] != ""
	}
	return s
}

// encrypted says whether the client speaks TLS.
func (s security) encrypted() bool { return s.protocol == "ssl" || s.protocol == "sasl_ssl" }

// mskIAM is what Amazon's clients call the login with keys of AWS. MSK takes the same
// keys by OAUTHBEARER, which both libraries have.
const mskIAM = "AWS_MSK_IAM"

// byToken says whether the login is one with a token.
func (s security) byToken() bool { return s.login == "OAUTHBEARER" || s.login == mskIAM }

// byName says whether the login is one with user name and password.
func (s security) byName() bool { return s.login == "PLAIN" || isScram(s.login) }

func isScram(mechanism string) bool {
	return mechanism == "SCRAM-SHA-256" || mechanism == "SCRAM-SHA-512"
}
