package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"replicator/pkg/operate/inspect"
)

// What the flow has copied and a narrower configuration leaves out is named, and no fuller report gives way to it.
func TestVerifyNamesWhatANarrowerConfigurationLeavesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, topic := range []string{"orders", "payments", "users"} {
		w.source.Topic(topic, 1)
		w.source.Fill(topic, 0, 3)
	}
	w.must("run", "--until-caught-up")
	path := filepath.Join(t.TempDir(), "proof.json")
	w.must("verify", "--report", path)
	if all := w.proof(path); len(all.NotCompared) != 0 || all.NotCompared == nil || len(all.Partitions) != 3 {
		t.Errorf("all is compared: %+v", all.NotCompared)
	}

	w.config = w.write(w.source.Address(), w.target.Address(), `topics: ["orders|users"]`,
		`exclude_topics: ["users"]`)
	out := strings.Join(strings.Fields(w.must("verify")), " ")
	says(t, "the narrower one", out, "compared 3 records of 1 partitions", "verdict equal",
		"left out 1 topic: copied before, as the ledger says, and not compared: no pattern in topics matches it: payments",
		`not compared: excluded by exclude_topics "users": users`)
	if some := w.must("verify", "--topics", "orders"); strings.Contains(some, "payments") {
		t.Errorf("what was not asked for is named:\n%s", some)
	}

	got := w.run("verify", "--report", path)
	says(t, "the report", got.stderr, "is kept: topic payments of flow old->new was compared then, and is not now")
	beside, err := filepath.Glob(path + ".*")
	if err != nil || len(beside) != 1 || got.code != exitFailed || len(w.proof(path).Partitions) != 3 {
		t.Fatalf("the fuller report: exit %d, beside it %v, %v", got.code, beside, err)
	}
	named := w.proof(beside[0]).NotCompared
	if !slices.ContainsFunc(named, func(l inspect.LeftOut) bool { return l.Name == "payments" && l.Why != "" }) ||
		len(named) != 2 {
		t.Errorf("the report names %+v", named)
	}
}
