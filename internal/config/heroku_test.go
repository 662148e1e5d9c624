package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"replicator/pkg/policy"
)

// pair makes a certificate that signs itself, and its key, in PEM.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

// heroku is what one add-on sets.
func heroku(t *testing.T, addon, url, prefix string) []string {
	t.Helper()
	trusted, _ := pair(t)
	certificate, key := pair(t)
	list := []string{addon + "_URL", url, addon + "_TRUSTED_CERT", trusted, addon + "_CLIENT_CERT", certificate,
		addon + "_CLIENT_CERT_KEY", key}
	if prefix != "" {
		list = append(list, addon+"_PREFIX", prefix)
	}
	return list
}

const herokuURLs = "kafka+ssl://ec2-1-2-3-4.example.com:9096,kafka+ssl://ec2-5-6-7-8.example.com:9096"

func TestFromEnv(t *testing.T) {
	env := append(heroku(t, "KAFKA", herokuURLs, "columbia-68051."),
		heroku(t, "HEROKU_KAFKA_COPPER", "kafka+ssl://copper:9096", "")...)
	env = append(env, "INNER_URL", "kafka://a:9092, kafka://[::1]:9092", "INNER_TRUSTED_CERT", "not looked at")
	got, err := Parse("heroku", []byte(`
clusters:
  one: {from_env: KAFKA, client.id: mine}
  two: {from_env: HEROKU_KAFKA_COPPER, prefix: by.hand., ssl.endpoint.identification.algorithm: https}
  three: {from_env: "${WHICH}"}
  four: {bootstrap.servers: "four:9092", prefix: "abc."}
flows:
  - {from: one, to: two}
  - {from: two, to: three, naming: prefix, separator: "-"}
  - {from: three, to: four, ledger: mine}
`), variables(append(env, "WHICH", "INNER")...))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for i := 0; i < len(env); i += 2 {
		values[env[i]] = env[i+1]
	}
	for cluster, want := range map[string]map[string]string{
		"one": {
			"bootstrap.servers":   "ec2-1-2-3-4.example.com:9096,ec2-5-6-7-8.example.com:9096",
			"security.protocol":   "ssl",
			"ssl.ca.pem":          values["KAFKA_TRUSTED_CERT"],
			"ssl.certificate.pem": values["KAFKA_CLIENT_CERT"], "ssl.key.pem": values["KAFKA_CLIENT_CERT_KEY"],
			"ssl.endpoint.identification.algorithm": "none", "client.id": "mine",
		},
		"two": {
			"bootstrap.servers": "copper:9096", "security.protocol": "ssl",
			"ssl.ca.pem":                            values["HEROKU_KAFKA_COPPER_TRUSTED_CERT"],
			"ssl.certificate.pem":                   values["HEROKU_KAFKA_COPPER_CLIENT_CERT"],
			"ssl.key.pem":                           values["HEROKU_KAFKA_COPPER_CLIENT_CERT_KEY"],
			"ssl.endpoint.identification.algorithm": "https",
		},
		"three": {"bootstrap.servers": "a:9092,[::1]:9092", "security.protocol": "plaintext"},
		"four":  {"bootstrap.servers": "four:9092"},
	} {
		has := got.Clusters[cluster].Properties
		for property, value := range want {
			if has[property] != value {
				t.Errorf("cluster %s: %s is %q, want %q", cluster, property, has[property], value)
			}
		}
		if len(has) != len(want) {
			t.Errorf("cluster %s has %d properties, want %d", cluster, len(has), len(want))
		}
	}
	for i, want := range []policy.Flow{
		{From: "one", To: "two", SourcePrefix: "columbia-68051.", TargetPrefix: "by.hand.", Naming: policy.Identity,
			Separator: "."},
		{From: "two", To: "three", SourcePrefix: "by.hand.", Naming: policy.Prefix, Separator: "-"},
		{From: "three", To: "four", TargetPrefix: "abc.", Naming: policy.Identity, Separator: ".", Ledger: "mine"},
	} {
		f := &got.Flows[i]
		if f.Flow != want || f.Flows[i] != want {
			t.Errorf("flow %d is %+v, among all %+v, want %+v", i, f.Flow, f.Flows[i], want)
		}
	}
	f := &got.Flows[0]
	names := f.LedgerTopic() + " " + f.TransactionalID(3)
	if want := "by.hand.__replicator.one.two by.hand.replicator.one.two.3"; names != want {
		t.Errorf("the ledger and a transactional id are %s, want %s", names, want)
	}
}

