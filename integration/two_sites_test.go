package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// yamlOfTwoSites is the configuration that the runbook of two sites shows.
var yamlOfTwoSites = regexp.MustCompile(`(?m)^    clusters:\n(    .*\n)+`)

// bothWays gives the applications' site the configuration of the runbook of two sites, with the test's own names.
func (a *apps) bothWays() {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "runbooks", "two-sites.md"))
	a.must(err)
	own := "\n    refresh_interval: 1s\n    group_sync_interval: 300ms\n    ledger: __replicator." + unique(a.t)
	file := strings.NewReplacer("\n    ", "\n", "old:9092", a.source.Bootstrap(), "new:9092", a.target.Bootstrap(),
		"orders", a.topic, "billing", a.group, "to: new", "to: new"+own, "to: old", "to: old"+own+"-back").
		Replace("\n" + yamlOfTwoSites.FindString(string(text)))
	a.must(os.WriteFile(a.site.path, []byte(file), 0o600))
}

// readOnEither counts the records that were read on both sides; on one of them none is read twice.
func (a *apps) readOnEither() (again int) {
	a.t.Helper()
	times := map[string]int{}
	for on, reads := range a.reads {
		here := map[string]bool{}
		for _, r := range reads {
			if here[r.Key] {
				a.t.Errorf("%s was read twice on %s", r.Key, on.Bootstrap())
			}
			here[r.Key] = true
			if times[r.Key]++; times[r.Key] > 1 {
				again++
			}
		}
	}
	return again
}

// areTheSame waits until both sides hold all that was written, each record once, and has both flows say so.
func (a *apps) areTheSame() {
	a.t.Helper()
	bothHold(a.ctx, a.t, a.site, a.topic, a.wanted())
	a.command("replicator verify -c site.yaml")
	a.daemon.stop()
}

// A site is lost with all its data, and an empty cluster takes its place: another one, or one with the same id. The
// runbook is followed to the letter; all that was copied before is on both sides at its end, and was read.
func TestSiteLost(t *testing.T) {
	t.Run("another cluster", func(t *testing.T) {
		source := cluster.Start(t, append(brokerConfig(), cluster.Named("lost"))...)
		loseASite(t, source, func(a *apps) {
			source.Kill()
			a.abandon()
		}, func(a *apps) {
			anew := cluster.Start(a.t, append(brokerConfig(), cluster.Named("anew"))...)
			a.site.edit(source.Bootstrap(), anew.Bootstrap())
			a.reads[anew], a.written[anew] = a.reads[source], a.written[source]
			delete(a.reads, source)
			delete(a.written, source)
			a.source, a.site.source = anew, anew
		})
	})
	t.Run("the same id", func(t *testing.T) {
		source, _ := shared(t)
		loseASite(t, source, func(a *apps) {
			a.stopConsuming(source)
			a.stopProducing(source)
		}, (*apps).emptySource)
	})
}

// emptySource deletes everything on the source: so an empty cluster looks to which its former id was given.
func (a *apps) emptySource() {
	a.t.Helper()
	admin := adminOf(a.t, a.source)
	_, err := admin.DeleteTopics(a.ctx, a.topic, "__replicator."+unique(a.t)+"-back")
	a.must(err)
	a.await("topics and group are gone", func() bool {
		_, _ = admin.DeleteGroups(a.ctx, a.group)
		groups, err := admin.ListGroups(a.ctx)
		a.must(err)
		topics, err := admin.ListTopics(a.ctx)
		a.must(err)
		return !slices.Contains(groups.Groups(), a.group) && !topics.Has(a.topic)
	})
}

// loseASite has applications on both sides, and follows the runbook of a lost one.
func loseASite(t *testing.T, source *cluster.Cluster, dies, anew func(a *apps)) {
	_, target := shared(t)
	a := newApps(t, source, target)
	a.bothWays()
	a.daemon = a.site.run()
	a.command(`replicator wait -c site.yaml --flow "old->new" --lag 1000`)
	a.act("start the producers on new")
	a.await("the group follows", func() bool {
		sum, everywhere := a.standsOnTarget()
		return len(a.consumers[source].So()) > 1500 && everywhere && sum > 500
	})
	a.acts = map[string]func(){
		"old is lost": func() { dies(a) },
		"old is built anew": func() {
			anew(a)
			a.forgetLost()
			a.readAtLoss = len(a.reads[a.source])
		},
	}
	a.follow(filepath.Join("..", "docs", "runbooks", "site-lost.md"))
	a.await("applications are at work", func() bool { return len(a.consumers[a.source].So()) > 500 })
	a.finish()
	onTarget := map[string]bool{}
	for _, r := range a.reads[target] {
		onTarget[r.Key] = true
	}
	for _, r := range a.reads[a.source][a.readAtLoss:] {
		if onTarget[r.Key] {
			t.Errorf("%s was read on the target, and again on what was built anew", r.Key)
		}
	}
	a.count(len(a.reads[target]) + len(a.reads[a.source]) - len(a.keys()))
	a.areTheSame()
}

// forgetLost leaves of what was written and read on the source only what the target has.
func (a *apps) forgetLost() {
	a.t.Helper()
	saved := a.log(a.target)
	a.written[a.source] = nil
	for key := range saved {
		n, err := strconv.Atoi(strings.TrimPrefix(key, "live-"))
		a.must(err)
		if n < a.from[a.target] {
			a.written[a.source] = append(a.written[a.source], [2]int{n, n + 1})
		}
	}
	before := len(a.reads[a.source])
	a.reads[a.source] = slices.DeleteFunc(a.reads[a.source], func(r workload.Read) bool { return saved[r.Key] == 0 })
	a.t.Logf("%d records of the source were saved; of those that it had, %d that were read are lost",
		len(a.written[a.source]), before-len(a.reads[a.source]))
}
