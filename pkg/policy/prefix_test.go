package policy

import (
	"strings"
	"testing"
)

// prefixed is a flow between two clusters of which a part is ours.
func prefixed(t *testing.T, source, target string, change func(*Config)) *Policy {
	t.Helper()
	return compile(t, flowOf(func(c *Config) {
		c.SourcePrefix, c.TargetPrefix = source, target
		if change != nil {
			change(c)
		}
	}))
}

func TestPrefixesOfTopics(t *testing.T) {
	named := func(naming Naming) func(*Config) {
		return func(c *Config) { c.Naming = naming }
	}
	for _, c := range []struct {
		source, target string
		change         func(*Config)
		topic, want    string // "": not ours
		why            string // of the verdict; with + it is selected
	}{
		{"p1.", "p2.", nil, "p1.orders", "p2.orders", "+chosen"},
		{"p1.", "", nil, "p1.orders", "orders", "+chosen"},
		{"", "p2.", nil, "orders", "p2.orders", "+chosen"},
		{"p1.", "p1.", nil, "p1.orders", "p1.orders", "+chosen"},
		{"p1.", "p2.", nil, "orders", "", `not ours: it does not begin with the prefix of old, "p1."`},
		{"p1.", "p2.", nil, "p2.orders", "", "not ours"},
		{"p1.", "p2.", nil, "__consumer_offsets", "", "not ours"},
		{"p1.", "p2.", nil, "p1.", "p2.", "it has no name"},
		{"p1.", "p2.", nil, "p1.p1.orders", "p2.p1.orders", "+chosen"},
		{"p1.", "p2.", nil, "p1.__x", "p2.__x", "internal topic"},
		{"p1.", "p2.", nil, "p1.__replicator.x.y", "p2.__replicator.x.y", "a ledger of replicator"},
		{"", "p2.", nil, "__x", "p2.__x", "internal topic"},
		{"p1.", "p2.", nil, "p1.connect-offsets", "p2.connect-offsets", "Kafka Connect's own"},
		{"p1.", "p2.", named(Prefix), "p1.orders", "p2.old.orders", "+chosen"},
		{"p1.", "", named(Prefix), "p1.orders", "old.orders", "+chosen"},
		{"p1.", "p2.", named(Prefix), "p1.new.orders", "p2.old.new.orders", "by flow new->old and is never copied back"},
		{"p1.", "p2.", func(c *Config) { c.Topics = []string{"orders"} }, "p1.orders", "p2.orders", "+chosen"},
		{"p1.", "p2.", func(c *Config) { c.Topics = []string{`p1\.orders`} }, "p1.orders", "p2.orders", "no pattern"},
		{"p1.", "p2.", func(c *Config) { c.ExcludeTopics = []string{"orders"} }, "p1.orders", "p2.orders", "excluded"},
		{"p1.", "p2.", func(c *Config) { c.Ledger = "mine" }, "p1.mine", "p2.mine", "is that of a ledger"},
		{"p1.", "p2.", func(c *Config) {
			c.Flows = []Flow{{From: "new", To: "old", SourcePrefix: "p2.", TargetPrefix: "p1.", Naming: Prefix,
				Separator: ".", Ledger: "back"}}
		}, "p1.back", "p2.back", "a ledger of replicator, as configured"},
		{"", "p2.", nil, strings.Repeat("x", 246), "p2." + strings.Repeat("x", 246), "+chosen"},
		{"", "p2.", nil, strings.Repeat("x", 247), "p2." + strings.Repeat("x", 247), "250 characters"},
	} {
		p := prefixed(t, c.source, c.target, c.change)
		target, v := p.Topic(c.topic)
		why, selected := strings.CutPrefix(c.why, "+")
		if target != c.want || v.Selected != selected || !strings.Contains(v.Why, why) {
			t.Errorf("prefixes %q, %q: Topic(%q) = %q %+v, want %q, %q", c.source, c.target, c.topic, target, v, c.want, c.why)
		}
	}
}

func TestPrefixesOfGroups(t *testing.T) {
	for _, c := range []struct{ source, target, group, want, why string }{
		{"p1.", "p2.", "p1.billing", "p2.billing", "+chosen"},
		{"p1.", "", "p1.billing", "billing", "+chosen"},
		{"", "p2.", "billing", "p2.billing", "+chosen"},
		{"p1.", "p2.", "billing", "", "not ours"},
		{"p1.", "p2.", "p1.", "p2.", "it has no name"},
		{"p1.", "p2.", "p1.replicator.new.old", "p2.replicator.new.old", "own ownership group"},
		{"p1.", "p2.", "p1.connect-x", "p2.connect-x", "Kafka Connect group"},
		{"p1.", "p2.", "p1.skipped", "p2.skipped", "excluded"},
		{"p1.", "p2.", "p1. any name/ü", "p2. any name/ü", "+chosen"},
	} {
		// Groups keep their logical names, whatever topics are called.
		for _, naming := range []Naming{Identity, Prefix} {
			p := prefixed(t, c.source, c.target, func(cfg *Config) {
				cfg.Naming, cfg.ExcludeGroups = naming, []string{"skipped"}
			})
			target, v := p.Group(c.group)
			why, selected := strings.CutPrefix(c.why, "+")
			if target != c.want || v.Selected != selected || !strings.Contains(v.Why, why) {
				t.Errorf("prefixes %q, %q, %s: Group(%q) = %q %+v, want %q, %q", c.source, c.target, naming, c.group, target, v,
					c.want, c.why)
			}
		}
	}
}

