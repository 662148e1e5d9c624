package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// The ends of the range that the README promises.
const (
	oldestVersion = "2.8.2" // the first whose topics have ids; it needs ZooKeeper
	newestVersion = "4.4.0"
)

// From the oldest brokers to the newest and back, in both lanes: content and groups are
// exact, as the independent judge sees it. The oldest are in the middle of an upgrade at
// first.
func TestOldestAndNewest(t *testing.T) {
	start := func(version string, more ...cluster.Option) *cluster.Cluster {
		more = append(more, cluster.Named(version), cluster.Version(version), cluster.OnDisk())
		return cluster.Start(t, append(brokerConfig(), more...)...)
	}
	oldest, newest := start(oldestVersion, cluster.Config(protocol, "2.7")), start(newestVersion)
	t.Run("an upgrade", func(t *testing.T) { upgrade(t, oldest.For(t), newest.For(t)) })
	for _, d := range []struct {
		name           string
		source, target *cluster.Cluster
	}{{oldestVersion + " to " + newestVersion, oldest, newest}, {newestVersion + " to " + oldestVersion, newest, oldest}} {
		t.Run(d.name, func(t *testing.T) {
			ctx := deadline(t, 5*time.Minute)
			topics, groups := fill(ctx, t, d.source.Bootstrap(), unique(t))
			chosen := patterns(t, topics)
			for _, c := range []struct{ lane, naming string }{{"batch", "identity"}, {"record", "prefix"}} {
				t.Run(c.lane, func(t *testing.T) {
					s := newSite(t, d.source.For(t), d.target.For(t),
						append(chosen, "lane: "+c.lane, "naming: "+c.naming)...)
					s.copyOnce()
					sides := s.sides()
					if c.naming == "prefix" { // beside the other lane's copies
						sides.Rename = func(topic string) string { return "old." + topic }
					}
					r, err := judge.Compare(ctx, sides, topics)
					must(t, err)
					g, err := judge.Groups(ctx, sides, groups, topics)
					must(t, err)
					t.Logf("%v\n%v", r, g)
					if !r.Equal() || !g.OK() {
						t.Fail()
					}
				})
			}
		})
	}
}

// protocol is the setting with which, from 2.8 on, a broker's topics have ids.
const protocol = "inter.broker.protocol.version"

// upgrade brings a cluster from a protocol without topic ids to one with them. Before,
// as a target it is refused with the reason, by check and at the start, and as a source it
// is warned of, and copied. Two daemons copy it while it is upgraded: its topics are the
// same as before, so that nothing is copied twice.
func upgrade(t *testing.T, oldest, newest *cluster.Cluster) {
	ctx := deadline(t, 3*time.Minute)
	fill := func(c *cluster.Cluster, topic string, seed uint64) {
		must(t, workload.Topics(ctx, c.Bootstrap(), 2, workload.KeepConfigs(), topic))
		mixed(ctx, t, c.Bootstrap(), topic, seed, 500, 2)
	}
	const without = "gives its topics no ids"
	to := unique(t) + "-to"
	fill(newest, to, 1)
	target := newSite(t, newest, oldest, patterns(t, []string{to})...)
	for _, verb := range []string{"check --connect", "run --until-caught-up"} {
		out, code := target.command(strings.Fields(verb)...)
		if code != 1 || !holds(out, "cluster new "+without, "remedy: brokers give ids from Kafka 2.8 on") {
			t.Errorf("%s to a cluster without topic ids ends with %d:\n%s", verb, code, out)
		}
	}
	type copied struct {
		*site
		topic  string
		groups []string
		daemon *daemon
	}
	var sources []copied
	for i, lane := range []string{"batch", "record"} {
		c := copied{topic: unique(t) + "-" + lane}
		fill(oldest, c.topic, uint64(2+i))
		c.groups = stand(ctx, t, oldest.Bootstrap(), uint64(4+i), 4, c.topic)
		c.site = newSite(t, oldest, newest, patterns(t, []string{c.topic}, "lane: "+lane)...)
		c.edit("__replicator."+unique(t), "__replicator."+c.topic)
		c.nameSource("old-" + lane)
		if out, code := c.command("check", "--connect"); code != 0 || !holds(out, "cluster old-"+lane+" "+without) {
			t.Errorf("check of a source without topic ids ends with %d:\n%s", code, out)
		}
		c.daemon = c.run()
		judged(ctx, t, c.sides(), []string{c.topic}, c.groups)
		sources = append(sources, c)
	}
	reconfigure(t, oldest, protocol+"=2.7", protocol+"=2.8")
	target.copyOnce()
	judged(ctx, t, target.sides(), []string{to}, nil)
	for i, c := range sources {
		mixed(ctx, t, oldest.Bootstrap(), c.topic, uint64(6+i), 300, 2)
		c.groups = stand(ctx, t, oldest.Bootstrap(), uint64(8+i), 4, c.topic)
		judged(ctx, t, c.sides(), []string{c.topic}, c.groups)
		c.daemon.stop()
		if out, code := c.command("verify"); code != 0 {
			t.Errorf("verify ends with %d:\n%s", code, out)
		}
	}
}

// reconfigure starts a broker again with another text in the place of one in its settings.
func reconfigure(t *testing.T, c *cluster.Cluster, old, new string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(c.Data()), "server.properties")
	text, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("the settings of %s do not say %q:\n%s", c.Name(), old, text)
	}
	c.Stop()
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, new)), 0o600))
	c.Start()
}
