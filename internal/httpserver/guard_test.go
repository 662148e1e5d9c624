package httpserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
)

// certify writes a certificate of that number and its key, and answers what trusts it.
func certify(t *testing.T, dir string, number int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := &x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true}
	signed, err := x509.CreateCertificate(rand.Reader, one, one, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	write(t, filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	if one, err = x509.ParseCertificate(signed); err != nil {
		t.Fatal(err)
	}
	pool.AddCert(one)
	return pool
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// With a web config nothing but health is answered to who has no login, and nothing in the clear; the file and what it
// names are read again.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool, file := certify(t, dir, 1), filepath.Join(dir, "web.yaml")
	const login = "basic_auth_users: {reader: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n"
	write(t, file, []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"+login))
	var log bytes.Buffer
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the page")) })
	o := Options{Listen: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Page: page,
		WebConfig: file, Log: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ask := func(scheme, path, password string) (code int, number int64) {
		t.Helper()
		trusts := &tls.Config{RootCAs: pool}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusts, DisableKeepAlives: true}}
		request, err := http.NewRequest(http.MethodGet, scheme+"://"+s.Addr.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("reader", password)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_ = answer.Body.Close()
		if answer.TLS != nil {
			number = answer.TLS.PeerCertificates[0].SerialNumber.Int64()
		}
		return answer.StatusCode, number
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/healthz/", "//metrics"} {
		for password, want := range map[string]int{"": http.StatusUnauthorized, "guessed": http.StatusUnauthorized} {
			if code, _ := ask("https", path, password); code != want {
				t.Errorf("%s with password %q: %d, want %d", path, password, code, want)
			}
		}
	}
	for path, password := range map[string]string{"/": "fakepassword", "/metrics": "fakepassword", "/healthz": "",
		"/readyz": ""} {
		if code, _ := ask("https", path, password); code != http.StatusOK {
			t.Errorf("%s with password %q: %d", path, password, code)
		}
		if code, _ := ask("http", path, password); code != http.StatusBadRequest {
			t.Errorf("%s in the clear: %d", path, code)
		}
	}
	pool = certify(t, dir, 2)
	if _, number := ask("https", "/healthz", ""); number != 2 {
		t.Errorf("a new certificate is not used: it is still number %d", number)
	}
	deadline := time.After(30 * time.Second)
	for s.door.size() > 0 { // as the server notices that the last ones were closed
		select {
		case <-deadline:
			t.Fatalf("%d connections are remembered that are gone", s.door.size())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A file of logins alone guards as well; one that cannot be read is an error that names it.
func TestWebConfigWithoutTLS(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "web.yaml")
	o := Options{Listen: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Ready: func() error { return nil },
		Page: http.NotFoundHandler(), WebConfig: file, Log: slog.New(slog.DiscardHandler)}
	if _, err := Serve(o); err == nil || !strings.Contains(err.Error(), file) || chunk.Remedy(err) == "" {
		t.Errorf("a file that is not there: %v", err)
	}
	write(t, file, []byte("basic_auth_users: {reader: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n"))
	s, err := Serve(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]int{"/metrics": http.StatusUnauthorized, "/healthz": http.StatusOK} {
		answer, err := http.Get("http://" + s.Addr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
}
