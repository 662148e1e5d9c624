package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// realm is a KDC on loopback, of Debian's krb5-kdc.
type realm struct {
	t        *testing.T
	dir      string
	profiles []string // environment
}

const realmName = "REPLICATOR.TEST"

// newRealm starts a KDC that ends with the test.
func newRealm(t *testing.T) *realm {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	for _, tool := range []string{"krb5kdc", "kadmin.local", "kdb5_util"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("REPLICATOR_REQUIRE_KAFKA") != "" {
				t.Fatalf("there is no %s; install krb5-kdc and krb5-admin-server", tool)
			}
			t.Skipf("there is no %s", tool)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	at := free.Addr().String()
	must(t, free.Close())
	r := &realm{t: t, dir: t.TempDir()}
	r.write("krb5.conf", "[libdefaults]\n default_realm = %[1]s\n udp_preference_limit = 1\n dns_lookup_kdc = false\n"+
		" rdns = false\n[realms]\n %[1]s = {\n  kdc = %[2]s\n }\n", realmName, at)
	r.write("kdc.conf", "[kdcdefaults]\n kdc_listen = %[2]s\n kdc_tcp_listen = %[2]s\n[realms]\n %[1]s = {\n"+
		"  database_name = %[3]s/principal\n  key_stash_file = %[3]s/stash\n  acl_file = %[3]s/acl\n }\n",
		realmName, at, r.dir)
	r.profiles = append(os.Environ(), "KRB5_CONFIG="+r.path("krb5.conf"), "KRB5_KDC_PROFILE="+r.path("kdc.conf"))
	r.run("kdb5_util", "create", "-s", "-P", "master", "-r", realmName)
	kdc := exec.Command("krb5kdc", "-n", "-r", realmName)
	kdc.Env = r.profiles
	must(t, kdc.Start())
	t.Cleanup(func() { _ = kdc.Process.Kill(); _ = kdc.Wait() })
	eventually(t, 20*time.Second, "the KDC listens", func() bool {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return r
}

func (r *realm) path(name string) string { return filepath.Join(r.dir, name) }

func (r *realm) write(name, text string, args ...any) {
	r.t.Helper()
	must(r.t, os.WriteFile(r.path(name), fmt.Appendf(nil, text, args...), 0o600))
}

func (r *realm) run(name string, args ...string) {
	r.t.Helper()
	command := exec.Command(name, args...)
	command.Env = r.profiles
	if out, err := command.CombinedOutput(); err != nil {
		r.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// principal makes one with a random key, in a keytab file.
func (r *realm) principal(name, keytab string) {
	r.t.Helper()
	r.run("kadmin.local", "-r", realmName, "addprinc", "-randkey", name)
	r.run("kadmin.local", "-r", realmName, "ktadd", "-k", r.path(keytab), name)
}

// The batch lane logs in by Kerberos, with a keytab on one side and a password on the other; the
// record lane is refused before it begins, and so is a wrong password.
func TestKerberos(t *testing.T) {
	r := newRealm(t)
	r.principal("kafka/127.0.0.1", "broker.keytab")
	r.principal(user, "mirror.keytab")
	r.run("kadmin.local", "-r", realmName, "addprinc", "-pw", password, "other")
	module := fmt.Sprintf(`com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true `+
		`keyTab="%s" principal="kafka/127.0.0.1@%s";`, r.path("broker.keytab"), realmName)
	source, target := cluster.Pair(t, cluster.Secure("SASL_PLAINTEXT"), cluster.OnDisk(),
		cluster.Java("-Djava.security.krb5.conf="+r.path("krb5.conf")),
		cluster.Config("listener.name.secure.sasl.enabled.mechanisms", "GSSAPI"),
		cluster.Config("listener.name.secure.gssapi.sasl.jaas.config", module),
		cluster.Config("sasl.kerberos.service.name", "kafka"))
	t.Setenv("KRB5_CONFIG", r.path("krb5.conf"))
	binary, err := program()
	must(t, err)
	ctx, topic := deadline(t, 3*time.Minute), unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	mixed(ctx, t, source.Bootstrap(), topic, 970, 500, 2)
	side := func(servers, who string) string {
		return fmt.Sprintf("{bootstrap.servers: %q, security.protocol: SASL_PLAINTEXT, sasl.mechanism: GSSAPI, "+
			"sasl.kerberos.principal: %s}", servers, who)
	}
	path := filepath.Join(t.TempDir(), "flow.yaml")
	text := fmt.Sprintf("clusters:\n  old: %s\n  new: %s\nflows:\n  - {from: old, to: new, topics: [%s], "+
		"groups: ['%[3]s.*'], lane: batch}\n", side(source.SecureBootstrap(), user+"@"+realmName+", sasl.kerberos.keytab: "+
		r.path("mirror.keytab")), side(target.SecureBootstrap(), "other, sasl.password: "+password), topic)
	write := func(old, new string) {
		must(t, os.WriteFile(path, []byte(strings.Replace(text, old, new, 1)), 0o600))
	}
	s := &site{t: t, source: source, target: target, path: path, binary: binary}
	write("", "")
	groups := stand(ctx, t, source.Bootstrap(), 971, 2, topic)
	d := s.run()
	judged(ctx, t, s.sides(), []string{topic}, groups)
	d.stop()
	for old, want := range map[string][]string{
		"lane: batch":                {"flows[0].lane: would be record", "built without Kerberos", "use lane: batch"},
		"sasl.password: " + password: {"cluster new: Kerberos gives other no ticket", "remedy:", "keytab or password"},
	} {
		write(old, map[bool]string{true: "lane: record", false: "sasl.password: guessed"}[old == "lane: batch"])
		if out, code := s.command("check", "--connect"); code == 0 || !holds(out, want...) || holds(out, "guessed") {
			t.Errorf("check --connect with another %s ends with %d:\n%s", old, code, out)
		}
	}
}