// Each variable that is wrong is told, in the line of from_env, without its value.
func TestBadVariables(t *testing.T) {
	good := heroku(t, "KAFKA", herokuURLs, "")
	_, otherKey := pair(t)
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("s3cret")}))
	for _, c := range []struct{ why, name, value, want string }{
		{"no URL", "KAFKA_URL", "ec2-1-2-3-4:9096", "KAFKA_URL: broker 1 is not a URL"},
		{"another scheme", "KAFKA_URL", "https://ec2-1:9096",
			"KAFKA_URL: broker 1 begins with https://; accepted is kafka+ssl://"},
		{"two schemes", "KAFKA_URL", "kafka+ssl://s3cret:1,kafka://s3cret:2",
			"broker 2 begins with kafka:// and broker 1 with kafka+ssl://"},
		{"no port", "KAFKA_URL", "kafka+ssl://a:1,kafka+ssl://s3cret", "broker 2 has no host and port"},
		{"a login", "KAFKA_URL", "kafka+ssl://me:s3cret@a:9096", "broker 1 has no host and port"},
		{"a port out of range", "KAFKA_URL", "kafka+ssl://s3cret:70000", "broker 1 has no host and port"},
		{"an end without a broker", "KAFKA_URL", "kafka+ssl://a:1,", "broker 2 is not a URL"},
		{"empty", "KAFKA_URL", " ", "KAFKA_URL: the environment variable is empty; accepted is kafka+ssl://"},
		{"empty", "KAFKA_TRUSTED_CERT", "",
			"KAFKA_TRUSTED_CERT: the environment variable is empty; accepted is the certificate"},
		{"no PEM", "KAFKA_TRUSTED_CERT", "s3cret", "KAFKA_TRUSTED_CERT: holds nothing in PEM"},
		{"one line", "KAFKA_CLIENT_CERT", strings.ReplaceAll(good[5],
			"\n", `\n`), `KAFKA_CLIENT_CERT: holds \n for the ends`},
		{"a tail", "KAFKA_CLIENT_CERT", good[5] + "s3cret",
			"KAFKA_CLIENT_CERT: holds something that is not PEM behind block 1"},
		{"the key in its place", "KAFKA_CLIENT_CERT", good[7],
			"KAFKA_CLIENT_CERT: holds a PRIVATE KEY; accepted is the client's certificate"},
		{"the certificate in its place", "KAFKA_CLIENT_CERT_KEY", good[5], "KAFKA_CLIENT_CERT_KEY: holds a CERTIFICATE"},
		{"damaged", "KAFKA_TRUSTED_CERT", strings.Replace(good[3], "MII", "MIJ", 1), "KAFKA_TRUSTED_CERT: holds"},
		{"encrypted", "KAFKA_CLIENT_CERT_KEY", encrypted, "KAFKA_CLIENT_CERT_KEY: holds an encrypted key"},
		{"another's", "KAFKA_CLIENT_CERT_KEY", otherKey,
			"KAFKA_CLIENT_CERT_KEY: is not the key of the certificate in KAFKA_CLIENT_CERT"},
		{"no prefix", "KAFKA_PREFIX", "s3cret/", `from_env.KAFKA_PREFIX: "${KAFKA_PREFIX}" cannot stand in a topic name`},
	} {
		env := append(append([]string{}, good...), c.name, c.value)
		_, err := Parse("f", []byte("clusters:\n  old:\n    from_env: KAFKA\n  new: {bootstrap.servers: \"new:9092\"}\n"+
			"flows: [{from: old, to: new}]\n"), variables(env...))
		var problems *Problems
		if !errors.As(err, &problems) || len(problems.List) != 1 {
			t.Errorf("%s: got %v, want one problem", c.why, err)
			continue
		}
		got := problems.List[0]
		if text := problems.Error(); got.Line != 3 || !strings.Contains(text, c.want) || strings.Contains(text, "s3cret") ||
			strings.Contains(text, "MI") {
			t.Errorf("%s: got %s, want %q in line 3", c.why, text, c.want)
		}
	}
}
