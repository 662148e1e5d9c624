package integration

import (
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/judge"
)

// The ends of the range that the README promises.
const (
	oldestVersion = "2.8.2" // the first whose topics have ids; it needs ZooKeeper
	newestVersion = "4.4.0"
)

// From the oldest brokers to the newest and back, in both lanes: content and groups are
// exact, as the independent judge sees it.
func TestOldestAndNewest(t *testing.T) {
	start := func(version string) *cluster.Cluster {
		return cluster.Start(t, append(brokerConfig(), cluster.Named(version), cluster.Version(version), cluster.OnDisk())...)
	}
	oldest, newest := start(oldestVersion), start(newestVersion)
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
