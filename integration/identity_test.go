package integration

import (
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// A flow whose clusters were renamed in its file names the ledger that holds its copy, and
// goes on with it, without a record or a group's position lost; replicas with other rules
// are named.
func TestRenamedAndMixed(t *testing.T) {
	source, target := cluster.SharedPair(t)
	ctx := deadline(t, 3*time.Minute)
	name := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 4, workload.KeepConfigs(), name))
	mixed(ctx, t, source.Bootstrap(), name, 100, 1000, 4)
	groups := stand(ctx, t, source.Bootstrap(), 101, 5, name)
	s := newSite(t, source, target, "topics: ["+name+"]", "groups: [\""+name+"-.*\"]")
	ledger := "__replicator." + name
	first := s.run()
	judged(ctx, t, s.sides(), []string{name}, groups)

	mixedRules := newSite(t, source, target, "topics: ["+name+", "+name+"-more]", "groups: [\""+name+"-.*\"]")
	second := mixedRules.run()
	second.says(30*time.Second, "replicas have different rules", "differ=topics", "remedy=")
	first.says(30*time.Second, "replicas have different rules", "differ=topics")
	if out, code := s.command("status"); code != 0 || !holds(out, "have other rules (topics)") {
		t.Errorf("status ended with %d:\n%s", code, out)
	}
	second.stop()
	first.says(30*time.Second, "all replicas have the same rules again")
	first.stop()

	// Other names, and the ledger's own name is lost as the default one would be.
	for _, e := range [][2]string{{"old:", "aws:"}, {"new:", "gcp:"}, {"from: old", "from: aws"}, {"to: new", "to: gcp"}} {
		s.edit(e[0], e[1])
	}
	s.edit("ledger: "+ledger, "ledger: "+ledger+".renamed")
	out, code := s.command("run")
	if code == 0 || !holds(out, "holds the same copy, as flow old->new: 1 topic, "+name, "'ledger: "+ledger+"'") {
		t.Errorf("with other names the flow ended with %d:\n%s", code, out)
	}
	s.edit("ledger: "+ledger+".renamed", "ledger: "+ledger)
	third := s.run()
	mixed(ctx, t, source.Bootstrap(), name, 102, 1000, 4)
	groups = append(groups, stand(ctx, t, source.Bootstrap(), 103, 5, name)...)
	judged(ctx, t, s.sides(), []string{name}, groups)
	if out, code := s.command("ledger"); code != 0 || !holds(out, "flow aws->gcp", "flow was old->new, is aws->gcp") {
		t.Errorf("ledger ended with %d:\n%s", code, out)
	}
	third.stop()
}

// A twin: the same names and the same target, another source. It is refused by name before
// it joins the group or shuts anybody out.
func TestTwin(t *testing.T) {
	source, target := cluster.SharedPair(t)
	another := cluster.Start(t, cluster.Named("another"))
	ctx := deadline(t, 4*time.Minute)
	name := unique(t)
	for _, c := range []*cluster.Cluster{source, another} {
		must(t, workload.Topics(ctx, c.Bootstrap(), 4, workload.KeepConfigs(), name))
		mixed(ctx, t, c.Bootstrap(), name, 110, 500, 4)
	}
	s := newSite(t, source, target, "topics: ["+name+"]")
	d := s.run()
	judged(ctx, t, s.sides(), []string{name}, nil)
	twin := newSite(t, another, target, "topics: ["+name+"]")
	for _, verb := range [][]string{{"run"}, {"check", "--connect"}, {"status"}, {"verify"}, {"ledger"}} {
		out, code := twin.command(verb...)
		if code != 1 || !holds(out, "belongs to another flow: its source cluster is the one with id", "remedy:") {
			t.Errorf("%v of the twin ended with %d:\n%s", verb, code, out)
		}
	}
	mixed(ctx, t, source.Bootstrap(), name, 111, 500, 4)
	judged(ctx, t, s.sides(), []string{name}, nil)
	if said := d.out.String(); holds(said, "starting over") || holds(said, "another replica") {
		t.Errorf("the first daemon was disturbed:\n%s", said)
	}
}
