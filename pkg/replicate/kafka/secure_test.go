package kafka

import (
	"context"
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
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
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
	for property, more := range map[string][]string{
		"ssl.keystore.location": {"ssl.keystore.location", "/k.p12"},
		"ssl.crl.location":      {"ssl.crl.location", "/crl.pem"},
		"ssl.key.pem":           {"ssl.certificate.pem", string(chain), "ssl.key.pem", string(locked)},
		"ssl.key.location":      {"ssl.certificate.pem", string(chain), "ssl.key.location", "/no/key.pem"},
		"ssl.certificate.pem":   {"ssl.certificate.pem", string(chain), "ssl.key.pem", string(foreign)},
		"ssl.ca.location":       {"ssl.ca.location", a.file("key-only.pem", key)},
		"ssl.ca.pem":            {"ssl.ca.pem", "no certificate"},
	} {
		c := Config{Name: "old", Properties: with(append([]string{"security.protocol", "SSL"}, more...)...)}
		_, err := NewFranz(c)
		var refused *NotCarriedError
		if !errors.As(err, &refused) || refused.Property != property || refused.Remedy() == "" {
			t.Errorf("%v: got %v, want a refusal of %s with a remedy", more, err, property)
		}
	}
}

func TestTokenService(t *testing.T) {
	asked := 0
	answer := `{"access_token": "t0ken", "expires_in": 3600}`
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		id, secret, _ := r.BasicAuth()
		if id != "me" || secret != "hunter2" ||
			r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer service.Close()
	service.Client().CloseIdleConnections()
	c := Config{Name: "old", Properties: with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER",
		"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me", "sasl.oauthbearer.scope", "kafka",
		"sasl.oauthbearer.client.secret", "hunter2", "sasl.oauthbearer.token.endpoint.url", service.URL)}
	mechanism, err := (oauthbearer{c}).mechanism()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second from memory
		_, first, err := mechanism.Authenticate(context.Background(), "")
		if err != nil || !strings.Contains(string(first), "auth=Bearer t0ken\x01") {
			t.Fatalf("got %q, %v, want the token", first, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for a token that holds an hour, want once", asked)
	}
	c.Properties["sasl.oauthbearer.client.secret"] = "hunter3"
	if mechanism, err = (oauthbearer{c}).mechanism(); err != nil {
		t.Fatal(err)
	}
	_, _, err = mechanism.Authenticate(context.Background(), "")
	var problem *Problem
	if !errors.As(err, &problem) || !strings.Contains(problem.Error(), "401") ||
		strings.Contains(problem.Error(), "hunter3") {
		t.Errorf("wrong secret: got %v, want a problem with the status and without the secret", err)
	}
}

// The URL of a token service may hold a login and keys: no text shows them, whatever
// is wrong, while it still tells which service it is.
func TestTokenServiceURLIsNotShown(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("move") != "" {
			http.Redirect(w, r, "gopher://moved:moved-s3cret@127.0.0.1/x?key=moved-s3cret", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer service.Close()
	for why, base := range map[string]string{
		"cannot be reached": away.URL + "/tenant/token?key=query-s3cret",
		"refuses":           service.URL + "/tenant/token?key=query-s3cret",
		"redirects":         service.URL + "/tenant/token?move=1&key=query-s3cret",
		"unknown host":      "http://no-such-host.invalid/tenant/token?key=query-s3cret#fragment-s3cret",
	} {
		endpoint := strings.Replace(base, "://", "://user-s3cret:pass-s3cret@", 1)
		c := Config{Name: "old", Properties: with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me",
			"sasl.oauthbearer.client.secret", "client-s3cret", "sasl.oauthbearer.token.endpoint.url", endpoint)}
		mechanism, err := (oauthbearer{c}).mechanism()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = mechanism.Authenticate(seconds(t, 10), "")
		if err == nil {
			t.Fatalf("%s: got a token", why)
		}
		if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "/tenant/token") {
			t.Errorf("%s: got %q, want where the service is and nothing secret", why, text)
		}
		text := c.redact("Failed to retrieve OIDC token from \"" + endpoint + "\": (0)")
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: librdkafka's text becomes %q", why, text)
		}
		event := ck.NewError(ck.ErrAuthentication, "Failed to retrieve OIDC token from \""+endpoint+"\": (0)", false)
		explained := c.Explain(event)
		code, ok := Code(explained)
		if strings.Contains(explained.Error(), "s3cret") || !ok || code != int(ck.ErrAuthentication) {
			t.Errorf("%s: an event of librdkafka becomes %q with code %d %v", why, explained, code, ok)
		}
	}
	for _, endpoint := range []string{
		"ftp://me:s3cret@host/x", "me:s3cret@host", "https://me:s3cret@host:port/x", "https:///s3cret",
	} {
		c := Config{Name: "old", Properties: with("security.protocol", "SASL_SSL", "sasl.mechanism", "OAUTHBEARER",
			"sasl.oauthbearer.method", "oidc", "sasl.oauthbearer.client.id", "me",
			"sasl.oauthbearer.client.secret", "hush", "sasl.oauthbearer.token.endpoint.url", endpoint)}
		if got := problemsOf(c.Properties); len(got) != 1 || strings.Contains(got[0], "s3cret") {
			t.Errorf("%s: got problems %q, want one without the login", endpoint, got)
		}
	}
}

func TestUnsecuredToken(t *testing.T) {
	c := Config{Name: "old", Properties: with("sasl.oauthbearer.config",
		"principal=me principalClaimName=user scope=a,b lifeSeconds=60 extension_team=x")}
	u, err := (oauthbearer{c}).unsecuredClaims()
	if err != nil {
		t.Fatal(err)
	}
	got := u.auth(time.Unix(1000, 0))
	// {"alg":"none"} and {"exp":1060,"iat":1000,"scope":["a","b"],"user":"me"}
	want := "eyJhbGciOiJub25lIn0.eyJleHAiOjEwNjAsImlhdCI6MTAwMCwic2NvcGUiOlsiYSIsImIiXSwidXNlciI6Im1lIn0."
	if got.Token != want || got.Extensions["team"] != "x" {
		t.Errorf("got %q %v, want %q and team=x", got.Token, got.Extensions, want)
	}
	for _, text := range []string{"", "scope=a", "principal=me lifeSeconds=0", "principal=me what=1"} {
		c.Properties["sasl.oauthbearer.config"] = text
		if _, err := (oauthbearer{c}).unsecuredClaims(); err == nil {
			t.Errorf("%q: got no error", text)
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
