package replicate

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/policy"
)

// prefixed gives the clusters of a world prefixes, and tells the judge.
func (w *world) prefixed(source, target string) {
	w.cfg.SourcePrefix, w.cfg.TargetPrefix = source, target
	naming := ""
	if w.cfg.Naming == policy.Prefix {
		naming = w.cfg.From + w.cfg.Separator
	}
	w.sides.Rename = func(topic string) string { return target + naming + strings.TrimPrefix(topic, source) }
	w.sides.RenameGroup = func(group string) string { return target + strings.TrimPrefix(group, source) }
}

// Whatever prefixes the clusters have, records and groups arrive exactly, nothing but
// what is ours is copied, and all that is made on the target begins with its prefix.
func TestPrefixes(t *testing.T) {
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
			onLanes(t, func(t *testing.T, w *world) {
				w.cfg.Naming = c.naming
				w.prefixed(c.source, c.target)
				ids := seenTransactionalIDs(w.target)
				w.cfg.Topics = []string{"orders", "users"} // logical names
				w.cfg.ExcludeGroups = []string{"left-out"}
				names := []string{c.source + "orders", c.source + "users"}
				for _, name := range names {
					w.topic(name, 2)
					w.mixed(name, 2, 300)
				}
				others := []workload.Position{{Group: c.source + "left-out", Topic: names[0], At: 3}}
				if c.source != "" { // what another tenant has
					w.topic("users", 1)
					w.plain(w.sides.Source, "users", 0, 10)
					others = append(others, workload.Position{Group: "stranger", Topic: names[0], At: 3})
				}
				w.must("commit", workload.Commit(w.ctx, w.sides.Source, others))
				r := w.start(nil)
				w.equal(names)
				w.groups(names)
				w.onlyOurs(c.target, ids())
				r.stop()
				w.mixed(names[0], 2, 100)
				w.start(nil) // another owner reads the ledger
				w.equal(names)
			})
		})
	}
}

// onlyOurs looks at all names on the target.
func (w *world) onlyOurs(prefix string, transactionalIDs []string) {
	w.t.Helper()
	listed, err := w.to.ListTopics(w.ctx)
	w.must("list topics", err)
	want := []string{w.cfg.LedgerTopic(), w.sides.Rename(w.cfg.SourcePrefix + "orders"),
		w.sides.Rename(w.cfg.SourcePrefix + "users")}
	slices.Sort(want)
	if got := listed.Names(); !slices.Equal(got, want) {
		w.t.Errorf("the target holds topics %q, want %q", got, want)
	}
	groups, err := w.to.ListGroups(w.ctx)
	w.must("list groups", err)
	names := groups.Groups()
	if !slices.Contains(names, prefix+"replicator.old.new") || len(names) < 12 {
		w.t.Errorf("the target holds groups %q, want the flow's and the copied ones", names)
	}
	if len(transactionalIDs) == 0 {
		w.t.Error("no transactional id was seen")
	}
	for _, name := range slices.Concat(names, transactionalIDs, want) {
		if !strings.HasPrefix(name, prefix) {
			w.t.Errorf("%q does not begin with %q", name, prefix)
		}
	}
	for _, name := range []string{"stranger", "left-out"} {
		if slices.Contains(names, prefix+name) {
			w.t.Errorf("group %s is on the target", name)
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
	onLanes(t, func(t *testing.T, w *world) {
		w.target, w.sides.Target, w.to = w.source, w.sides.Source, w.from
		w.prefixed("p1.", "p2.")
		w.topic("p1.orders", 2)
		w.topic("orders", 1) // nobody's
		w.mixed("p1.orders", 2, 200)
		r := w.start(nil)
		w.equal([]string{"p1.orders"})
		w.groups([]string{"p1.orders"})
		w.mixed("p1.orders", 2, 200)
		w.equal([]string{"p1.orders"})
		w.topic("p1.late", 1) // shows that the topics were looked for again
		w.mixed("p1.late", 1, 20)
		w.equal([]string{"p1.late"})
		r.stop()
		listed, err := w.to.ListTopics(w.ctx)
		w.must("list topics", err)
		want := []string{"orders", "p1.late", "p1.orders", "p2.__replicator.old.new", "p2.late", "p2.orders"}
		if got := listed.Names(); !slices.Equal(got, want) {
			t.Errorf("the cluster holds topics %q, want %q", got, want)
		}
	})
}
