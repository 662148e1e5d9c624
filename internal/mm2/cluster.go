package mm2

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
)

// text is a value of a written cluster: given, or read from the environment.
type text struct {
	value  string
	env    string // the variable's name; "": value holds
	hole   bool   // nothing is known that could stand here
	origin string // comment
}

// cluster is one of the file's clusters, and what is written of it.
type cluster struct {
	in         *importer
	name       string
	alias      string // what it is called in the configuration, where a flow asks for another name
	line       int
	properties map[string]text
	variables  []Variable
	steps      []string
	options    map[string]string // of the JAAS login, if it can be read
}

var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// written is the cluster's name in the configuration.
func (c *cluster) written() string {
	if c.alias != "" {
		return c.alias
	}
	return c.name
}

// rename gives the cluster the name that a flow puts before its topics, or says why
// it cannot have it.
func (c *cluster) rename(alias string, by *flow) (why string) {
	for _, other := range c.in.used() {
		if other != c && other.written() == alias {
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

func (c *cluster) protocol() string {
	if p := strings.ToUpper(c.value("security.protocol")); p != "" {
		return p
	}
	return "PLAINTEXT"
}

func (c *cluster) tls() bool { return strings.HasSuffix(c.protocol(), "SSL") }

func (c *cluster) sasl() bool { return strings.HasPrefix(c.protocol(), "SASL_") }

// mechanism is the SASL mechanism; Java's default is Kerberos.
func (c *cluster) mechanism() string {
	if m := strings.ToUpper(c.value("sasl.mechanism")); m != "" {
		return m
	}
	return "GSSAPI"
}

// cannotUse says that the cluster's login is none of this program's.
func (c *cluster) cannotUse() string {
	return "logins by " + printable(c.mechanism()) + " cannot be used here"
}

// usable: this program knows the mechanism.
func (c *cluster) usable() bool { return c.byPassword() || c.mechanism() == "OAUTHBEARER" }

func (c *cluster) byPassword() bool {
	return c.mechanism() == "PLAIN" || strings.HasPrefix(c.mechanism(), "SCRAM-SHA-")
}

var (
	ownVariable = regexp.MustCompile(`^\$\{env:(?::|)([A-Za-z_][A-Za-z0-9_]*)\}$`)
	inURL       = regexp.MustCompile(`://([^/]*@|.*\?)`) // a password before a host, or a key behind it
	provided    = regexp.MustCompile(`\$\{[^}:]+:[^}]*\}`)
)

// set writes a property with the value of a setting, or of a part of it. What a
// config provider would answer is read from the environment.
func (c *cluster) set(property, value string, s *setting) Verdict {
	if kafka.Secret(property) || inURL.MatchString(value) || provided.MatchString(value) {
		return c.fromEnv(property, value, s)
	}
	c.properties[property] = text{value: value, origin: fmt.Sprintf("line %d", s.line)}
	return Verdict{Mapped, "clusters." + c.name + "." + property}
}

// fromEnv writes a property that is read from the environment.
func (c *cluster) fromEnv(property, value string, s *setting) Verdict {
	line := fmt.Sprintf("line %d", s.line)
	name := c.variable(property)
	what := fmt.Sprintf("%s of cluster %s, in %s", property, c.name, line)
	if own := ownVariable.FindStringSubmatch(strings.TrimSpace(value)); own != nil {
		name, what = own[1], what+", as before"
	} else if provided.MatchString(value) {
		what += ", from its config provider"
	}
	c.properties[property] = text{env: name, origin: line}
	c.need(name, what)
	return Verdict{Mapped, fmt.Sprintf("clusters.%s.%s, read from ${%s}", c.name, property, name)}
}

func (c *cluster) need(name, what string) {
	if !slices.ContainsFunc(c.variables, func(v Variable) bool { return v.Name == name }) {
		c.variables = append(c.variables, Variable{name, what})
	}
}

// variable names the environment variable of a property: A_SASL_PASSWORD. Clusters
// whose names become one are told apart by their number.
func (c *cluster) variable(property string) string {
	name := shout(c.name)
	if i := slices.Index(c.in.clusters, c); slices.ContainsFunc(c.in.clusters[:i], func(other *cluster) bool {
		return shout(other.name) == name
	}) {
		name += strconv.Itoa(i + 1)
	}
	return name + "_" + shout(property)
}

func shout(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return "CLUSTER_" + name
	}
	return name
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
	if !c.sasl() {
		return
	}
	if m := c.effective("sasl.mechanism"); m != nil {
		by = m
	}
	switch {
	case c.byPassword():
		for _, property := range []string{"sasl.username", "sasl.password"} {
			if _, ok := c.properties[property]; !ok && c.effective("sasl.jaas.config") == nil {
				c.fromEnv(property, "", by)
			}
		}
	case c.mechanism() == "OAUTHBEARER":
		c.oauth(by)
	default:
		c.properties["sasl.mechanism"] = text{hole: true,
			origin: fmt.Sprintf("TO FILL IN, line %d has %s", by.line, printable(c.mechanism()))}
		c.step("cluster %s: fill in sasl.mechanism; %s. Give the program a user of its own there, and write its "+
			"sasl.mechanism (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER), sasl.username and sasl.password, or a "+
			"certificate and security.protocol: SSL", c.name, c.cannotUse())
	}
}

// validate asks whether the brokers would be accepted; nothing else of a cluster can
// be looked at here, where its files may be missing.
func (c *cluster) validate() {
	value := c.properties["bootstrap.servers"].value
	if c.properties["bootstrap.servers"].env != "" {
		return
	}
	reach := kafka.Config{Name: c.name, Properties: map[string]string{"bootstrap.servers": value}}
	reach.Validate(func(_, format string, args ...any) {
		c.in.bad(c.effective("bootstrap.servers"), "%s", fmt.Sprintf(format, args...))
	})
}
