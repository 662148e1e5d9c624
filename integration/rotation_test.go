package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// renewable is a cluster that wants a certificate and a password, by SCRAM or PLAIN, which
// are renewed while daemons run.
type renewable struct {
	t       *testing.T
	cluster *cluster.Cluster
	dir     string // with what the daemon shows and trusts
	round   int
	held    string // the password
}

const scram = "org.apache.kafka.common.security.scram.ScramLoginModule"

// plainJAAS is the setting with which brokers let the daemon's user in by PLAIN; they
// read it when they start.
const plainJAAS = "listener.name.secure.plain.sasl.jaas.config"

// demands are the settings with which a broker shows and trusts what one authority signed.
func demands(ca *authority) map[string]string {
	certificate, key := ca.issue("a broker of no host")
	return map[string]string{
		"listener.name.secure.ssl.truststore.certificates":    ca.pem,
		"listener.name.secure.ssl.keystore.key":               key,
		"listener.name.secure.ssl.keystore.certificate.chain": certificate + ca.pem,
	}
}

// hold writes what the daemon shows and trusts: the password alone, and in a file of
// environment variables.
func (r *renewable) hold(ca *authority, password string) {
	r.t.Helper()
	r.held = password
	certificate, key := ca.issue("mirror")
	for name, text := range map[string]string{
		"ca.pem": ca.pem, "cert.pem": certificate, "key.pem": key, "password": password + "\n",
		"environment": "RENEWED_PASSWORD=" + password + "\n",
	} {
		must(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
	}
}

// password lets the daemon's user log in with one password and no other.
func (r *renewable) password(ctx context.Context, password string) {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.Bootstrap()))
	must(r.t, err)
	defer client.Close()
	answers, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
		User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password}})
	must(r.t, err)
	must(r.t, answers.Error())
}

// renew gives both sides new ones; what was valid until then is not any more. The broker
// is started again so that no connection outlives it.
func (r *renewable) renew(ctx context.Context) {
	r.t.Helper()
	r.round++
	ca, password, before := newAuthority(r.t), fmt.Sprintf("%s-%d", password, r.round), r.held
	r.password(ctx, password)
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.Bootstrap()))
	must(r.t, err)
	defer client.Close()
	var changes []kadm.AlterConfig
	for name, value := range demands(ca) {
		changes = append(changes, kadm.AlterConfig{Name: name, Value: &value})
	}
	answers, err := kadm.NewClient(client).AlterBrokerConfigs(ctx, changes, 1)
	must(r.t, err)
	for _, answer := range answers {
		if answer.Err != nil {
			r.t.Fatalf("renew %s: %v: %s", r.cluster.Name(), answer.Err, answer.ErrMessage)
		}
	}
	r.hold(ca, password)
	reconfigure(r.t, r.cluster, jaas(before), jaas(password))
}

// Certificates, authorities and passwords are renewed on one side while a daemon runs,
// and then on the other: it goes on each time, without a restart and with nothing lost.
func TestRenewedOnOneSide(t *testing.T) {
	ca := newAuthority(t)
	settings := map[string]string{
		"listener.name.secure.ssl.client.auth":         "required",
		"listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN",
		plainJAAS: jaas(password),
		"listener.name.secure.scram-sha-256.sasl.jaas.config": scram + " required;",
		"listener.name.secure.ssl.truststore.type":            "PEM",
		"listener.name.secure.ssl.keystore.type":              "PEM",
	}
	maps.Copy(settings, demands(ca))
	opts := []cluster.Option{cluster.Secure("SASL_SSL"), cluster.OnDisk()}
	for name, value := range settings {
		opts = append(opts, cluster.Config(name, value))
	}
	source, target := cluster.Pair(t, opts...)
	old := &renewable{t: t, cluster: source, dir: t.TempDir()}
	new := &renewable{t: t, cluster: target, dir: t.TempDir()}
	old.hold(ca, password)
	new.hold(ca, password)
	ctx := deadline(t, 5*time.Minute)
	old.password(ctx, password)
	new.password(ctx, password)

	var sites []*site
	var daemons []*daemon
	var topics [][]string
	for _, lane := range []string{"batch", "record"} {
		for _, mechanism := range []string{"SCRAM-SHA-256", "PLAIN"} {
			topic := unique(t) + "-" + lane + "-" + mechanism
			must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
			mixed(ctx, t, source.Bootstrap(), topic, 500, 500, 2)
			s := renewedSite(t, old, new, topic, lane, mechanism)
			sites, daemons, topics = append(sites, s), append(daemons, s.run()), append(topics, []string{topic})
		}
	}
	judge := func(seed uint64) {
		t.Helper()
		for i, s := range sites {
			groups := stand(ctx, t, source.Bootstrap(), seed+uint64(i), 2, topics[i]...)
			judged(ctx, t, s.sides(), topics[i], groups)
		}
	}
	judge(501)
	for i, side := range []*renewable{old, new} {
		side.renew(ctx)
		begun := time.Now()
		for _, topic := range topics {
			mixed(ctx, t, source.Bootstrap(), topic[0], uint64(510+i), 500, 2)
		}
		judge(uint64(520 + 10*i))
		t.Logf("renewed on %s: all is copied %s after the broker was back", side.cluster.Name(), time.Since(begun))
	}
	for _, d := range daemons {
		d.stop()
	}
}

// renewedSite writes a configuration whose secrets come from files: with SCRAM the source's
// password from a file of its own and the target's from the environment file, with PLAIN
// the other way round.
func renewedSite(t *testing.T, old, new *renewable, topic, lane, mechanism string) *site {
	t.Helper()
	own, shared := old, new
	if mechanism == "PLAIN" {
		own, shared = new, old
	}
	side := func(r *renewable) string {
		password := "${RENEWED_PASSWORD}"
		if r == own {
			password = "${file:" + filepath.Join(r.dir, "password") + "}"
		}
		return fmt.Sprintf("{bootstrap.servers: %q, security.protocol: SASL_SSL, sasl.mechanism: %s, "+
			"sasl.username: %s, sasl.password: %q, ssl.endpoint.identification.algorithm: none, ssl.ca.location: %q, "+
			"ssl.certificate.location: %q, ssl.key.location: %q}", r.cluster.SecureBootstrap(), mechanism, user, password,
			filepath.Join(r.dir, "ca.pem"), filepath.Join(r.dir, "cert.pem"), filepath.Join(r.dir, "key.pem"))
	}
	binary, err := program()
	must(t, err)
	text := fmt.Sprintf("clusters:\n  old-%[1]s: %[3]s\n  new-%[1]s: %[4]s\nenv_file: %[5]s\n"+
		"http: {listen: \"127.0.0.1:0\"}\nflows:\n  - {from: old-%[1]s, to: new-%[1]s, topics: [%[6]s], "+
		"groups: ['%[7]s.*'], shards: 2, lane: %[2]s, "+
		"ledger: __replicator.%[6]s, refresh_interval: 1s, group_sync_interval: 300ms}\n", lane+"-"+mechanism, lane,
		side(old), side(new), filepath.Join(shared.dir, "environment"), topic, unique(t))
	path := filepath.Join(t.TempDir(), "flow.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return &site{t: t, source: old.cluster, target: new.cluster, binary: binary, path: path}
}
