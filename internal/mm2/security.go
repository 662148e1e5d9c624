package mm2

import "strings"

// security is how a cluster is reached.
type security struct {
	protocol  string
	mechanism string // of SASL
}

func (s security) tls() bool { return strings.HasSuffix(s.protocol, "SSL") }

func (s security) sasl() bool { return strings.HasPrefix(s.protocol, "SASL_") }

func (s security) byPassword() bool {
	return s.mechanism == "PLAIN" || strings.HasPrefix(s.mechanism, "SCRAM-SHA-")
}

// usable: this program knows the mechanism.
func (s security) usable() bool {
	return s.byPassword() || s.mechanism == "OAUTHBEARER" || s.byAWS() || s.byTicket()
}

// byTicket: Kerberos.
func (s security) byTicket() bool { return s.mechanism == "GSSAPI" }

// byAWS: keys of AWS are what logs in.
func (s security) byAWS() bool { return s.mechanism == "AWS_MSK_IAM" }

// cannotUse says that the login is none of this program's.
func (s security) cannotUse() string {
	return "logins by " + printable(s.mechanism) + " cannot be used here"
}
