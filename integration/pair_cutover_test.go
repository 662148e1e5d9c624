package integration

import (
	"strings"
	"testing"
)

// Applications of a pair are cut over, back, and over again, while both flows run. A rollback names the way back, and
// status tells of no writer: what one side gets the other has written.
func TestCutoversOfAPair(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target)
	a.bothWays()
	a.daemon = a.site.run()
	a.command(`replicator wait -c site.yaml --flow "old->new" --lag 1000`)
	for _, way := range []struct{ flow, from, to string }{
		{"old->new", "old", "new"}, {"new->old", "new", "old"}, {"old->new", "old", "new"}} {
		a.act("stop the producers on " + way.from)
		a.act("stop the consumers on " + way.from)
		a.command("replicator cutover -c site.yaml --yes --flow " + way.flow)
		a.act("start the producers on " + way.to)
		a.act("start the consumers on " + way.to)
		read := len(a.keys())
		a.await("consumers are at work", func() bool { return len(a.keys()) > read+300 })
		out, code := a.site.command("status", "--flow", way.flow)
		if code != 0 || !strings.Contains(out, "was done at ") || strings.Contains(out, "were written to") {
			t.Errorf("after the cutover of flow %s status ended with %d:\n%s", way.flow, code, out)
		}
	}
	out, code := a.site.command("rollback", "--flow", "old->new", "--dry-run")
	if code != 1 || !strings.Contains(out, `replicator cutover --flow "new->old"`) {
		t.Errorf("rollback ended with %d:\n%s", code, out)
	}
	a.finish()
	a.count(0)
	a.areTheSame()
}
