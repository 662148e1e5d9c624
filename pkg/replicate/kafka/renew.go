package kafka

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Renewable are the properties that [Config.Renew] may give anew: what proves who the
// program is and whom it trusts. Where the cluster is never changes.
var Renewable = []string{
	"sasl.username", "sasl.password", "sasl.oauthbearer.config",
	"sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
	"sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.credentials.client.secret",
	"sasl.oauthbearer.assertion.private.key.pem", "sasl.oauthbearer.assertion.private.key.passphrase",
	"ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.key.password",
	"ssl.keystore.password", "ssl.truststore.password",
	"https.ca.pem",
}

// files are the properties that name files; a client reads them when it connects.
var files = []string{
	"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location",
	"ssl.truststore.location", "https.ca.location", "sasl.kerberos.keytab",
}

// now is the configuration with the passwords and certificates of this moment.
func (c Config) now() Config {
	if c.Renew == nil {
		return c
	}
	fresh := c.Renew()
	if fresh == nil {
		return c
	}
	c.Properties = maps.Clone(c.Properties)
	for _, property := range Renewable {
		if value, ok := fresh[property]; ok && value != "" {
			c.Properties[property] = value
		}
	}
	return c
}

// Credentials remembers which certificates, keys and passwords a handle of librdkafka
// was opened with: it reads them then, and never again.
type Credentials struct {
	config Config
	sum    [sha256.Size]byte
}

// Credentials are those of a handle that is opened now.
func (c Config) Credentials() Credentials { return Credentials{config: c, sum: sum(c.now())} }

// Renewed is nil while what the handle was opened with is what is in the files, or an
// error that says that another handle has to be opened. It is meant for when there is
// trouble: a handle whose connections live needs no other.
func (c Credentials) Renewed() error {
	if c.config.Properties == nil || sum(c.config.now()) == c.sum {
		return nil
	}
	return &RenewedError{Cluster: c.config.Name}
}

// RenewedError says that a handle holds former certificates or passwords.
type RenewedError struct{ Cluster string }

func (e *RenewedError) Error() string {
	return fmt.Sprintf("cluster %s: certificates or passwords were renewed", e.Cluster)
}

// Remedy tells that there is nothing to do.
func (e *RenewedError) Remedy() string {
	return "nothing: new connections are opened with what is in the files now"
}

// sum stands for the contents of all that may be renewed.
func sum(c Config) [sha256.Size]byte {
	var all bytes.Buffer
	for _, property := range Renewable {
		fmt.Fprintf(&all, "%q", c.Properties[property])
	}
	for _, property := range files {
		for _, file := range filesAt(c.Properties[property]) {
			data, err := os.ReadFile(file)
			fmt.Fprintf(&all, "%q%q%v", file, data, err != nil)
		}
	}
	return sha256.Sum256(all.Bytes())
}

// filesAt are the files of a property that names a file or a folder.
func filesAt(path string) []string {
	if path == "" || path == "probe" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		list, err := filepath.Glob(filepath.Join(path, "*"))
		if err != nil {
			return []string{path}
		}
		slices.Sort(list)
		return list
	}
	return []string{path}
}

// tlsNow makes the TLS settings of each new connection from what is in the files
// then. Files are replaced one after another: while they do not fit together, what was
// used last is used again.
type tlsNow struct {
	config Config

	mu     sync.Mutex
	last   *tls.Config
	failed string // what was logged last
}

// newTLS refuses files that do not fit together from the start.
func newTLS(c Config) (*tlsNow, error) {
	config, err := pemFiles{c.now()}.settings()
	if err != nil {
		return nil, err
	}
	return &tlsNow{config: c, last: config}, nil
}

func (t *tlsNow) settings() *tls.Config {
	config, err := pemFiles{t.config.now()}.settings()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.last, t.failed = config, ""
	} else if text := err.Error(); text != t.failed {
		t.failed = text
		t.config.logger().warn("certificates cannot be renewed, the former ones are used", "cluster", t.config.Name,
			"error", err, "remedy", "replace certificate, key and authorities by those that belong together")
	}
	return t.last
}
