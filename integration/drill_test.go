package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
)

// rehearsed is what the test believes of a drill's JSON.
type rehearsed struct {
	Drills []struct {
		Verdict string `json:"verdict"`
		Reasons []any  `json:"reasons"`
		RPO     struct {
			Seconds float64 `json:"seconds"`
			Records int64   `json:"records"`
		} `json:"rpo"`
		RTO struct {
			Seconds float64 `json:"seconds"`
		} `json:"rto"`
		Groups []struct {
			Exactly  bool  `json:"exactly"`
			InFlight bool  `json:"in_flight"`
			Again    int64 `json:"read_again"`
		} `json:"groups"`
		Warnings []struct{ Error string } `json:"warnings"`
	} `json:"drills"`
}

// A drill beside live applications finds the flow ready and disturbs nobody: every record is read once, on the source.
// Of a flow at rest it changes nothing, not in the ledger either, also if it is killed: the next one takes away what
// that has left.
func TestDrill(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target)
	a.daemon = a.site.run()
	a.command("replicator wait -c site.yaml --lag 1000")
	drill := func(flags ...string) rehearsed {
		t.Helper()
		out, err := exec.CommandContext(a.ctx, a.site.binary, append([]string{"drill", "-c", a.site.path, "--json"},
			flags...)...).Output()
		var all rehearsed
		if code := json.Unmarshal(out, &all); code != nil || err != nil || len(all.Drills) != 1 ||
			all.Drills[0].Verdict != "ready" {
			t.Fatalf("it ended with %v\n%s", err, out)
		}
		return all
	}
	for range 3 {
		d := drill().Drills[0]
		t.Logf("live: rpo %.3f s, %d records; rto %.3f s", d.RPO.Seconds, d.RPO.Records, d.RTO.Seconds)
		for _, g := range d.Groups {
			t.Logf("receipt %+v", g)
			if !g.Exactly && !g.InFlight {
				t.Errorf("receipt %+v, want it exactly or in flight", g)
			}
		}
		if len(d.Groups) != 3 {
			t.Errorf("%d receipts, want three", len(d.Groups))
		}
	}
	a.finish()
	a.count(0)
	judged(a.ctx, t, a.site.sides(), []string{a.topic}, []string{a.group})
	a.daemon.stop()

	before := a.everything()
	drill()
	if after := a.everything(); after != before {
		t.Errorf("before a drill\n%s\nand after it\n%s", before, after)
	}
	for len(a.testTopics()) == 0 { // until one is killed in the middle
		a.killDrill()
	}
	warned := fmt.Sprint(drill().Drills[0].Warnings)
	if !strings.Contains(warned, "was left by a drill that did not end, and is deleted now") {
		t.Errorf("the next one says %s", warned)
	}
	a.await("nothing is left", func() bool { return len(a.testTopics()) == 0 })
	if after := a.everything(); after != before {
		t.Errorf("before a drill that was killed\n%s\nand after the next one\n%s", before, after)
	}
}

// killDrill kills a drill as soon as it has made its topic.
func (a *apps) killDrill() {
	a.t.Helper()
	drill := exec.CommandContext(a.ctx, a.site.binary, "drill", "-c", a.site.path)
	a.must(drill.Start())
	ended := make(chan struct{})
	go func() {
		_ = drill.Wait() // it is killed
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return
		default:
			if len(a.testTopics()) > 0 {
				_ = drill.Process.Kill()
				<-ended
				return
			}
		}
	}
}

// testTopics lists what drills have on the target.
func (a *apps) testTopics() []string {
	a.t.Helper()
	seen, err := ask(a.target.Bootstrap(), func(admin *kadm.Client) (kadm.TopicDetails, error) {
		return admin.ListTopicsWithInternal(a.ctx)
	})
	a.must(err)
	return slices.DeleteFunc(seen.Names(), func(name string) bool { return !strings.Contains(name, "replicator-drill") })
}

// everything is what a drill may not change: where the test's topics and ledger begin and end on both sides, and the
// positions of the group.
func (a *apps) everything() string {
	a.t.Helper()
	var b strings.Builder
	for _, on := range []*cluster.Cluster{a.source, a.target} {
		admin := adminOf(a.t, on)
		topics, err := admin.ListTopicsWithInternal(a.ctx)
		a.must(err)
		names := slices.DeleteFunc(topics.Names(), func(name string) bool {
			return name != a.topic && !strings.HasPrefix(name, "__replicator."+unique(a.t))
		})
		ends, err := admin.ListEndOffsets(a.ctx, names...)
		a.must(err)
		for _, e := range ends.Offsets().Sorted() {
			fmt.Fprintf(&b, "%s/%d ends at %d\n", e.Topic, e.Partition, e.At)
		}
		positions, err := admin.FetchOffsets(a.ctx, a.group)
		a.must(err)
		for _, p := range positions.Offsets().Sorted() {
			fmt.Fprintf(&b, "%s in %s/%d at %d %s\n", a.group, p.Topic, p.Partition, p.At, p.Metadata)
		}
	}
	return b.String()
}
