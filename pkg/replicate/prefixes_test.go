package replicate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/policy"
)

// prefixed gives the clusters of a world prefixes, and tells the judge.
func prefixed(w *flowtest.World, source, target string) {
	w.Cfg.SourcePrefix, w.Cfg.TargetPrefix = source, target
	naming := ""
	if w.Cfg.Naming == policy.Prefix {
		naming = w.Cfg.From + w.Cfg.Separator
	}
	w.Sides.Rename = func(topic string) string { return target + naming + strings.TrimPrefix(topic, source) }
	w.Sides.RenameGroup = func(group string) string { return target + strings.TrimPrefix(group, source) }
}

// Whatever prefixes the clusters have, records and groups arrive exactly, nothing but
// what is ours is copied, and all that is made on the target begins with its prefix.
func TestPrefixesOfClusters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why, source, target string
		naming              policy.Naming
	}{
		{"source only", "p1.", "", policy.Identity},
		{"target only", "", "p2.", policy.Identity},
		{"both the same", "p1.", "p1.", policy.Identity},
		{"different", "p1.", "p2.", policy.Identity},
		{"different, and named", "p1.", "p2.", policy.Prefix},
	} {
		t.Run(c.why, func(t *testing.T) {
			flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
				w.Cfg.Naming = c.naming
				prefixed(w, c.source, c.target)
				ids := seenTransactionalIDs(w.Target)
				w.Cfg.Topics = []string{"orders", "users"} // logical names
				w.Cfg.ExcludeGroups = []string{"left-out"}
				names := []string{c.source + "orders", c.source + "users"}
				for _, name := range names {
					w.Topic(name, 2)
					w.Mixed(name, 2, 300)
				}
				others := []workload.Position{{Group: c.source + "left-out", Topic: names[0], At: 3}}
				if c.source != "" { // what another tenant has
					w.Topic("users", 1)
					w.Plain(w.Sides.Source, "users", 0, 10)
					others = append(others, workload.Position{Group: "stranger", Topic: names[0], At: 3})
				}
				w.Must("commit", workload.Commit(w.Ctx, w.Sides.Source, others))
				r := w.Start(nil)
				w.Equal(names)
				w.Groups(names)
				onlyOurs(w, c.target, ids())
				r.Stop()
				w.Mixed(names[0], 2, 100)
				w.Start(nil) // another owner reads the ledger
				w.Equal(names)
			})
		})
	}
}

// onlyOurs looks at all names on the target.
func onlyOurs(w *flowtest.World, prefix string, transactionalIDs []string) {
	w.T.Helper()
	listed, err := w.To.ListTopics(w.Ctx)
	w.Must("list topics", err)
	want := []string{w.Cfg.LedgerTopic(), w.Sides.Rename(w.Cfg.SourcePrefix + "orders"),
		w.Sides.Rename(w.Cfg.SourcePrefix + "users")}
	slices.Sort(want)
	if got := listed.Names(); !slices.Equal(got, want) {
		w.T.Errorf("the target holds topics %q, want %q", got, want)
	}
	groups, err := w.To.ListGroups(w.Ctx)
	w.Must("list groups", err)
	names := groups.Groups()
	if !slices.Contains(names, prefix+"replicator.old.new") || len(names) < 12 {
		w.T.Errorf("the target holds groups %q, want the flow's and the copied ones", names)
	}
	if len(transactionalIDs) == 0 {
		w.T.Error("no transactional id was seen")
	}
	for _, name := range slices.Concat(names, transactionalIDs, want) {
		if !strings.HasPrefix(name, prefix) {
			w.T.Errorf("%q does not begin with %q", name, prefix)
		}
	}
	for _, name := range []string{"stranger", "left-out"} {
		if slices.Contains(names, prefix+name) {
			w.T.Errorf("group %s is on the target", name)
		}
	}
}

// seenTransactionalIDs notes the ids that ask a cluster for a producer id.
func seenTransactionalIDs(c *kafkatest.Cluster) func() []string {
	seen := make(chan string, 1000)
	c.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil {
			select {
			case seen <- *id:
			default:
			}
		}
		return nil, nil, false
	})
	return func() (ids []string) {
		for {
			select {
			case id := <-seen:
				ids = append(ids, id)
			default:
				return ids
			}
		}
	}
}

// One cluster under two names, each with a part of its own: what is written is never
// read again.
func TestPrefixesWithinOneCluster(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Target, w.Sides.Target, w.To = w.Source, w.Sides.Source, w.From
		prefixed(w, "p1.", "p2.")
		w.Topic("p1.orders", 2)
		w.Topic("orders", 1) // nobody's
		w.Mixed("p1.orders", 2, 200)
		r := w.Start(nil)
		w.Equal([]string{"p1.orders"})
		w.Groups([]string{"p1.orders"})
		w.Mixed("p1.orders", 2, 200)
		w.Equal([]string{"p1.orders"})
		w.Topic("p1.late", 1) // shows that the topics were looked for again
		w.Mixed("p1.late", 1, 20)
		w.Equal([]string{"p1.late"})
		r.Stop()
		listed, err := w.To.ListTopics(w.Ctx)
		w.Must("list topics", err)
		want := []string{"orders", "p1.late", "p1.orders", "p2.__replicator.old.new", "p2.late", "p2.orders"}
		if got := listed.Names(); !slices.Equal(got, want) {
			t.Errorf("the cluster holds topics %q, want %q", got, want)
		}
	})
}
