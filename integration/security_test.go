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
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// user is whom the daemon logs in as, on both sides.
const user, password = "mirror", "s3cret"

// right is one line of the table in docs/rights.md.
type right struct {
	cluster   string // source or target
	operation kadm.ACLOperation
	resource  string // topic, group or transactional id
	names     string // as the table says; see [secured.acl]
	// said is what is named as the operation, where that may be another one.
	said string
	// provoke makes a run need it.
	provoke func(s *secured)
}

// rights are all that the daemon needs, and nothing more.
var rights = []right{
	{cluster: "source", operation: kadm.OpRead, resource: "topic", names: "copied topics"},
	{cluster: "source", operation: kadm.OpDescribeConfigs, resource: "topic", names: "copied topics"},
	{cluster: "source", operation: kadm.OpDescribe, resource: "group", names: "copied groups"},
	{cluster: "target", operation: kadm.OpWrite, resource: "topic", names: "copied topics"},
	{cluster: "target", operation: kadm.OpRead, resource: "topic", names: "copied topics"},
	{cluster: "target", operation: kadm.OpCreate, resource: "topic", names: "copied topics", provoke: (*secured).addTopic},
	{cluster: "target", operation: kadm.OpAlterConfigs, resource: "topic", names: "copied topics",
		said: "(Alter|Describe)Configs", provoke: (*secured).alterTopic}, // it holds the other
	{cluster: "target", operation: kadm.OpAlter, resource: "topic", names: "copied topics",
		provoke: (*secured).growTopic},
	{cluster: "target", operation: kadm.OpRead, resource: "topic", names: "the ledger"},
	{cluster: "target", operation: kadm.OpWrite, resource: "topic", names: "the ledger"},
	{cluster: "target", operation: kadm.OpDescribeConfigs, resource: "topic", names: "the ledger"},
	{cluster: "target", operation: kadm.OpCreate, resource: "topic", names: "the ledger",
		provoke: (*secured).forgetLedger},
	{cluster: "target", operation: kadm.OpRead, resource: "group", names: "copied groups"},
	{cluster: "target", operation: kadm.OpRead, resource: "group", names: "the flow's group"},
	{cluster: "target", operation: kadm.OpWrite, resource: "transactional id", names: "the flow's ids"},
}

func (r right) String() string {
	return fmt.Sprintf("%s %s %s of %s", r.cluster, r.operation, r.resource, r.names)
}

// The daemon works whole, over TLS and with a login, as a user who has exactly
// the documented rights; and each right that is missing is named.
func TestRights(t *testing.T) {
	documented(t, "Rights", rights)
	s := newSecured(t)
	for _, r := range rights {
		s.allow(t, r)
	}
	onLanes(t, func(t *testing.T, lane string) {
		s.lane = lane
		t.Run("all", s.works)
		t.Run("wrong password", s.wrongPassword)
		t.Run("no login", s.noLogin)
		for _, r := range rights {
			t.Run("without "+r.String(), func(t *testing.T) { s.without(t, r) })
		}
		t.Run("all again", s.worksAgain)
	})
}

