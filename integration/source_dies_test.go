package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// The daemon notes what it has seen of a source that is killed then; status tells that, and where groups stand, from
// the target alone, and fails. Once the source is back all is as ever.
func TestSourceDies(t *testing.T) {
	source, target := cluster.Pair(t)
	ctx := deadline(t, 4*time.Minute)
	name := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), name))
	mixed(ctx, t, source.Bootstrap(), name, 200, 1000, 2)
	groups := stand(ctx, t, source.Bootstrap(), 201, 5, name)
	s, address := newSite(t, source, target, "topics: ["+name+"]", "groups: [\""+name+"-.*\"]").replica()
	d := s.run()
	judged(ctx, t, s.sides(), []string{name}, groups)
	eventually(t, time.Minute, "the daemon knows where the source ends", func() bool {
		_, text := get(t, address, "/metrics")
		return strings.Contains(text, `replicator_at_risk_records{flow="old->new",topic="`+name+`"} 0`)
	})

	is := source.For(t)
	is.Stop()
	type seen struct {
		SourceAway bool `json:"source_away"`
		CaughtUp   bool `json:"caught_up"`
		LastSeen   struct {
			Seen  time.Time `json:"seen"`
			Never int       `json:"never_seen"`
		} `json:"last_seen"`
		Partitions []struct {
			Progress int64 `json:"progress"`
			LastSeen struct {
				End int64 `json:"source_end"`
			} `json:"last_seen"`
		} `json:"partitions"`
		Groups []struct {
			Positions []struct {
				State string `json:"state"`
			} `json:"positions"`
		} `json:"groups"`
	}
	died := time.Now()
	eventually(t, time.Minute, "status tells what was last seen of the source", func() bool {
		out, code := s.command("status", "--json")
		var answer struct{ Flows []seen }
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&answer); err != nil || code != 1 || len(answer.Flows) != 1 {
			t.Fatalf("status ended with %d, %v:\n%s", code, err, out)
		}
		f := answer.Flows[0]
		if !f.SourceAway || f.CaughtUp || len(f.Groups) != len(groups) || len(f.Partitions) != 2 {
			t.Fatalf("status says\n%s", out)
		}
		for _, p := range f.Partitions {
			if p.LastSeen.End != p.Progress {
				return false
			}
		}
		for _, g := range f.Groups {
			for _, at := range g.Positions {
				if at.State != "carried_over" {
					t.Fatalf("status says\n%s", out)
				}
			}
		}
		return f.LastSeen.Never == 0 && died.Sub(f.LastSeen.Seen) < 10*time.Second
	})
	is.Start()
	judged(ctx, t, s.sides(), []string{name}, groups)
	if out, code := s.command("status"); code != 0 {
		t.Errorf("status ended with %d:\n%s", code, out)
	}
	d.stop()
}
