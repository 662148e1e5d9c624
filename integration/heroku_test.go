package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// authority signs certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.pem, a.key, a.certificate = a.sign("add-on authority", true)
	return a
}

// sign makes a certificate for a name that is no host's, and its key.
func (a *authority) sign(name string, isCA bool) (string, *ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, IsCA: isCA, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent, signer := a.certificate, a.key
	if isCA {
		template.KeyUsage |= x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(a.t, err)
	parsed, err := x509.ParseCertificate(der)
	must(a.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), key, parsed
}

// issue makes a certificate and its key, both in PEM.
func (a *authority) issue(name string) (certificate, key string) {
	certificate, private, _ := a.sign(name, false)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(a.t, err)
	return certificate, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// addon is one Kafka add-on: a part of a cluster, and what the app's environment
// says of it.
type addon struct {
	name, prefix string
	cluster      *cluster.Cluster
}

// grant gives the rights that Heroku documents, on all that begins with the add-on's
// prefix. None of them creates or alters a topic, or reads its settings.
func (a addon) grant(ctx context.Context, t *testing.T) {
	t.Helper()
	a.allow(ctx, t, func(entry *kadm.ACLBuilder, names string) {
		entry.Topics(names).Operations(kadm.OpRead, kadm.OpWrite, kadm.OpDescribe)
	})
	a.allow(ctx, t, func(entry *kadm.ACLBuilder, names string) {
		entry.Groups(names).Operations(kadm.OpRead, kadm.OpDescribe, kadm.OpDelete)
	})
	a.allow(ctx, t, func(entry *kadm.ACLBuilder, names string) {
		entry.TransactionalIDs(names).Operations(kadm.OpDescribe, kadm.OpWrite)
	})
}

// allow adds an entry for all that is the add-on's.
func (a addon) allow(ctx context.Context, t *testing.T, what func(entry *kadm.ACLBuilder, names string)) {
	t.Helper()
	names, pattern := a.prefix, kadm.ACLPatternPrefixed
	if names == "" {
		names, pattern = "*", kadm.ACLPatternLiteral
	}
	entry := kadm.NewACLs().Allow("User:CN=mirror").AllowHosts("*").ResourcePatternType(pattern)
	what(entry, names)
	grant(ctx, t, a.cluster.Bootstrap(), entry)
}

// setenv sets what Heroku sets.
func (a addon) setenv(t *testing.T, ca *authority, certificate, key string) {
	t.Helper()
	url := "kafka+ssl://" + a.cluster.SecureBootstrap()
	for suffix, value := range map[string]string{
		"_URL": url + "," + url, "_TRUSTED_CERT": ca.pem, "_CLIENT_CERT": certificate, "_CLIENT_CERT_KEY": key,
	} {
		t.Setenv(a.name+suffix, value)
	}
	if a.prefix != "" {
		t.Setenv(a.name+"_PREFIX", a.prefix)
	}
}

// asHeroku starts two clusters as Heroku runs them: mutual TLS with certificates
// that hold no host's name, and nothing allowed that is not granted.
func asHeroku(t *testing.T, ca *authority) (source, target *cluster.Cluster) {
	t.Helper()
	certificate, key := ca.issue("a broker of no host")
	opts := []cluster.Option{cluster.Secure("SSL")}
	for property, value := range map[string]string{
		"authorizer.class.name":                               "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                         "User:ANONYMOUS",
		"listener.name.secure.ssl.client.auth":                "required",
		"listener.name.secure.ssl.truststore.type":            "PEM",
		"listener.name.secure.ssl.truststore.certificates":    ca.pem,
		"listener.name.secure.ssl.keystore.type":              "PEM",
		"listener.name.secure.ssl.keystore.key":               key,
		"listener.name.secure.ssl.keystore.certificate.chain": certificate + ca.pem,
	} {
		opts = append(opts, cluster.Config(property, value))
	}
	return cluster.Pair(t, opts...)
}

// A flow between two add-ons whose user may do what Heroku lets it, and no more: what
// it may not create is told with the way to have it, and the copy is exact.
func TestHeroku(t *testing.T) {
	ca := newAuthority(t)
	certificate, key := ca.issue("mirror")
	source, target := asHeroku(t, ca)
	for _, c := range []struct {
		why      string
		old, new addon
	}{
		{"both are tenants", addon{"KAFKA", "gray-1.", source}, addon{"HEROKU_KAFKA_COPPER", "copper-2.", target}},
		{"two tenants of one cluster", addon{"KAFKA", "gray-3.", source}, addon{"HEROKU_KAFKA_COPPER", "copper-4.", source}},
		{"a tenant moves to a cluster of its own", addon{"KAFKA", "columbia-68051.", source},
			addon{"HEROKU_KAFKA_COPPER", "", target}},
	} {
		t.Run(strings.ReplaceAll(c.why, " ", "-"), func(t *testing.T) {
			c.old.setenv(t, ca, certificate, key)
			c.new.setenv(t, ca, certificate, key)
			ctx := deadline(t, 5*time.Minute)
			c.old.grant(ctx, t)
			c.new.grant(ctx, t)
			onLanes(t, func(t *testing.T, lane string) { moveAddon(t, c.old, c.new, lane) })
		})
	}
}

func moveAddon(t *testing.T, old, new addon, lane string) {
	ctx := deadline(t, 4*time.Minute)
	binary, err := program()
	must(t, err)
	s := &site{t: t, source: old.cluster, target: new.cluster, binary: binary,
		path: filepath.Join(t.TempDir(), "heroku.yaml")}
	ledger := "replicator-ledger-" + lane
	must(t, os.WriteFile(s.path, fmt.Appendf(nil, `clusters:
  old: {from_env: %s}
  new: {from_env: %s}
flows:
  - {from: old, to: new, topics: ["orders-%s-.*"], groups: ["%s-.*"], lane: %s, ledger: %s, shards: 4,
     sync_topic_configs: false, refresh_interval: 1s, group_sync_interval: 300ms}
http: {listen: "127.0.0.1:0"}
`, old.name, new.name, lane, unique(t), lane, ledger), 0o600))
	sides := s.sides()
	swap := func(name string) string { return new.prefix + strings.TrimPrefix(name, old.prefix) }
	sides.Rename, sides.RenameGroup = swap, swap
	topics := []string{old.prefix + "orders-" + lane + "-a", old.prefix + "orders-" + lane + "-b"}
	must(t, workload.Topics(ctx, s.source.Bootstrap(), 2, workload.KeepConfigs(), topics...))
	for i, topic := range topics {
		mixed(ctx, t, s.source.Bootstrap(), topic, uint64(100+i), 2000, 2)
	}
	positions, err := workload.CommitRandom(ctx, s.source.Bootstrap(),
		workload.GroupSpec{Seed: 5, Prefix: old.prefix + unique(t), Groups: 8, Topics: topics})
	must(t, err)
	groups := workload.Groups(positions)

	waiting := told(t, s, ledger, new.prefix, topics, swap)
	var made []string
	for _, topic := range topics {
		made = append(made, swap(topic))
	}
	must(t, workload.Topics(ctx, s.target.Bootstrap(), 2, workload.KeepConfigs(), made...))
	must(t, workload.Topics(ctx, s.target.Bootstrap(), 4, map[string]string{"cleanup.policy": "compact"},
		new.prefix+ledger))
	warnings := 2
	if lane == "record" { // it would not notice that a topic replaces timestamps
		out, code := s.command("check", "--connect")
		if code != 1 || !holds(out, "do DescribeConfigs on topic "+made[0], "sync_topic_configs: false and the batch lane") {
			t.Errorf("check --connect in the record lane ended with %d:\n%s", code, out)
		}
		new.allow(ctx, t, func(entry *kadm.ACLBuilder, names string) {
			entry.Topics(names).Operations(kadm.OpDescribeConfigs)
		})
		// The ledger tells what the daemon has stopped for until it has looked again.
		eventually(t, time.Minute, "the daemon goes on with the right", func() bool {
			_, code := s.command("check", "--connect")
			return code == 0
		})
		warnings = 0
	}
	if out, code := s.command("check", "--connect"); code != 0 || !holds(out, "nothing is in the way") ||
		holds(out, "whether the ledger topic "+new.prefix+ledger+" is compacted cannot be asked") != (warnings > 0) {
		t.Fatalf("check --connect with all topics there ended with %d:\n%s", code, out)
	}
	judged(ctx, t, sides, topics, groups) // it takes up what has been made
	waiting.stop()
	mixed(ctx, t, s.source.Bootstrap(), topics[1], 109, 500, 2)
	d := s.run()
	judged(ctx, t, sides, topics, groups)
	eventually(t, time.Minute, "status says caught up", func() bool {
		seen, _ := s.status()
		return seen.CaughtUp && len(seen.Problems) == 0
	})
	if out, _ := s.command("status", "--json"); !holds(out, fmt.Sprintf(`"group": %q`, groups[0]),
		fmt.Sprintf(`"target_group": %q`, swap(groups[0]))) {
		t.Errorf("status does not tell what group %s is called on the target:\n%s", groups[0], out)
	}
	d.stop()
	mixed(ctx, t, s.source.Bootstrap(), topics[0], 110, 500, 2)
	s.copyOnce()
	judged(ctx, t, sides, topics, groups)
	herokuLog(t, d, warnings)
	stampedTopic(ctx, t, s, topics[0], swap)
}

// stampedTopic: that a topic changes records shows when it acknowledges them, and
// before anybody reads them.
func stampedTopic(ctx context.Context, t *testing.T, s *site, like string, swap func(string) string) {
	t.Helper()
	topic := like + "-stamped"
	must(t, workload.Topics(ctx, s.target.Bootstrap(), 1, map[string]string{"message.timestamp.type": "LogAppendTime"},
		swap(topic)))
	must(t, workload.Topics(ctx, s.source.Bootstrap(), 1, workload.KeepConfigs(), topic))
	mixed(ctx, t, s.source.Bootstrap(), topic, 120, 50, 1)
	d := s.run()
	d.says(time.Minute, swap(topic), "replaces the timestamps", "remedy=")
	d.stop()
	visible, err := workload.ReadLayout(ctx, s.target.Bootstrap(), swap(topic))
	must(t, err)
	if n := len(visible[0].Visible); n != 0 {
		t.Errorf("%d records with other timestamps are visible in %s", n, swap(topic))
	}
}

// told holds what is said before the topics are there against what is missing. The
// daemon that it answers waits for them.
func told(t *testing.T, s *site, ledger, prefix string, topics []string, swap func(string) string) *daemon {
	t.Helper()
	want := []string{"do Create on the cluster or topic " + prefix + ledger,
		"create topic " + prefix + ledger + " there by hand, with 4 partitions (the shards), compacted"}
	for _, topic := range topics {
		want = append(want, "topic "+topic, "topic "+swap(topic)+", with 2 partitions, is not on cluster new")
	}
	out, code := s.command("check", "--connect")
	out = strings.Join(strings.Fields(out), " ")
	if code != 1 || !holds(out, want...) {
		t.Errorf("check --connect without any topic there ended with %d:\n%s", code, out)
	}
	if strings.Contains(out, "PRIVATE KEY") {
		t.Error("check shows a key")
	}
	d := s.run()
	d.says(time.Minute, "do Create on the cluster or topic "+prefix+ledger, "remedy=")
	return d
}

// herokuLog: the daemon warns of what cannot be asked, once, and of nothing else.
func herokuLog(t *testing.T, d *daemon, warnings int) {
	t.Helper()
	seen := map[string]int{}
	for line := range strings.Lines(d.out.String()) {
		switch {
		case holds(line, "level=WARN", "kafka client"):
		case holds(line, "level=WARN", "cannot be"):
			seen[line[strings.Index(line, "msg="):]]++
		case holds(line, "level=WARN"), holds(line, "level=ERROR"), holds(line, "PRIVATE"):
			t.Errorf("the daemon says: %s", line)
		}
	}
	for line, n := range seen {
		if n > 1 {
			t.Errorf("the daemon says %d times: %s", n, line)
		}
	}
	if len(seen) != warnings {
		t.Errorf("the daemon warns of %d things, want %d, the topics' settings and the ledger's: %v", len(seen), warnings,
			seen)
	}
}