// documented holds the table below a heading of docs/rights.md against the rights tested here.
func documented(t *testing.T, heading string, rights []right) {
	t.Helper()
	all, err := os.ReadFile("../docs/rights.md")
	must(t, err)
	_, text, found := strings.Cut("\n"+string(all), "# "+heading+"\n")
	if !found {
		t.Fatalf("docs/rights.md has no heading %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	row := regexp.MustCompile(`(?m)^\| (source|target) \| (\w+) \| (topic|group|transactional id) \| ([^|]+) \|`)
	rows := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		rows[fmt.Sprintf("%s %s %s of %s", m[1], strings.ToUpper(m[2]), m[3], m[4])] = true
	}
	for _, r := range rights {
		operation := strings.ReplaceAll(r.operation.String(), "_", "")
		line := fmt.Sprintf("%s %s %s of %s", r.cluster, operation, r.resource, r.names)
		if !rows[line] {
			t.Errorf("docs/rights.md does not tell of: %s", line)
		}
		delete(rows, line)
	}
	for line := range rows {
		t.Errorf("docs/rights.md tells of a right that is not needed: %s", line)
	}
}

// secured is a flow between two clusters that want TLS, a login and rights.
type secured struct {
	t              *testing.T // of the present subtest, as is ctx
	ctx            context.Context
	name           string // that topics and groups begin with
	source, target *cluster.Cluster
	ca             string
	ledgers        int
	lane           string
	topics         []string
	grown          int
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{t: t, ctx: deadline(t, 3*time.Minute), name: unique(t), grown: 2}
	certificate, key := selfSigned(t)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(s.ca, []byte(certificate), 0o600))
	opts := []cluster.Option{cluster.Secure("SASL_SSL")}
	for key, value := range map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS", // tests and controller come over plain listeners
		"listener.name.secure.sasl.enabled.mechanisms":        "PLAIN",
		"listener.name.secure.plain.sasl.jaas.config":         jaas(password),
		"listener.name.secure.ssl.keystore.type":              "PEM",
		"listener.name.secure.ssl.keystore.key":               key,
		"listener.name.secure.ssl.keystore.certificate.chain": certificate,
	} {
		opts = append(opts, cluster.Config(key, value))
	}
	s.source, s.target = cluster.Pair(t, opts...)
	for i := range 3 {
		s.topics = append(s.topics, fmt.Sprintf("%s-%d", s.name, i))
	}
	must(t, workload.Topics(s.ctx, s.source.Bootstrap(), 2, workload.KeepConfigs(), s.topics...))
	for i, topic := range s.topics {
		mixed(s.ctx, t, s.source.Bootstrap(), topic, uint64(70+i), 1000, 2)
	}
	return s
}

