package stores

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// made is a certificate of a client, by way of one between it and its authority, in every
// form in which OpenSSL and Java keep such things.
type made struct {
	t    *testing.T
	dir  string
	want []*x509.Certificate // the client's and the one between
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

const password = "hunter2"

func newMade(t *testing.T) *made {
	t.Helper()
	for _, tool := range []string{"keytool", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
				t.Fatalf("there is no %s", tool)
			}
			t.Skipf("there is no %s to make stores with", tool)
		}
	}
	m := &made{t: t, dir: t.TempDir()}
	root, rootKey := m.sign("root", nil, nil)
	between, betweenKey := m.sign("between", root, rootKey)
	client, key := m.sign("client", between, betweenKey)
	m.root, m.key, m.want = root, key, []*x509.Certificate{client, between}
	m.write("chain.pem", Certificates(m.want))
	m.write("root.pem", Certificates([]*x509.Certificate{root}))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, line := range []string{
		"openssl pkcs8 -topk8 -in key.pem -out pbes2.pem -v2 aes-256-cbc -passout pass:hunter2",
		"openssl ec -in key.pem -out sec1.pem",
		"openssl ec -in key.pem -out legacy.pem -aes128 -passout pass:hunter2",
		"openssl pkcs12 -export -inkey key.pem -in chain.pem -out openssl.p12 -passout pass:hunter2 -name us",
		"openssl pkcs12 -export -inkey key.pem -in chain.pem -out old.p12 -passout pass:hunter2 -legacy",
		"keytool -importkeystore -srckeystore openssl.p12 -srcstorepass hunter2 -destkeystore java.p12 " +
			"-deststoretype PKCS12 -deststorepass hunter2",
		"keytool -importkeystore -srckeystore openssl.p12 -srcstorepass hunter2 -destkeystore java.jks " +
			"-deststoretype JKS -deststorepass hunter2 -destkeypass another -srcalias us",
		"keytool -importcert -noprompt -file root.pem -alias root -keystore trust.p12 -storetype PKCS12 " +
			"-storepass hunter2",
		"keytool -importcert -noprompt -file root.pem -alias root -keystore trust.jks -storetype JKS " +
			"-storepass hunter2",
		"openssl pkcs12 -export -nokeys -in root.pem -out nomark.p12 -passout pass:hunter2",
	} {
		words := strings.Fields(line)
		command := exec.Command(words[0], words[1:]...)
		command.Dir = m.dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return m
}

func (m *made) write(name string, data []byte) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *made) read(name string) []byte {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

func (m *made) sign(name string, parent *x509.Certificate,
	by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: name != "client",
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		m.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return certificate, key
}

// What OpenSSL and keytool make is read whole: key, certificate, and the one between.
func TestStores(t *testing.T) {
	m := newMade(t)
	same := func(name string, got Identity, err error) {
		t.Helper()
		if err != nil || !m.key.Equal(got.Key) || len(got.Chain) != 2 || !got.Chain[0].Equal(m.want[0]) ||
			!got.Chain[1].Equal(m.want[1]) {
			t.Errorf("%s: got %d certificates, %v, want the client's and the one between, and its key", name,
				len(got.Chain), err)
		}
	}
	for _, name := range []string{"openssl.p12", "old.p12", "java.p12"} {
		got, err := Open(m.read(name), password, "")
		same(name, got, err)
		if _, err := Open(m.read(name), "wrong", ""); !errors.Is(err, ErrPassword) {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	got, err := Open(m.read("java.jks"), password, "another")
	same("java.jks", got, err)
	for why, passwords := range map[string][2]string{"store": {"wrong", "another"}, "key": {password, ""}} {
		if _, err := Open(m.read("java.jks"), passwords[0], passwords[1]); !errors.Is(err, ErrPassword) {
			t.Errorf("a wrong password of the %s: %v", why, err)
		}
	}
	for _, name := range []string{"key.pem", "sec1.pem", "pbes2.pem", "legacy.pem"} {
		got, err := FromPEM(m.read("chain.pem"), m.read(name), password)
		same(name, got, err)
		locked := name == "pbes2.pem" || name == "legacy.pem"
		for _, other := range []string{"", "wrong"} {
			if _, err := FromPEM(m.read("chain.pem"), m.read(name), other); errors.Is(err, ErrPassword) != locked {
				t.Errorf("%s with password %q: %v", name, other, err)
			}
		}
	}
	got, err = Open(append(m.read("chain.pem"), m.read("pbes2.pem")...), password, "") // ssl.keystore.type=PEM
	same("both in one file of PEM", got, err)
	if _, err := FromPEM(m.read("root.pem"), m.read("key.pem"), ""); err == nil {
		t.Error("a key that is not the certificate's is taken")
	}
	for _, name := range []string{"trust.p12", "trust.jks", "root.pem"} {
		list, err := Trusted(m.read(name), password)
		if err != nil || len(list) != 1 || !list[0].Equal(m.root) {
			t.Errorf("%s: got %d certificates, %v, want the root", name, len(list), err)
		}
		if _, err := Trusted(m.read(name), "wrong"); name != "root.pem" && !errors.Is(err, ErrPassword) {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	if _, err := Trusted(m.read("nomark.p12"), password); err == nil || !strings.Contains(err.Error(), "not marked") {
		t.Errorf("a certificate that is not marked as trusted: %v", err)
	}
	for _, data := range []string{"", "neither", "\xfe\xed\xfe\xed"} {
		if _, err := Open([]byte(data), password, ""); err == nil {
			t.Errorf("%q is taken for a key store", data)
		}
		if _, err := Trusted([]byte(data), password); err == nil {
			t.Errorf("%q is taken for a trust store", data)
		}
	}
}
