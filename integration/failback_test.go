package integration

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
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

// A flow is opened again with each word about the records that were never copied: by itself, or with the applications
// handed back. What was given up stays where it is, once, in full, and on the source alone; all else is on both sides.
func TestFailbackGivesUp(t *testing.T) {
	for _, c := range []struct {
		name, book string
		words      func(file string) string
		exports    bool
	}{
		{"export", "failback", func(file string) string { return "--orphans export --export " + file }, true},
		{"abandon", "failback", func(string) string { return "--orphans abandon" }, false},
		{"export and return", "return", func(file string) string { return "--orphans export --export " + file }, true},
		{"abandon and return", "return", func(string) string { return "--orphans abandon" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			source, target := shared(t)
			a := newApps(t, source, target)
			a.giveUp()
			a.givenUp = a.onSourceAlone()
			file := filepath.Join(t.TempDir(), "orphans.jsonl")
			a.words = strings.NewReplacer("--orphans append", c.words(file))
			a.acts = map[string]func(){"old comes back": func() {}}
			a.follow(filepath.Join("..", "docs", "runbooks", c.book+".md"))
			if c.book == "failback" {
				a.daemon.stop()
			}
			a.finish()
			if c.book == "return" {
				a.site.copyOnce() // what was written on the source since
			}
			a.leftBehind(c.book == "return")
			if c.exports {
				a.bringsBack(file)
			}
		})
	}
}

// onSourceAlone are the records that the source has and the target has not.
func (a *apps) onSourceAlone() map[string]bool {
	a.t.Helper()
	alone, target := map[string]bool{}, a.log(a.target)
	for key := range a.log(a.source) {
		if target[key] == 0 {
			alone[key] = true
		}
	}
	if len(alone) == 0 {
		a.t.Fatal("the target has all that the source has: the test shows nothing")
	}
	return alone
}

// leftBehind: what was given up is on the source alone, each record once, and is told; back: all else is on both sides,
// and was read.
func (a *apps) leftBehind(back bool) {
	a.t.Helper()
	source, target := a.log(a.source), a.log(a.target)
	for _, side := range []map[string]int{source, target} {
		for key, n := range side {
			if n != 1 {
				a.t.Errorf("%s is there %d times", key, n)
			}
		}
	}
	if alone := a.onSourceAlone(); !maps.Equal(alone, a.givenUp) {
		a.t.Errorf("%d records are on the source alone, %d were given up", len(alone), len(a.givenUp))
	}
	a.t.Logf("%d records on the source, %d on the target, %d given up", len(source), len(target), len(a.givenUp))
	if back {
		for key := range target {
			if source[key] == 0 {
				a.t.Errorf("%s is on the target alone", key)
			}
		}
		a.count(a.readBefore())
	}
	var told struct {
		Flows []struct {
			Partitions []struct {
				GivenUp []struct{ Records int64 } `json:"given_up"`
			}
		}
	}
	out, code := a.site.command("status", "--json")
	a.must(json.Unmarshal([]byte(out), &told))
	sum := int64(0)
	for _, p := range told.Flows[0].Partitions {
		for _, g := range p.GivenUp {
			sum += g.Records
		}
	}
	if sum != int64(len(a.givenUp)) {
		a.t.Errorf("status ends with %d and tells of %d records that were given up, %d were:\n%s", code, sum,
			len(a.givenUp), out)
	}
}

// bringsBack: a file of orphans brings them to the target, each once.
func (a *apps) bringsBack(file string) {
	a.t.Helper()
	before := len(a.log(a.target))
	a.command("replicator import-records -c site.yaml --to new " + file)
	now := a.log(a.target)
	if len(now) != before+len(a.givenUp) {
		a.t.Errorf("the target holds %d records with those of the file, want %d", len(now), before+len(a.givenUp))
	}
	for key := range a.givenUp {
		if now[key] != 1 {
			a.t.Errorf("%s is on the target %d times", key, now[key])
		}
	}
}
