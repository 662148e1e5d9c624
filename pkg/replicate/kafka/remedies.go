package kafka

import (
	"fmt"
	"strings"
)

// remedies is what is known of a cluster that helps to tell an operator what to do.
type remedies struct {
	security
	cluster string
	servers []string
	user    string // of a SASL login
}

func (c Config) remedies() remedies {
	return remedies{c.security(), c.Name, c.Servers(), c.Properties["sasl.username"]}
}

func (r remedies) what(happened, text string) string {
	what := "cluster " + r.cluster
	if servers := r.servers; len(servers) > 0 {
		what += " (" + strings.Join(servers, ",") + ")"
	}
	what += " " + happened
	if text != "" {
		what += " [" + text + "]"
	}
	return what
}

func (r remedies) fixConnection() string {
	return fmt.Sprintf("check that the brokers in clusters.%[1]s.bootstrap.servers run and can be reached from this "+
		"machine, that the addresses they advertise (advertised.listeners) can be reached too, and that "+
		"clusters.%[1]s.security.protocol (%[2]s) is what that port speaks%[3]s", r.cluster, r.protocol, r.orCertificate())
}

// wantsCertificate says whether a broker's alert is one that a client without a
// certificate gets: certificate required (116), bad certificate (42), handshake failure (40).
func wantsCertificate(text string) bool {
	lower := strings.ToLower(text)
	for _, alert := range []string{"certificate required", "bad certificate", "bad_certificate", "handshake failure",
		"certificate_required"} {
		if strings.Contains(lower, alert) {
			return true
		}
	}
	return false
}

// fixCertificate is for brokers that ask clients for a certificate.
func (r remedies) fixCertificate() string {
	return fmt.Sprintf("the brokers seem to ask clients for a certificate (mutual TLS, ssl.client.auth there): set "+
		"ssl.certificate.location and ssl.key.location of clusters.%s to one that an authority which they trust has signed",
		r.cluster)
}

func (r remedies) fixGarbled() string {
	return fmt.Sprintf("check that clusters.%s.bootstrap.servers, and the addresses that its brokers advertise, lead to "+
		"Kafka brokers and to nothing else; if they do, see their logs", r.cluster)
}

func (r remedies) fixCredentials() string {
	login, user := r.login, r.user
	if login == "" {
		return fmt.Sprintf("the brokers want a login: set security.protocol, sasl.mechanism, sasl.username and "+
			"sasl.password of clusters.%s", r.cluster)
	}
	if user != "" {
		user = fmt.Sprintf(" of user %q", user)
	}
	return fmt.Sprintf("check sasl.mechanism (%s) and the credentials%s under clusters.%s, and that they exist on "+
		"that cluster", login, user, r.cluster)
}

func (r remedies) fixEncryption() string {
	return fmt.Sprintf("check that the port of clusters.%[1]s.bootstrap.servers speaks TLS (security.protocol is "+
		"%[2]s), that ssl.ca.location names the authority that signed the brokers' certificates, that these hold the "+
		"names in bootstrap.servers and advertised.listeners, and that they have not expired%[3]s", r.cluster, r.protocol,
		r.orCertificate())
}

// orCertificate is what a client without a certificate may lack besides.
func (r remedies) orCertificate() string {
	if r.certificate || !r.encrypted() {
		return ""
	}
	return fmt.Sprintf("; brokers that ask clients for a certificate (ssl.client.auth) need ssl.certificate.location and "+
		"ssl.key.location of clusters.%s", r.cluster)
}
