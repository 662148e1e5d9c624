package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// Both lanes show certificates from what keytool and openssl have made: JKS on one side,
// PKCS#12 and a locked key in PEM on the other. Brokers take no other client.
func TestStores(t *testing.T) {
	for _, tool := range []string{"keytool", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
				t.Fatalf("there is no %s", tool)
			}
			t.Skipf("there is no %s", tool)
		}
	}
	ca := newAuthority(t)
	dir := stores(t, ca)
	opts := []cluster.Option{cluster.Secure("SSL"), cluster.Config("listener.name.secure.ssl.client.auth", "required"),
		cluster.Config("listener.name.secure.ssl.truststore.type", "PEM"),
		cluster.Config("listener.name.secure.ssl.keystore.type", "PEM")}
	for name, value := range demands(ca) {
		opts = append(opts, cluster.Config(name, value))
	}
	source, target := cluster.Pair(t, opts...)
	binary, err := program()
	must(t, err)
	ctx := deadline(t, 3*time.Minute)
	for lane, held := range map[string]string{
		"batch":  "ssl.keystore.location: DIR/key.p12, ssl.keystore.password: hunter2",
		"record": "ssl.certificate.location: DIR/cert.pem, ssl.key.location: DIR/locked.pem, ssl.key.password: hunter2",
	} {
		topic := unique(t) + "-" + lane
		must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
		mixed(ctx, t, source.Bootstrap(), topic, 950, 300, 2)
		side := func(servers, held string) string {
			return fmt.Sprintf("{bootstrap.servers: %q, security.protocol: SSL, ssl.endpoint.identification.algorithm: none, "+
				"ssl.truststore.password: hunter2, %s}", servers, strings.ReplaceAll(held, "DIR", dir))
		}
		path := filepath.Join(t.TempDir(), "flow.yaml")
		must(t, os.WriteFile(path, fmt.Appendf(nil, "clusters:\n  old: %s\n  new: %s\nflows:\n  - {from: old, to: new, "+
			"topics: [%s], groups: ['%s.*'], lane: %s, ledger: __replicator.%[3]s}\n",
			side(source.SecureBootstrap(), "ssl.keystore.location: DIR/key.jks, ssl.keystore.password: hunter2, "+
				"ssl.key.password: another, ssl.truststore.location: DIR/trust.jks"),
			side(target.SecureBootstrap(), held+", ssl.truststore.location: DIR/trust.p12"), topic, unique(t), lane), 0o600))
		s := &site{t: t, source: source, target: target, path: path, binary: binary}
		groups := stand(ctx, t, source.Bootstrap(), 951, 2, topic)
		s.copyOnce()
		judged(ctx, t, s.sides(), []string{topic}, groups)
		text, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "hunter2", "wrong-s3cret")), 0o600))
		out, code := s.command("check")
		if code == 0 || !holds(out, "password is missing or wrong") || holds(out, "wrong-s3cret") {
			t.Errorf("check with wrong passwords ends with %d:\n%s", code, out)
		}
	}
}

// stores makes them of a certificate of the client's and the authority's.
func stores(t *testing.T, ca *authority) (dir string) {
	t.Helper()
	dir = t.TempDir()
	certificate, key := ca.issue("mirror")
	for name, text := range map[string]string{"cert.pem": certificate, "key.pem": key, "ca.pem": ca.pem} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for _, line := range []string{
		"openssl pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:hunter2",
		"openssl pkcs12 -export -inkey key.pem -in cert.pem -out made.p12 -passout pass:hunter2 -name us",
		"keytool -importkeystore -srckeystore made.p12 -srcstorepass hunter2 -destkeystore key.p12 " +
			"-deststoretype PKCS12 -deststorepass hunter2",
		"keytool -importkeystore -srckeystore made.p12 -srcstorepass hunter2 -destkeystore key.jks " +
			"-deststoretype JKS -deststorepass hunter2 -destkeypass another -srcalias us",
		"keytool -importcert -noprompt -file ca.pem -alias ca -keystore trust.p12 -storetype PKCS12 -storepass hunter2",
		"keytool -importcert -noprompt -file ca.pem -alias ca -keystore trust.jks -storetype JKS -storepass hunter2",
	} {
		words := strings.Fields(line)
		command := exec.Command(words[0], words[1:]...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return dir
}
