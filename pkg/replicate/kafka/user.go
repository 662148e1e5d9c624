package kafka

import "strings"

// User is the name that the cluster knows the program by, as far as the
// configuration tells: that of a SASL login with a name, or ANONYMOUS without any
// login. A certificate or a token has its name from elsewhere, by rules of the
// brokers.
func (c Config) User() (name string, known bool) {
	switch s := c.security(); {
	case s.byName():
		name = c.Properties["sasl.username"]
		return name, name != ""
	case s.login == gssapi:
		name, _, _ = strings.Cut(c.Properties["sasl.kerberos.principal"], "@") // by the brokers' default rules
		name, _, _ = strings.Cut(name, "/")
		return name, name != ""
	case s.login == "":
		return "ANONYMOUS", !(s.encrypted() && s.certificate)
	}
	return "", false
}

// ClientID is the client.id of all clients of this cluster.
func (c Config) ClientID() string {
	if id, ok := c.Properties["client.id"]; ok {
		return id
	}
	return ClientID
}
