package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rotated is a broker over TLS whose certificate, and whom it trusts, are replaced.
type rotated struct {
	t      *testing.T
	now    atomic.Pointer[tls.Config]
	mu     sync.Mutex
	open   []net.Conn
	at     string
	config Config
	out    logged
}

// newRotated begins with what the first authority signed.
func newRotated(t *testing.T, first *authority) *rotated {
	t.Helper()
	r := &rotated{t: t}
	r.demand(first)
	r.at = brokers(t, kfake.TLS(&tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open = append(r.open, hello.Conn)
		return r.now.Load(), nil
	}}))
	r.config = Config{Name: "old", Logger: r.out.logger(), Properties: with("bootstrap.servers", r.at,
		"security.protocol", "SSL", "ssl.ca.location", first.dir+"/ca.pem",
		"ssl.certificate.location", first.dir+"/client.pem", "ssl.key.location", first.dir+"/client.key",
		"reconnect.backoff.max.ms", "100")}
	return r
}

// demand lets the broker show and want what an authority signed, from new connections on.
func (r *rotated) demand(a *authority) {
	r.t.Helper()
	chain, key := a.sign("127.0.0.1")
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	r.now.Store(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: pool})
}

// cut ends all connections.
func (r *rotated) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.open {
		_ = conn.Close()
	}
	r.open = nil
}

// give writes what an authority signed to where the client reads it.
func (r *rotated) give(a *authority, where string) {
	r.t.Helper()
	chain, key := a.sign("client")
	for name, data := range map[string][]byte{"ca.pem": []byte(a.pem()), "client.pem": chain, "client.key": key} {
		if err := os.WriteFile(where+"/"+name, data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// A client whose certificate and authority are replaced while it runs connects with what
// is in the files then; a half replaced pair leaves the former.
func TestCertificatesAreRenewed(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	r := newRotated(t, first)
	r.give(first, first.dir)
	client, err := NewFranz(r.config, kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := func() error {
		_, err := MetadataRequest(nil).RequestWith(seconds(t, answers), client)
		return err
	}
	if err := ask(); err != nil {
		t.Fatalf("with the first certificate: %v", err)
	}
	chain, _ := second.sign("client")
	if err := os.WriteFile(first.dir+"/client.pem", chain, 0o600); err != nil { // its key is still the former
		t.Fatal(err)
	}
	r.cut()
	if err := ask(); err != nil {
		t.Fatalf("while the files are being replaced: %v", err)
	}
	if text := r.out.String(); !strings.Contains(text, "former ones are used") || !strings.Contains(text, "remedy=") {
		t.Errorf("nothing is told of files that do not fit together:\n%s", text)
	}
	r.give(second, first.dir)
	r.demand(second)
	r.cut()
	if err := ask(); err != nil {
		t.Fatalf("with the second certificate: %v", err)
	}
}

// librdkafka reads files when a handle is opened, and never again: what the handle holds
// is known to be outdated, and another one works.
func TestHandleWithFormerCertificates(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	r := newRotated(t, first)
	r.give(first, first.dir)
	opened := r.config.Credentials()
	former, err := NewConsumer(r.config, map[string]any{"group.id": "g"})
	if err != nil {
		t.Fatal(err)
	}
	defer former.Close() // only read
	if _, err := former.GetMetadata(nil, true, answers*1000); err != nil {
		t.Fatal(err)
	}
	if err := opened.Renewed(); err != nil {
		t.Errorf("nothing was replaced: %v", err)
	}
	r.give(second, first.dir)
	r.demand(second)
	r.cut()
	for deadline := time.After(answers * time.Second); ; {
		if event, ok := former.Poll(100).(ck.Error); ok && !event.IsFatal() {
			break // trouble is told, so that somebody asks
		}
		select {
		case <-deadline:
			t.Fatal("a handle with a former certificate tells of no trouble")
		default:
		}
	}
	err = opened.Renewed()
	var renewed *RenewedError
	if !errors.As(err, &renewed) || renewed.Remedy() == "" || renewed.Cluster != "old" {
		t.Fatalf("got %v, want that certificates were renewed", err)
	}
	if librdkafka, franz := reach(t, r.config, answers); librdkafka != nil || franz != nil {
		t.Errorf("new clients: %v, %v", librdkafka, franz)
	}
}

// A login uses the password of the moment.
func TestPasswordsAreRenewed(t *testing.T) {
	var password atomic.Value
	password.Store("first")
	for _, login := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		c := Config{Name: "old", Properties: with("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", login,
			"sasl.username", "u", "sasl.password", "first", "client.id", "c")}
		c.Renew = func() map[string]string {
			if password.Load() == "" {
				return nil
			}
			return map[string]string{"sasl.password": password.Load().(string), "client.id": "never renewed"}
		}
		password.Store("first")
		opened := c.Credentials()
		mechanism, err := mechanismOf(c)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := c.settings(consumer, nil)
		if err != nil || settings["sasl.password"] != "first" {
			t.Errorf("settings %v, %v", settings, err)
		}
		password.Store("second")
		if opened.Renewed() == nil {
			t.Errorf("%s: that the password was renewed is not seen", login)
		}
		if settings, err = c.settings(consumer, nil); err != nil || settings["sasl.password"] != "second" ||
			settings["client.id"] != "c" {
			t.Errorf("settings %v, %v", settings, err)
		}
		if got := c.redact("of first and second"); got != "of *** and ***" {
			t.Errorf("redact gives %q", got)
		}
		if login == "PLAIN" {
			_, sent, err := mechanism.Authenticate(context.Background(), "")
			if err != nil || !strings.Contains(string(sent), "second") {
				t.Errorf("sent %q, %v", sent, err)
			}
		}
		password.Store("")
		if opened.Renewed() != nil {
			t.Errorf("%s: what cannot be read now counts as renewed", login)
		}
	}
}
