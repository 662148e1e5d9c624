package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"replicator/pkg/replicate/kafka"
)

// variable is one of an add-on's variables: its name behind the add-on's and the
// property of the cluster that it gives.
type variable struct{ suffix, property string }

// Heroku names the variables of a Kafka add-on so. The certificates are PEM texts.
var (
	addressVariable = variable{"_URL", "bootstrap.servers"}
	trustVariable   = variable{"_TRUSTED_CERT", "ssl.ca.pem"}
	certVariable    = variable{"_CLIENT_CERT", "ssl.certificate.pem"}
	keyVariable     = variable{"_CLIENT_CERT_KEY", "ssl.key.pem"}
	prefixVariable  = variable{"_PREFIX", "prefix"}
)

const (
	overTLS = "kafka+ssl"
	plainly = "kafka"
)

// given are the keys of a cluster that from_env leaves no room for, with the variable
// that says the same.
var given = map[string]variable{
	"bootstrap.servers": addressVariable, "security.protocol": addressVariable, "prefix": prefixVariable,
	"ssl.ca.pem": trustVariable, "ssl.ca.location": trustVariable, "ssl.ca.certificate.stores": trustVariable,
	"ssl.certificate.pem": certVariable, "ssl.certificate.location": certVariable,
	"ssl.key.pem": keyVariable, "ssl.key.location": keyVariable, "ssl.key.password": keyVariable,
	"ssl.keystore.location": keyVariable, "ssl.keystore.password": keyVariable,
}

// addon reads the variables of one add-on for one cluster.
type addon struct {
	found *findings
	env   *environment
	name  string
	at    string // path of from_env
}

// fromEnv takes over what an add-on's variables give; own are the keys that the
// cluster has beside from_env.
func (p *parser) fromEnv(c *kafka.Config, name, at string, own map[string]bool) (prefix string) {
	a := addon{p.found, p.env, name, at}
	if p.found.faulty[at] {
		return ""
	}
	if !envName.MatchString(name) {
		p.found.bad(at, "%q is not the name of an add-on; accepted is what its variables begin with, such as KAFKA or "+
			"HEROKU_KAFKA_COPPER", name)
	} else if addon, is := strings.CutSuffix(name, addressVariable.suffix); is {
		p.found.bad(at, "is the name of a variable; accepted is what all of the add-on's begin with: %s", addon)
	}
	if p.found.faulty[at] {
		return ""
	}
	prefix, _ = p.env.lookup(name + prefixVariable.suffix)
	a.conflicts(own, prefix != "")
	if prefix != "" {
		p.env.seen["${"+name+prefixVariable.suffix+"}"] = prefix
	}
	servers, scheme := a.servers()
	c.Properties["bootstrap.servers"] = servers
	if scheme == plainly {
		c.Properties["security.protocol"] = "plaintext"
		return prefix
	}
	c.Properties["security.protocol"] = "ssl"
	// The brokers' certificates do not hold the names of their hosts; that they are the add-on's own is what
	// their chain to its certificate says.
	if _, set := c.Properties["ssl.endpoint.identification.algorithm"]; !set {
		c.Properties["ssl.endpoint.identification.algorithm"] = "none"
	}
	for property, text := range a.certificates() {
		c.Properties[property] = text
	}
	return prefix
}

// tellAddon notes the properties of a cluster that an add-on's variables have given.
func (p *parser) tellAddon(c *kafka.Config, path, name string, own map[string]bool, prefix string) {
	for property, text := range c.Properties {
		if !own[property] {
			p.told.property(join(path, property), property, text, name+given[property].suffix)
		}
	}
	if prefix != "" && !own["prefix"] {
		p.told.property(join(path, "prefix"), "prefix", prefix, name+prefixVariable.suffix)
	}
}

// conflicts refuses keys that say once more what a variable gives.
func (a addon) conflicts(own map[string]bool, prefixed bool) {
	for key, v := range given {
		if own[key] && (v != prefixVariable || prefixed) {
			a.found.faulty[join(strings.TrimSuffix(a.at, ".from_env"), key)] = false
			a.found.bad(join(strings.TrimSuffix(a.at, ".from_env"), key),
				"is given by %s%s as well, which from_env reads; keep "+
					"one of them", a.name, v.suffix)
		}
	}
}

// wrong reports a problem of one variable, in the line of from_env.
func (a addon) wrong(v variable, format string, args ...any) {
	a.found.bad(a.at+"."+a.name+v.suffix, format, args...)
}

// text is a variable's value, remembered as one that no message may show.
func (a addon) text(v variable, accepted string) (string, bool) {
	name := a.name + v.suffix
	value, set := a.env.lookup(name)
	switch {
	case !set:
		a.wrong(v, "the environment variable is not set; accepted is %s", accepted)
	case strings.TrimSpace(value) == "":
		a.wrong(v, "the environment variable is empty; accepted is %s", accepted)
	default:
		a.env.seen["${"+name+"}"] = value
		return value, true
	}
	return "", false
}

