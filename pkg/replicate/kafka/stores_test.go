package kafka

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// byOther signs a client's certificate by way of one between it and the authority.
func (a *authority) byOther() (chain []*x509.Certificate, key any) {
	a.t.Helper()
	ca := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "between"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour)}
	caKey := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, ca, a.certificate, &caKey.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	between, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	own := a.newKey()
	text, _ := a.signBy("client", own, between, caKey)
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	return []*x509.Certificate{leaf, between}, own
}

// Key stores, trust stores and locked keys log in with both libraries: brokers that know
// the authority alone are shown what leads to it as well.
func TestStoresOfJava(t *testing.T) {
	ours := newAuthority(t)
	chain, key := ours.byOther()
	p12, err := pkcs12.Modern.Encode(key, chain[0], chain[1:], "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ours.certificate}, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := pkcs8.MarshalPrivateKey(key, []byte("hunter2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, certificate := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	servers := ours.serve("127.0.0.1", tls.RequireAndVerifyClientCert)
	p12Trust := []string{"ssl.truststore.location", ours.file("trust.p12", trust), "ssl.truststore.password", "hunter2"}
	for why, more := range map[string][]string{
		"PKCS#12": append([]string{"ssl.keystore.location", ours.file("key.p12", p12), "ssl.keystore.password", "hunter2"},
			p12Trust...),
		"JKS": {"ssl.keystore.location", ours.file("key.jks", jks(t, chain, key, ours.certificate)), "ssl.keystore.password",
			"hunter2", "ssl.truststore.location", ours.file("trust.jks", jks(t, nil, nil, ours.certificate)),
			"ssl.truststore.password", "hunter2"},
		"a locked key": append([]string{"ssl.certificate.location", ours.file("chain.pem", text), "ssl.key.location",
			ours.file("locked.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: locked})),
			"ssl.key.password", "hunter2"}, p12Trust...),
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			var out logged
			c := Config{Name: "old", Logger: out.logger(),
				Properties: with(append([]string{"bootstrap.servers", servers, "security.protocol", "SSL"}, more...)...)}
			if got := problemsOf(c.Properties); got != nil {
				t.Fatalf("problems %q, want none", got)
			}
			if librdkafka, franz := reach(t, c, answers); librdkafka != nil || franz != nil {
				t.Errorf("librdkafka: %v, franz-go: %v; log:\n%s", librdkafka, franz, out.String())
			}
			for property := range c.Properties {
				if !Secret(property) {
					continue
				}
				wrong := With(c, map[string]string{property: "wrong-hunter3"})
				var refused *NotCarriedError
				if _, err := NewFranz(wrong); !errors.As(err, &refused) ||
					!strings.Contains(err.Error(), "password is missing or wrong") ||
					!strings.Contains(refused.Fix, property) || strings.Contains(err.Error(), "hunter") {
					t.Errorf("a wrong %s: got %v", property, err)
				}
				if got := problemsOf(wrong.Properties); len(got) != 1 {
					t.Errorf("a wrong %s: got problems %q, want one", property, got)
				}
			}
		})
	}
}

// jks is a store of Java's own kind.
func jks(t *testing.T, chain []*x509.Certificate, key any, trusted *x509.Certificate) []byte {
	t.Helper()
	store := keystore.New()
	entry := func(c *x509.Certificate) keystore.Certificate {
		return keystore.Certificate{Type: "X509", Content: c.Raw}
	}
	if err := store.SetTrustedCertificateEntry("root", keystore.TrustedCertificateEntry{
		CreationTime: time.Now(), Certificate: entry(trusted)}); err != nil {
		t.Fatal(err)
	}
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		private := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der}
		for _, certificate := range chain {
			private.CertificateChain = append(private.CertificateChain, entry(certificate))
		}
		if err := store.SetPrivateKeyEntry("us", private, []byte("hunter2")); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte("hunter2")); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
