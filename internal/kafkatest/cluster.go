// Package kafkatest gives tests Kafka clusters that run inside of the test. What fails
// in it ends the test. It knows nothing of the module, so that the tests of every
// package can use it.
package kafkatest

import (
	"context"
	"flag"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// patience is how long a cluster may take for an answer: it only ends tests that fail.
const patience = time.Minute

// Main is the TestMain of a package whose tests mostly wait, for a broker that has no news,
// a heartbeat or an interval: more of them run beside each other than there are processors.
func Main(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Cluster is a fake cluster that ends with its test. The one inside of it makes brokers
// fail, answer something else, and say what they hold.
type Cluster struct {
	*kfake.Cluster
	t          testing.TB
	opts       []kfake.Opt
	dir        string            // where its logs lie; "" for in memory
	properties map[string]string // of a client, beside the address
	admin      []kgo.Opt         // of a client that may do everything
}

// Start starts a cluster of one broker, unless an option says otherwise.
func Start(t testing.TB, opts ...kfake.Opt) *Cluster {
	t.Helper()
	c := &Cluster{t: t, opts: append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)}
	c.start()
	t.Cleanup(func() { c.Close() }) // the one that runs by then
	return c
}

// Guarded starts a cluster on which user mirror, who is the one of Properties, has those
// rights alone. The clients that the cluster itself opens may do everything.
func Guarded(t testing.TB, rights []kfake.ACL, opts ...kfake.Opt) *Cluster {
	t.Helper()
	c := Start(t, append([]kfake.Opt{kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "mirror", "secret", rights...)}, opts...)...)
	c.properties = map[string]string{"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN",
		"sasl.username": "mirror", "sasl.password": "secret"}
	c.admin = []kgo.Opt{kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism())}
	return c
}

// Allow is the right to do that on the resource of that name; a name that ends in * is
// that of all whose names begin so.
func Allow(resource kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) []kfake.ACL {
	pattern := kmsg.ACLResourcePatternTypeLiteral
	if begin, all := strings.CutSuffix(name, "*"); all {
		name, pattern = begin, kmsg.ACLResourcePatternTypePrefixed
	}
	var rights []kfake.ACL
	for _, o := range operations {
		rights = append(rights, kfake.ACL{Resource: resource, Name: name, Pattern: pattern, Operation: o, Allow: true})
	}
	return rights
}

func (c *Cluster) start() {
	c.t.Helper()
	fake, err := kfake.NewCluster(c.opts...)
	c.must("start a fake cluster", err)
	c.Cluster = fake
}

func (c *Cluster) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// Address is the cluster's bootstrap.servers.
func (c *Cluster) Address() string { return strings.Join(c.ListenAddrs(), ",") }

// Properties are those of a client of the cluster; they are the caller's to change.
func (c *Cluster) Properties() map[string]string {
	all := map[string]string{"bootstrap.servers": c.Address()}
	maps.Copy(all, c.properties)
	return all
}

// Client opens a client, which is closed with the test; options go before what it has else.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	all := append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}, c.admin...)
	client, err := kgo.NewClient(append(all, opts...)...)
	c.must("open a client", err)
	c.t.Cleanup(client.Close)
	return client
}

// Writer opens a client that writes each record at once, to the partition that it names.
func (c *Cluster) Writer(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	return c.Client(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}, opts...)...)
}

// Admin opens a client for everything but records.
func (c *Cluster) Admin() *kadm.Client {
	c.t.Helper()
	return kadm.NewClient(c.Client())
}

// Topic makes a topic; settings are "key=value".
func (c *Cluster) Topic(name string, partitions int32, settings ...string) {
	c.t.Helper()
	configs := map[string]string{}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		configs[key] = value
	}
	c.must("create topic "+name, c.CreateTopic(name, partitions, configs))
}