const brokersAccepted = "kafka+ssl://host:port of one or more brokers, separated by commas, or kafka://host:port " +
	"without TLS"

// schemeForm is what may be shown of a URL that is none of ours.
var schemeForm = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,15}$`)

// servers reads the brokers' URLs: what bootstrap.servers says, and the scheme of all;
// "" after a problem.
func (a addon) servers() (servers, scheme string) {
	text, ok := a.text(addressVariable, brokersAccepted)
	if !ok {
		return "", ""
	}
	var list []string
	for i, url := range strings.Split(text, ",") {
		s, address, found := strings.Cut(strings.TrimSpace(url), "://")
		host, port, err := net.SplitHostPort(address)
		number, notNumber := strconv.Atoi(port)
		switch {
		case !found || !schemeForm.MatchString(s):
			a.wrong(addressVariable, "broker %d is not a URL; accepted is %s", i+1, brokersAccepted)
		case s != overTLS && s != plainly:
			a.wrong(addressVariable, "broker %d begins with %s://; accepted is %s", i+1, s, brokersAccepted)
		case scheme != "" && s != scheme:
			a.wrong(addressVariable, "broker %d begins with %s:// and broker 1 with %s://; accepted is one for all", i+1, s,
				scheme)
		case err != nil || host == "" || strings.ContainsAny(host, "/@ ") || notNumber != nil || number < 1 || number > 65535:
			a.wrong(addressVariable, "broker %d has no host and port behind %s://; accepted is %s", i+1, s, brokersAccepted)
		default:
			scheme = s
			list = append(list, address)
			a.env.seen[fmt.Sprintf("${%s%s} (broker %d)", a.name, addressVariable.suffix, i+1)] = address
			continue
		}
		return "", ""
	}
	return strings.Join(list, ","), scheme
}

// certificates reads the three PEM texts: by property, none after a problem.
func (a addon) certificates() map[string]string {
	trusted, ok1 := a.pem(trustVariable, "the certificate that the brokers' are signed with", isCertificate)
	cert, ok2 := a.pem(certVariable, "the client's certificate", isCertificate)
	key, ok3 := a.pem(keyVariable, "the client's private key, not encrypted", isKey)
	if !ok1 || !ok2 || !ok3 {
		return nil
	}
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		a.wrong(keyVariable, "is not the key of the certificate in %s%s; accepted are the two that belong together", a.name,
			certVariable.suffix)
		return nil
	}
	return map[string]string{trustVariable.property: trusted, certVariable.property: cert, keyVariable.property: key}
}

// pem reads a variable of PEM blocks, all of which must be what it is for.
func (a addon) pem(v variable, what string, is func(*pem.Block) error) (string, bool) {
	accepted := what + ", in PEM"
	text, ok := a.text(v, accepted)
	if !ok {
		return "", false
	}
	rest, blocks := []byte(text), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks++
		if err := is(block); err != nil {
			a.wrong(v, "%v; accepted is %s", err, accepted)
			return "", false
		}
	}
	switch {
	case blocks == 0 && strings.Contains(text, `\n`):
		a.wrong(v, `holds \n for the ends of its lines; accepted is %s, with real ends of lines`, accepted)
	case blocks == 0:
		a.wrong(v, "holds nothing in PEM; accepted is %s", accepted)
	case strings.TrimSpace(string(rest)) != "":
		a.wrong(v, "holds something that is not PEM behind block %d; accepted is %s", blocks, accepted)
	default:
		return text, true
	}
	return "", false
}

// kinds of PEM blocks, which may be shown.
var kinds = []string{"CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"}

func kindOfBlock(b *pem.Block) string {
	if slices.Contains(kinds, b.Type) {
		return b.Type
	}
	return "block of another kind"
}

func isCertificate(b *pem.Block) error {
	if b.Type != "CERTIFICATE" {
		return fmt.Errorf("holds a %s", kindOfBlock(b))
	}
	if _, err := x509.ParseCertificate(b.Bytes); err != nil {
		return fmt.Errorf("holds a CERTIFICATE that cannot be read")
	}
	return nil
}

func isKey(b *pem.Block) error {
	switch {
	case strings.HasPrefix(b.Type, "ENCRYPTED") || b.Headers["DEK-Info"] != "":
		return fmt.Errorf("holds an encrypted key")
	case b.Type == "EC PARAMETERS": // openssl puts them in front of a key
		return nil
	case !strings.HasSuffix(b.Type, "PRIVATE KEY"):
		return fmt.Errorf("holds a %s", kindOfBlock(b))
	}
	return nil
}