// jaas lets the user in with a password, by PLAIN.
func jaas(password string) string {
	return fmt.Sprintf(`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, user, password)
}

// selfSigned makes a certificate for 127.0.0.1, and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

// begin lets a subtest use what all of them share.
func (s *secured) begin(t *testing.T) { s.t, s.ctx = t, deadline(t, 3*time.Minute) }

func (s *secured) ledger() string { return fmt.Sprintf("__replicator.%s-%d", s.name, s.ledgers) }

// acl is a right as an entry of the cluster's list.
func (s *secured) acl(r right) (bootstrap string, entry *kadm.ACLBuilder) {
	entry = kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Operations(r.operation)
	pattern, name := kadm.ACLPatternPrefixed, s.name
	switch r.names {
	case "the ledger", "the way back's ledger":
		name = "__replicator." + s.name
	case "the way back's group":
		pattern, name = kadm.ACLPatternLiteral, "replicator.new.old"
	case "the way back's ids":
		name = "replicator.new.old."
	case "the flow's group":
		pattern, name = kadm.ACLPatternLiteral, "replicator.old.new"
	case "the flow's ids":
		name = "replicator.old.new."
	}
	entry.ResourcePatternType(pattern)
	switch r.resource {
	case "topic":
		entry.Topics(name)
	case "group":
		entry.Groups(name)
	case "transactional id":
		entry.TransactionalIDs(name)
	}
	if r.cluster == "source" {
		return s.source.Bootstrap(), entry
	}
	return s.target.Bootstrap(), entry
}

func (s *secured) allow(t *testing.T, r right) {
	t.Helper()
	bootstrap, entry := s.acl(r)
	grant(s.ctx, t, bootstrap, entry)
}

func (s *secured) deny(t *testing.T, r right) {
	t.Helper()
	bootstrap, entry := s.acl(r)
	revoke(s.ctx, t, bootstrap, entry)
}

// site writes a configuration; edit may change the text.
func (s *secured) site(t *testing.T, edit func(string) string) *site {
	t.Helper()
	binary, err := program()
	must(t, err)
	login := fmt.Sprintf(", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: %s, sasl.password: %s, "+
		"ssl.ca.location: %q", user, password, s.ca)
	text := fmt.Sprintf(`clusters:
  old: {bootstrap.servers: %q%s}
  new: {bootstrap.servers: %q%s}
flows:
  - from: old
    to: new
    topics: ["%s-.*"]
    groups: ["%s-.*"]
    ledger: %s
    lane: %s
    refresh_interval: 1s
    group_sync_interval: 300ms
http: {listen: "127.0.0.1:0"}
`, s.source.SecureBootstrap(), login, s.target.SecureBootstrap(), login, s.name, s.name, s.ledger(), s.lane)
	if edit != nil {
		text = edit(text)
	}
	path := filepath.Join(t.TempDir(), "flow.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return &site{t: t, source: s.source, target: s.target, path: path, binary: binary}
}

// works makes everything that a flow does happen once.
func (s *secured) works(t *testing.T) {
	s.begin(t)
	site := s.site(t, nil)
	groups := stand(s.ctx, t, s.source.Bootstrap(), 80, 6, s.topics...)
	if !strings.HasPrefix(groups[0], s.name) {
		t.Fatalf("groups are called %s, the rights are for %s", groups[0], s.name)
	}
	if out, code := site.command("check", "--connect"); code != 0 || !holds(out, "nothing is in the way") {
		t.Errorf("check --connect before the first run ended with %d:\n%s", code, out)
	}
	d := site.run()
	judged(s.ctx, t, site.sides(), s.topics, groups)
	s.addTopic()
	s.alterTopic()
	s.growTopic()
	judged(s.ctx, t, site.sides(), s.topics, stand(s.ctx, t, s.source.Bootstrap(), 81, 6, s.topics...))
	eventually(t, time.Minute, "status says caught up", func() bool {
		seen, _ := site.status()
		return seen.CaughtUp && len(seen.Problems) == 0 && seen.Replicas != nil && *seen.Replicas == 1
	})
	for line := range strings.Lines(d.out.String()) { // librdkafka tells of a broker that has just been started
		if holds(line, "level=WARN") && !holds(line, "kafka client") || holds(line, "level=ERROR") {
			t.Errorf("the daemon complains: %s", line)
		}
	}
	d.stop()
	mixed(s.ctx, t, s.source.Bootstrap(), s.topics[0], 82, 500, 2)
	site.copyOnce()
	judged(s.ctx, t, site.sides(), s.topics, nil)
	if out, code := site.command("check", "--connect"); code != 0 || !holds(out, "nothing is in the way") {
		t.Errorf("check --connect after a run ended with %d:\n%s", code, out)
	}
}

// without takes one right away, and looks whether operation and resource are named.
func (s *secured) without(t *testing.T, r right) {
	s.begin(t)
	s.deny(t, r)
	defer s.allow(t, r)
	if r.provoke != nil {
		r.provoke(s)
	}
	for i, topic := range s.topics { // something to copy
		mixed(s.ctx, t, s.source.Bootstrap(), topic, uint64(90+i), 100, 2)
	}
	site := s.site(t, nil)
	named := func(text string) bool { return s.named(r, text) }
	if out, _ := site.command("check", "--connect"); !named(out) {
		t.Errorf("check --connect does not name %s:\n%s", r, out)
	}
	d := site.run()
	eventually(t, 30*time.Second, fmt.Sprintf("the log names %s", r), func() bool {
		for line := range strings.Lines(d.out.String()) {
			if named(line) && strings.Contains(line, "remedy=") {
				return true
			}
		}
		return false
	})
	d.stop()
}

// named says whether a text names the operation and the resource of a right.
func (s *secured) named(r right, text string) bool {
	operation := map[kadm.ACLOperation]string{
		kadm.OpRead: "Read", kadm.OpWrite: "Write", kadm.OpCreate: "Create", kadm.OpAlter: "Alter",
		kadm.OpDescribe: "Describe", kadm.OpDescribeConfigs: "DescribeConfigs", kadm.OpAlterConfigs: "AlterConfigs",
	}[r.operation]
	resource := map[string]string{
		"copied topics": r.resource + " " + s.name, "copied groups": r.resource + " " + s.name,
		"the ledger": "topic " + s.ledger(), "the flow's group": "group replicator.old.new",
		"the flow's ids":        "transactional id replicator.old.new.",
		"the way back's ledger": "topic " + s.ledger() + ".back", "the way back's group": "group replicator.new.old",
		"the way back's ids": "transactional id replicator.new.old.",
	}[r.names]
	if r.said != "" {
		operation = r.said
	}
	if r.operation == kadm.OpDescribe { // groups that may not be described are not listed
		resource = "groups"
	}
	return regexp.MustCompile(`\b`+operation+`\b`).MatchString(text) && strings.Contains(text, resource)
}

// worksAgain: with all rights back, nothing has been lost by having been without.
func (s *secured) worksAgain(t *testing.T) {
	s.begin(t)
	site := s.site(t, nil)
	site.copyOnce()
	r, err := judge.Compare(s.ctx, site.sides(), s.topics)
	must(t, err)
	t.Log(r)
	must(t, r.Err())
}

func (s *secured) wrongPassword(t *testing.T) {
	for _, side := range []string{"old", "new"} {
		site := s.site(t, func(text string) string {
			at := strings.Index(text, "  "+side+":")
			return text[:at] + strings.Replace(text[at:], "sasl.password: "+password, "sasl.password: guessed", 1)
		})
		want := []string{"cluster " + side, "refused the credentials", "check sasl.mechanism (PLAIN)"}
		d := site.run()
		d.says(time.Minute, append(want, "remedy=", `of user "mirror"`)...)
		d.stop()
		for _, verb := range [][]string{{"status"}, {"check", "--connect"}} {
			if out, code := site.command(verb...); code != 1 || !holds(out, want...) {
				t.Errorf("%s ended with %d:\n%s", verb, code, out)
			}
		}
		if strings.Contains(d.out.String(), "guessed") {
			t.Errorf("the log holds the password:\n%s", d.out.String())
		}
	}
}

func (s *secured) noLogin(t *testing.T) {
	site := s.site(t, func(text string) string {
		return regexp.MustCompile(`, security.protocol: .*\}`).ReplaceAllString(text, "}")
	})
	out, code := site.command("check", "--connect")
	if code != 1 || !holds(out, "cluster old", "security.protocol", "remedy:") {
		t.Errorf("check --connect to a port that wants TLS ended with %d:\n%s", code, out)
	}
}

func (s *secured) addTopic() {
	s.t.Helper()
	topic := fmt.Sprintf("%s-%d", s.name, len(s.topics))
	must(s.t, workload.Topics(s.ctx, s.source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	mixed(s.ctx, s.t, s.source.Bootstrap(), topic, 85, 300, 2)
	s.topics = append(s.topics, topic)
}

func (s *secured) alterTopic() {
	s.t.Helper()
	must(s.t, workload.Alter(s.ctx, s.source.Bootstrap(), s.topics[1],
		map[string]string{"retention.bytes": fmt.Sprint(1<<30 + time.Now().UnixNano()%(1<<20))}))
}

func (s *secured) growTopic() {
	s.t.Helper()
	s.grown++
	must(s.t, workload.Grow(s.ctx, s.source.Bootstrap(), s.topics[2], s.grown))
	mixed(s.ctx, s.t, s.source.Bootstrap(), s.topics[2], 86, 300, s.grown)
}

// forgetLedger lets the next run begin from nothing, but for its topics.
func (s *secured) forgetLedger() {
	s.t.Helper()
	s.ledgers++
	for _, topic := range s.topics {
		deleteTopic(s.ctx, s.t, s.target.Bootstrap(), topic)
	}
}
