package replicate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// sites are clusters with a topic of one name, and the flows between them.
type sites struct {
	*flowtest.World
	clusters map[string]kafka.Config
	admins   map[string]*kadm.Client
	written  int
}

func newSites(w *flowtest.World, names ...string) *sites {
	s := &sites{World: w, clusters: map[string]kafka.Config{}, admins: map[string]*kadm.Client{}}
	for _, name := range names {
		_, bootstrap, admin := w.Cluster(name)
		s.clusters[name], s.admins[name] = w.Kafka(name, bootstrap), admin
		w.Must("make the topic", workload.Topics(w.Ctx, bootstrap, 1, workload.KeepConfigs(), "orders"))
	}
	return s
}

// flow is one from a site to another.
func (s *sites) flow(from, to string, records settings.Records) settings.Config {
	cfg := s.Cfg
	cfg.From, cfg.To, cfg.Records, cfg.SyncTopicConfigs, cfg.Topics = from, to, records, false, []string{"orders"}
	return cfg
}

// write writes n records on every site.
func (s *sites) write(n int) {
	for _, name := range []string{"a", "b", "h"} {
		s.Plain(s.clusters[name].Properties["bootstrap.servers"], "orders", 0, n)
		s.written += n
	}
}

// same waits until every site has each record once.
func (s *sites) same() {
	s.T.Helper()
	held := map[string][]string{}
	defer func() {
		if s.T.Failed() {
			s.T.Logf("%v", held)
		}
	}()
	s.Await("all sites have all", func() bool {
		for name := range s.clusters {
			held[name] = s.HoldsAt(s.admins[name], s.clusters[name].Properties["bootstrap.servers"], "orders")
			if len(held[name]) < s.written {
				return false
			}
		}
		return true
	})
	for name, list := range held {
		slices.Sort(list)
		if len(list) != s.written || len(slices.Compact(list)) != s.written {
			s.T.Fatalf("%s holds %d records, want %d, each once", name, len(list), s.written)
		}
	}
}

// TestTreesAndRings: a record that is written anywhere is everywhere once: with a hub between two sites, and where each
// of three copies to both others what began on it; in one configuration, and in one for each flow.
func TestTreesAndRings(t *testing.T) {
	t.Parallel()
	hub := [][2]string{{"a", "h"}, {"h", "a"}, {"h", "b"}, {"b", "h"}}
	ring := append(slices.Clone(hub), [2]string{"a", "b"}, [2]string{"b", "a"})
	for _, c := range []struct {
		name    string
		flows   [][2]string
		records settings.Records
		apart   bool
	}{
		{"hub", hub, settings.AllRecords, false},
		{"hub, a file each", hub, settings.AllRecords, true},
		{"mesh", ring, settings.LocalRecords, false},
		{"mesh, a file each", ring, settings.LocalRecords, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := flowtest.New(t)
			s := newSites(w, "a", "b", "h")
			var flows []settings.Config
			for _, ends := range c.flows {
				flows = append(flows, s.flow(ends[0], ends[1], c.records))
			}
			s.write(10)
			if c.apart {
				for i := range flows {
					w.StartFlows(s.clusters, flows[i])
				}
			} else {
				settings.Introduce(flows)
				settings.Validate(flows, func(i int, path, format string, args ...any) {
					t.Errorf("flow %d, %s: %s", i, path, fmt.Sprintf(format, args...))
				})
				w.StartFlows(s.clusters, flows...)
			}
			s.same()
			s.write(10)
			s.same()
		})
	}
}

// TestTreeWithACircleIsRefused: a ring of flows that copy on what others brought is refused, by whoever closes it.
func TestTreeWithACircleIsRefused(t *testing.T) {
	w := flowtest.New(t)
	s := newSites(w, "a", "b", "h")
	var flows []settings.Config
	for _, ends := range [][2]string{{"a", "h"}, {"h", "b"}, {"b", "a"}} {
		flows = append(flows, s.flow(ends[0], ends[1], settings.AllRecords))
	}
	var said []string
	settings.Validate(flows, func(i int, path, format string, args ...any) {
		said = append(said, fmt.Sprintf("%d %s: ", i, path)+fmt.Sprintf(format, args...))
	})
	if len(said) != 1 {
		t.Errorf("a ring is refused with %q", said)
	}
}

// A topic of a hub that is lost is not filled anew by several flows: each would bring all that its source holds. What
// is written there from then on is carried. Once one site alone fills it, it does so with everything.
func TestLostHubIsNotFilledTwice(t *testing.T) {
	t.Parallel()
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprintf("a file each %t", apart), func(t *testing.T) { testLostHub(t, apart) })
	}
}

func testLostHub(t *testing.T, apart bool) {
	w := flowtest.New(t)
	s := newSites(w, "a", "b", "h")
	start := func(tune func(*settings.Config)) (stop func()) {
		var flows []settings.Config
		for _, ends := range [][2]string{{"a", "h"}, {"h", "a"}, {"h", "b"}, {"b", "h"}} {
			flow := s.flow(ends[0], ends[1], settings.AllRecords)
			flow.RefreshInterval = time.Second
			tune(&flow)
			flows = append(flows, flow)
		}
		running := []*flowtest.Replica{}
		if apart {
			for i := range flows {
				running = append(running, w.StartFlows(s.clusters, flows[i]))
			}
		} else {
			settings.Introduce(flows)
			running = append(running, w.StartFlows(s.clusters, flows...))
		}
		return func() {
			for _, r := range running {
				r.Stop()
			}
		}
	}
	hub := s.clusters["h"].Properties["bootstrap.servers"]
	held := func(name string) []string {
		return s.HoldsAt(s.admins[name], s.clusters[name].Properties["bootstrap.servers"], "orders")
	}
	s.write(3)
	stop := start(func(*settings.Config) {})
	s.same()
	w.Delete(s.admins["h"], "orders")
	w.Must("make the topic", workload.Topics(w.Ctx, hub, 1, workload.KeepConfigs(), "orders"))
	for _, other := range []string{"a->h", "b->h"} {
		w.Await("the flow beside "+other+" is stopped", func() bool {
			return strings.Contains(w.Log.String(), "was made anew, and flow "+other+" fills it as well")
		})
	}
	s.Plain(hub, "orders", 0, 1)
	s.written++
	w.Await("what is written there is carried", func() bool {
		return len(held("a")) >= s.written && len(held("b")) >= s.written
	})
	stop()
	stop = start(func(flow *settings.Config) {
		if flow.From == "b" || flow.To == "b" {
			flow.Topics, flow.ExcludeTopics = []string{".*"}, []string{"orders"}
		}
	})
	w.Await("one site fills it", func() bool { return len(held("h")) >= s.written })
	s.same()
	stop()
}
