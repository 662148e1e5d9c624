package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

// authority signs certificates for one test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	dir         string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign gives a certificate for an address or a host name and its key, both PEM.
func (a *authority) sign(name string) (chain, key []byte) {
	a.t.Helper()
	return a.signBy(name, a.newKey(), a.certificate, a.key)
}

// alone gives a certificate that signs itself and no other.
func (a *authority) alone(name string) (chain, key []byte) {
	a.t.Helper()
	own := a.newKey()
	return a.signBy(name, own, nil, own)
}

func (a *authority) signBy(name string, own *ecdsa.PrivateKey, parent *x509.Certificate,
	by *ecdsa.PrivateKey) (chain, key []byte) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	secretPart, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secretPart})
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

func (a *authority) file(name string, data []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// serve runs brokers with a certificate for name; clients may be asked for theirs.
func (a *authority) serve(name string, clients tls.ClientAuthType) string {
	a.t.Helper()
	chain, key := a.sign(name)
	return a.serveWith(chain, key, clients)
}

func (a *authority) serveWith(chain, key []byte, clients tls.ClientAuthType) string {
	a.t.Helper()
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	certificates := []tls.Certificate{pair}
	return brokers(a.t, kfake.TLS(&tls.Config{Certificates: certificates, ClientAuth: clients, ClientCAs: pool}))
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	right, otherName := ours.serve("127.0.0.1", tls.NoClientCert), ours.serve("kafka.test", tls.NoClientCert)
	both := ours.serve("127.0.0.1", tls.RequireAndVerifyClientCert)
	own, ownKey := ours.alone("kafka.test")
	lone := ours.serveWith(own, ownKey, tls.NoClientCert)
	chain, key := ours.sign("client")
	ca := ours.file("ca.pem", []byte(ours.pem()))
	for why, c := range map[string]struct {
		servers string
		more    []string
		ok      bool
	}{
		"authority in a file": {right, []string{"ssl.ca.location", ca}, true},
		"authority as text":   {right, []string{"ssl.ca.pem", ours.pem()}, true},
		"another authority":   {right, []string{"ssl.ca.pem", theirs.pem()}, false},
		"another, but not checked": {right,
			[]string{"ssl.ca.pem", theirs.pem(), "enable.ssl.certificate.verification", "false"}, true},
		"another host": {otherName, []string{"ssl.ca.pem", ours.pem()}, false},
		"another host, allowed": {otherName,
			[]string{"ssl.ca.pem", ours.pem(), "ssl.endpoint.identification.algorithm", "none"}, true},
		"the brokers' own certificate, another host": {lone,
			[]string{"ssl.ca.pem", string(own), "ssl.endpoint.identification.algorithm", "none"}, true},
		"another authority, host not looked at": {otherName,
			[]string{"ssl.ca.pem", theirs.pem(), "ssl.endpoint.identification.algorithm", "none"}, false},
		"certificate of the client": {both, []string{"ssl.ca.pem", ours.pem(),
			"ssl.certificate.location", ours.file("client.pem", chain), "ssl.key.location", ours.file("key.pem", key)}, true},
		"the same as text": {both, []string{"ssl.ca.pem", ours.pem(), "ssl.certificate.pem", string(chain),
			"ssl.key.pem", string(key)}, true},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			var out logged
			c2 := Config{Name: "old", Logger: out.logger(),
				Properties: with(append([]string{"bootstrap.servers", c.servers, "security.protocol", "SSL"}, c.more...)...)}
			if got := problemsOf(c2.Properties); got != nil {
				t.Fatalf("problems %q, want none", got)
			}
			wait := fails
			if c.ok {
				wait = answers
			}
			librdkafka, franz := reach(t, c2, wait)
			for library, err := range map[string]error{"librdkafka": librdkafka, "franz-go": franz} {
				if c.ok {
					if err != nil {
						t.Errorf("%s: %v; log:\n%s", library, err, out.String())
					}
					continue
				}
				var problem *Problem
				if !errors.As(c2.Explain(err), &problem) || !strings.Contains(problem.What, "TLS") {
					t.Errorf("%s: got %v, want a problem that speaks of TLS; log:\n%s", library, c2.Explain(err), out.String())
				}
			}
		})
	}
}

// Brokers that ask for a certificate, and a client that has none: the remedy names the
// properties, by both libraries and in both versions of TLS.
func TestMutualTLSWithoutCertificate(t *testing.T) {
	ours := newAuthority(t)
	for why, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			chain, key := ours.sign("127.0.0.1")
			pair, err := tls.X509KeyPair(chain, key)
			if err != nil {
				t.Fatal(err)
			}
			servers := brokers(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: version,
				MaxVersion: version, ClientAuth: tls.RequireAnyClientCert}))
			var out logged
			c := Config{Name: "old", Logger: out.logger(), Properties: with("bootstrap.servers", servers,
				"security.protocol", "SSL", "ssl.ca.pem", ours.pem())}
			librdkafka, franz := reach(t, c, fails)
			for library, err := range map[string]error{"librdkafka": librdkafka, "franz-go": franz} {
				var problem *Problem
				if !errors.As(c.Explain(err), &problem) || !strings.Contains(problem.What, "TLS") ||
					!strings.Contains(problem.Fix, "set ssl.certificate.location and ssl.key.location of clusters.old") {
					t.Errorf("%s: got %v, remedy %q; log:\n%s", library, c.Explain(err), problem.Remedy(), out.String())
				}
			}
		})
	}
}

func TestNotCarried(t *testing.T) {
	a := newAuthority(t)
	chain, key := a.sign("client")
	_, foreign := a.sign("other")
	locked := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	noStore := a.file("no.p12", []byte("neither PEM nor a store"))
	for property, more := range map[string][]string{
		"ssl.keystore.location":   {"ssl.keystore.location", noStore, "ssl.keystore.password", "hunter2"},
		"ssl.truststore.location": {"ssl.truststore.location", noStore},
		"ssl.crl.location":        {"ssl.crl.location", "/crl.pem"},
		"ssl.key.pem":             {"ssl.certificate.pem", string(chain), "ssl.key.pem", string(locked)},
		"ssl.key.location":        {"ssl.certificate.pem", string(chain), "ssl.key.location", "/no/key.pem"},
		"ssl.certificate.pem":     {"ssl.certificate.pem", string(chain), "ssl.key.pem", string(foreign)},
		"ssl.ca.location":         {"ssl.ca.location", a.file("key-only.pem", key)},
		"ssl.ca.pem":              {"ssl.ca.pem", "no certificate"},
	} {
		c := Config{Name: "old", Properties: with(append([]string{"security.protocol", "SSL"}, more...)...)}
		_, err := NewFranz(c)
		var refused *NotCarriedError
		if !errors.As(err, &refused) || refused.Property != property || refused.Remedy() == "" {
			t.Errorf("%v: got %v, want a refusal of %s with a remedy", more, err, property)
		}
	}
}

func TestFranzWithoutCluster(t *testing.T) {
	client, err := NewFranz(Config{Name: "old", Properties: with("broker.address.family", "v6", "socket.timeout.ms", "50",
		"connections.max.idle.ms", "1000", "client.rack", "r", "socket.connection.setup.timeout.ms", "1000")})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).ListTopics(seconds(t, 1)); err == nil || !strings.Contains(err.Error(), "tcp6") {
		t.Errorf("an IPv4 address with family v6: got %v, want an error of tcp6", err)
	}
}