func TestLedgersHavePrefixes(t *testing.T) {
	for _, c := range []struct{ prefix, ledger, want string }{
		{"", "", "__replicator.old.new"}, {"p2.", "", "p2.__replicator.old.new"}, {"p2.", "mine", "p2.mine"},
	} {
		f := Flow{From: "old", To: "new", TargetPrefix: c.prefix, Ledger: c.ledger}
		if got := f.LedgerTopic(); got != c.want {
			t.Errorf("prefix %q, ledger %q: %q, want %q", c.prefix, c.ledger, got, c.want)
		}
	}
}

func TestPrefixesAreRefused(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "abc.": "", "columbia-68051.": "", strings.Repeat("x", 100): "",
		"a/b": "cannot stand in a topic name", "__a": "begins as Kafka's internal topics", " ": "cannot stand",
		strings.Repeat("x", 101): "use up to 100",
	} {
		if got := PrefixProblem(prefix); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("PrefixProblem(%q) = %q, want %q", prefix, got, want)
		}
	}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.SourcePrefix = "/" }, "source_prefix: "},
		{func(c *Config) { c.TargetPrefix = "/" }, "target_prefix: "},
		{func(c *Config) { c.TargetPrefix, c.Ledger = "p2.", "p2.mine" }, "would be put before it once more"},
		{func(c *Config) { c.TargetPrefix, c.Ledger = "p2.", strings.Repeat("l", 247) }, "has 250 characters"},
	} {
		if _, err := New(flowOf(c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// FuzzPrefixes: names on the target lead back, begin with the target's prefix, and
// no two source names share one; nothing without the source's prefix is selected.
func FuzzPrefixes(f *testing.F) {
	for _, name := range []string{"orders", "p1.orders", "p2.orders", "p1.old.x", "p1.__x", "p1.", "", "p1.p1.a"} {
		for _, prefixes := range [][2]string{{"", ""}, {"p1.", ""}, {"", "p2."}, {"p1.", "p2."}, {"p1.", "p1."}} {
			f.Add(name, "p1.other", prefixes[0], prefixes[1], true)
			f.Add(name, "other", prefixes[0], prefixes[1], false)
		}
	}
	f.Fuzz(func(t *testing.T, name, other, source, target string, identity bool) {
		c := flowOf(func(c *Config) {
			c.SourcePrefix, c.TargetPrefix = source, target
			if !identity {
				c.Naming = Prefix
			}
		})
		p, err := New(c)
		if err != nil {
			return
		}
		sourceGroup := func(called string) (string, bool) { return renamed(called, target, source) }
		for _, kind := range []struct {
			forth func(string) (string, Verdict)
			back  func(string) (string, bool)
		}{{p.Topic, p.SourceTopic}, {p.Group, sourceGroup}} {
			called, v := kind.forth(name)
			ours := strings.HasPrefix(name, source) && name != source
			if back, ok := kind.back(called); ours && (!ok || back != name) || !strings.HasPrefix(called, target) && ours {
				t.Fatalf("prefixes %q, %q: %q is called %q, which leads back to %q %v", source, target, name, called, back, ok)
			}
			if v.Why == "" || v.Selected && !ours {
				t.Fatalf("prefixes %q, %q: %q has the verdict %+v", source, target, name, v)
			}
			if from, ok := kind.back(name); ok { // the other way round
				if again, _ := kind.forth(from); again != name {
					t.Fatalf("prefixes %q, %q: target %q comes from %q, which is called %q", source, target, name, from, again)
				}
			}
			if twin, w := kind.forth(other); v.Selected && w.Selected && name != other && twin == called {
				t.Fatalf("prefixes %q, %q: %q and %q are both called %q", source, target, name, other, called)
			}
		}
		if flow := c.Flow; flow.Apart() { // within one cluster nothing that is written is read
			called, v := p.Topic(name)
			if _, again := p.Topic(called); v.Selected && again.Selected {
				t.Fatalf("prefixes %q, %q: %q becomes %q, which is selected", source, target, name, called)
			}
			if _, ledger := p.Topic(flow.LedgerTopic()); ledger.Selected {
				t.Fatalf("prefixes %q, %q: the ledger is selected", source, target)
			}
		}
	})
}
