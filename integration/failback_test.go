package integration

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
)

// giveUp is what has gone before a failback: the daemon dies, the source takes more records, and is given up.
func (a *apps) giveUp() {
	a.t.Helper()
	d := a.site.run()
	admin := adminOf(a.t, a.target)
	a.await("records are copied, and the group follows", func() bool {
		at, err := admin.FetchOffsets(a.ctx, a.group)
		stands := int64(0)
		at.Each(func(o kadm.OffsetResponse) { stands += o.At })
		return err == nil && stands > 500 && lastOf(a.t, a.target, a.topic)-stands < 300
	})
	d.kill()
	written := a.producers[a.source].So().Acked
	a.await("records are left behind", func() bool { return a.producers[a.source].So().Acked > written+300 })
	a.stopConsuming(a.source)
	a.stopProducing(a.source)
	a.readAtLoss = len(a.reads[a.source])
	a.command("replicator failover -c site.yaml --source-is-dead --yes")
	a.before = len(a.printed.String())
	a.produce(a.target, a.nextNumber(a.target)) // first: what was aborted last may be all that the group has before it
	a.goOnReading(a.target)
	a.await("applications are at work on the target", func() bool { return len(a.consumers[a.target].So()) > 500 })
}

// lastOf sums the ends of a topic.
func lastOf(t *testing.T, on *cluster.Cluster, topic string) (sum int64) {
	t.Helper()
	ends, err := adminOf(t, on).ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range ends[topic] {
		sum += max(end.Offset, 0)
	}
	return sum
}

// lagOn is how many offsets the group has not read on a cluster.
func (a *apps) lagOn(on *cluster.Cluster) (lag int64) {
	a.t.Helper()
	admin := adminOf(a.t, on)
	at, err := admin.FetchOffsets(a.ctx, a.group)
	a.must(err)
	ends, err := admin.ListCommittedOffsets(a.ctx, a.topic)
	a.must(err)
	for n, end := range ends[a.topic] {
		stands, _ := at.Lookup(a.topic, n)
		lag += max(end.Offset-1-max(stands.At, 0), 0) // a log may end with a marker
	}
	return lag
}

// readBefore counts what was read on the source before it was given up, and again afterwards.
func (a *apps) readBefore() (again int) {
	before := map[string]bool{}
	for _, r := range a.reads[a.source][:a.readAtLoss] {
		before[r.Key] = true
	}
	for key, n := range a.keys() {
		switch {
		case n > 1 && !before[key]:
			a.t.Errorf("%s was read %d times, and not before the source was given up", key, n)
		case n > 1:
			again += n - 1
		}
	}
	return again
}
