package identity

import (
	"strings"
	"testing"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// TestCompareIdentities: which changes of a flow its ledger goes along with.
func TestCompareIdentities(t *testing.T) {
	cfg := settings.DefaultConfig()
	cfg.From, cfg.To = "old", "new"
	kept := Of(&cfg, "S", "T")
	id, other := chunk.TopicID{1}, chunk.TopicID{2}
	book := ledger.NewShard()
	p, err := book.Prepare([]ledger.Change{{Key: ledger.Key{Topic: id, Partition: chunk.Partition{Topic: "orders"}},
		Header: ledger.Header{TargetTopic: other}}})
	if err != nil {
		t.Fatal(err)
	}
	p.Apply(make([]int64, len(p.Records)))
	holds := func(source, target chunk.TopicID) func() (*evidence, error) {
		return func() (*evidence, error) {
			return &evidence{Books: []*ledger.Shard{book},
				Source: &kafka.Description{Topics: map[string]kafka.TopicDescription{"orders": {ID: source}}},
				Target: &kafka.Description{Topics: map[string]kafka.TopicDescription{"orders": {ID: target}}}}, nil
		}
	}
	same := holds(id, other)
	for name, c := range map[string]struct {
		change func(*ledger.Identity)
		look   func() (*evidence, error)
		want   string // in the error, or what changes
		ok     bool
	}{
		"nothing":               {func(*ledger.Identity) {}, same, "", true},
		"another source":        {func(i *ledger.Identity) { i.SourceCluster = "S2" }, holds(other, other), "id S2", false},
		"source of another id":  {func(i *ledger.Identity) { i.SourceCluster = "S2" }, same, "source cluster id", true},
		"another target":        {func(i *ledger.Identity) { i.TargetCluster = "T2" }, holds(id, id), "id T2", false},
		"target of another id":  {func(i *ledger.Identity) { i.TargetCluster = "T2" }, same, "target cluster id", true},
		"a cluster without id":  {func(i *ledger.Identity) { i.SourceCluster = "" }, same, "", true},
		"naming":                {func(i *ledger.Identity) { i.Naming = "prefix" }, same, "naming is identity", false},
		"a prefix":              {func(i *ledger.Identity) { i.SourcePrefix = "x-" }, same, "source prefix is none", false},
		"names":                 {func(i *ledger.Identity) { i.From = "aws" }, same, "flow", true},
		"another release of us": {func(i *ledger.Identity) { i.Program = "v9" }, same, "program", true},
		"shards":                {func(i *ledger.Identity) { i.Shards = 9 }, same, "9 shards", false},
	} {
		now := kept
		c.change(&now)
		changes, err := compare("ledger", kept, now, c.look)
		said := ""
		if err != nil {
			said = err.Error()
		}
		for _, change := range changes {
			said += change.What
		}
		if (err == nil) != c.ok || !strings.Contains(said, c.want) || c.want == "" && said != "" {
			t.Errorf("%s: %q, %v; want %q, %v", name, said, err, c.want, c.ok)
		}
	}
}
