package integration

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// wayBack are the rights that a rollback needs beside those of the flow, in the order in
// which it comes to need them.
var wayBack = []right{
	{cluster: "source", operation: kadm.OpCreate, resource: "topic", names: "the way back's ledger"},
	{cluster: "source", operation: kadm.OpDescribeConfigs, resource: "topic", names: "the way back's ledger"},
	{cluster: "source", operation: kadm.OpRead, resource: "topic", names: "the way back's ledger"},
	{cluster: "source", operation: kadm.OpWrite, resource: "topic", names: "the way back's ledger"},
	{cluster: "source", operation: kadm.OpWrite, resource: "transactional id", names: "the way back's ids"},
	{cluster: "source", operation: kadm.OpRead, resource: "group", names: "copied groups"},
	{cluster: "source", operation: kadm.OpRead, resource: "group", names: "the way back's group"},
	{cluster: "source", operation: kadm.OpWrite, resource: "topic", names: "copied topics"},
}

// A cutover needs what the flow needs; a rollback exactly the documented rights beside
// them. Without one it does not come to its end, and names it; with it, it goes on.
func TestRightsOfMoves(t *testing.T) {
	documented(t, "cutover and rollback", wayBack)
	s := newSecured(t)
	s.lane = "batch"
	for _, r := range rights {
		s.allow(t, r)
	}
	site := s.site(t, nil)
	groups := stand(s.ctx, t, s.source.Bootstrap(), 80, 6, s.topics...)
	site.copyOnce()
	move := func(verb, limit string) (string, int) {
		return site.command(verb, "--yes", "--silent-for", "300ms", "--timeout", limit)
	}
	if out, code := move("cutover", "1m"); code != 0 {
		t.Fatalf("with the flow's rights a cutover ends with %d:\n%s", code, out)
	}
	for i, topic := range s.topics {
		mixed(s.ctx, t, s.target.Bootstrap(), topic, uint64(80+i), 300, 2)
	}
	stand(s.ctx, t, s.target.Bootstrap(), 83, 6, s.topics...)
	for _, r := range wayBack {
		s.allow(t, r)
	}
	for _, r := range wayBack {
		s.deny(t, r)
		out, code := move("rollback", "15s")
		if code == 0 || !s.named(r, out) {
			t.Errorf("a rollback without %v ends with %d, and says\n%s", r, code, out)
		}
		s.allow(t, r)
	}
	if out, code := move("rollback", "1m"); code != 0 {
		t.Fatalf("with the documented rights a rollback ends with %d:\n%s", code, out)
	}
	site.copyOnce()
	judged(s.ctx, t, site.sides(), s.topics, groups)
}
