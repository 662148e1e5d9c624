package mm2

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
)

// cluster is one of the file's clusters.
type cluster struct {
	in      *importer
	name    string
	alias   string // what it is called in the configuration, where a flow asks for another name
	line    int
	written *draft
	options map[string]string // of the JAAS login, if it can be read
}

var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// newName is the cluster's name in the configuration.
func (c *cluster) newName() string {
	if c.alias != "" {
		return c.alias
	}
	return c.name
}

// rename gives the cluster the name that a flow puts before its topics, or says why
// it cannot have it.
func (c *cluster) rename(alias string, by *flow) (why string) {
	for _, other := range c.in.used() {
		if other != c && other.newName() == alias {
			return fmt.Sprintf("cluster %s is called that, and a name has one cluster here", other.name)
		}
	}
	for _, f := range c.in.flows {
		if naming, _ := f.naming(); f.from != c || f == by || naming == policy.Identity {
			continue
		}
		theirs := c.name
		if s := f.effective("source.cluster.alias"); s != nil {
			theirs = s.trimmed()
		}
		if theirs != alias {
			return fmt.Sprintf("flow %s puts %q before its own, and a cluster has one name here", f.name(), theirs)
		}
	}
	if !legalName.MatchString(alias) {
		return "only letters, digits, dot, underscore and hyphen can be in a name here"
	}
	c.alias = alias
	return ""
}

// effective is the setting of a connection key that counts: the cluster's, else the
// bare one, else that of one of its clients.
func (c *cluster) effective(key string) *setting {
	for _, whole := range []string{
		c.name + "." + key, key, c.name + ".consumer." + key, c.name + ".producer." + key, c.name + ".admin." + key,
	} {
		if s := c.in.find(whole); s != nil && (s.kind == connection || s.kind == client) {
			return s
		}
	}
	return nil
}

func (c *cluster) value(key string) string {
	if s := c.effective(key); s != nil {
		return strings.TrimSpace(s.value)
	}
	return ""
}

// security is how the cluster is reached.
func (c *cluster) security() security {
	s := security{"PLAINTEXT", "GSSAPI"} // Java's defaults
	if p := strings.ToUpper(c.value("security.protocol")); p != "" {
		s.protocol = p
	}
	if m := strings.ToUpper(c.value("sasl.mechanism")); m != "" {
		s.mechanism = m
	}
	return s
}

// servers are the brokers, cleaned of blanks. A protocol in front means nothing to the
// Java client, which goes by security.protocol; here it would be refused where the two differ.
func (c *cluster) servers() []string {
	servers := slices.DeleteFunc(list(c.value("bootstrap.servers")), func(s string) bool { return s == "" })
	for i, server := range servers {
		if _, address, found := strings.Cut(server, "://"); found && !strings.Contains(server, "@") {
			servers[i] = address
		}
	}
	return servers
}

// shares is a broker that both clusters name, or "".
func (c *cluster) shares(other *cluster) string {
	for _, broker := range c.servers() {
		if slices.Contains(other.servers(), broker) {
			return broker
		}
	}
	return ""
}

// finish sets what follows from several keys, or from a missing one.
func (c *cluster) finish() {
	by := c.effective("security.protocol")
	if c.effective("bootstrap.servers") == nil {
		c.in.bad(c.in.find("clusters"), "has no %s.bootstrap.servers, and a flow needs that cluster", c.name)
	}
	if !legalName.MatchString(c.name) {
		c.in.bad(c.in.find("clusters"), "calls a cluster %q; letters, digits, dot, underscore and hyphen can be in a name "+
			"here", c.name)
	}
	if !c.security().sasl() {
		return
	}
	if m := c.effective("sasl.mechanism"); m != nil {
		by = m
	}
	switch {
	case c.security().byPassword():
		for _, property := range []string{"sasl.username", "sasl.password"} {
			if _, ok := c.written.properties[property]; !ok && c.effective("sasl.jaas.config") == nil {
				c.written.fromEnv(property, "", by)
			}
		}
	case c.security().mechanism == "OAUTHBEARER":
		c.oauth(by)
	case c.security().byTicket():
		c.ticket(by)
	case c.security().byAWS():
		c.written.step("cluster %s: give the program keys of AWS where AWS' own tools look for them", c.name)
	default:
		c.written.properties["sasl.mechanism"] = text{hole: true,
			origin: fmt.Sprintf("TO FILL IN, line %d has %s", by.line, printable(c.security().mechanism))}
		c.written.step("cluster %s: fill in sasl.mechanism; %s. Give the program a user of its own there, and write its "+
			"sasl.mechanism (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM), sasl.username and "+
			"sasl.password, or a certificate and security.protocol: SSL", c.name, c.security().cannotUse())
	}
}

// validate asks whether the brokers would be accepted; nothing else of a cluster can
// be looked at here, where its files may be missing.
func (c *cluster) validate() {
	value := c.written.properties["bootstrap.servers"].value
	if c.written.properties["bootstrap.servers"].env != "" {
		return
	}
	reach := kafka.Config{Name: c.name, Properties: map[string]string{"bootstrap.servers": value}}
	reach.Validate(func(_, format string, args ...any) {
		c.in.bad(c.effective("bootstrap.servers"), "%s", fmt.Sprintf(format, args...))
	})
}
