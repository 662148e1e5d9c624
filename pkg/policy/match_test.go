package policy

import (
	"strings"
	"testing"
)

func candidates(names ...string) []Candidate {
	var list []Candidate
	for _, name := range names {
		name, why, _ := strings.Cut(name, "!")
		list = append(list, Candidate{Name: name, Full: name, Why: why})
	}
	return list
}

// A pattern that chooses nothing says so, and what may have been meant.
func TestMatchPattern(t *testing.T) {
	names := candidates("orders", "orders-eu", "payments", "billing-emea", "carts", "secret!excluded by hand")
	for pattern, want := range map[string]string{
		"orders":    "orders|",
		"orders.*":  "orders,orders-eu|",
		"oders":     "|did you mean orders?",
		"odrers":    "|did you mean orders?",
		"Orders":    "|did you mean orders?",
		"biling.*":  "|did you mean billing-emea?",
		".*emae":    "|did you mean billing-emea?",
		"orders-e*": `|patterns are regular expressions: in "orders-e*" the * only repeats`,
		"paym*":     `|did you mean "paym.*"?`,
		"orders*":   `orders|`,
		"customers": "|look at the spelling",
		"secret":    "|excluded by hand",
		"secret|x":  "|see 'replicator check --connect'",
		"c[aeiou]x": "|look at the spelling",
	} {
		m := MatchPattern("--topics", "topic", "old", pattern, names)
		chosen, said, _ := strings.Cut(want, "|")
		text := ""
		if m.Nothing() {
			text = m.Error() + "\n" + m.Remedy()
		}
		if strings.Join(m.Chosen, ",") != chosen || !strings.Contains(text, said) || said == "" && text != "" {
			t.Errorf("%q chooses %v and says %q, want %q", pattern, m.Chosen, text, want)
		}
	}
	m := MatchPattern("topics[0]", "topic", "old", "orders*", names)
	if !strings.Contains(m.Hint(), `did you mean "orders.*"?`) {
		t.Errorf("a glob that matches by chance: %q", m.Hint())
	}
	if m := MatchPattern("topics[0]", "topic", "old", "orders.*", names); m.Hint() != "" {
		t.Errorf("no glob: %q", m.Hint())
	}
}

// Of the file's patterns each is compared by itself, and those for everything claim
// nothing.
func TestPatternsOfTheFile(t *testing.T) {
	p := compile(t, flowOf(func(c *Config) {
		c.SourcePrefix = "a."
		c.Topics = []string{".*", "oders", "connect-.*", `app\.internal`}
		c.Groups = []string{"connect-.*", "billing"}
		c.ExcludeGroups = []string{"connect-test.*"}
	}))
	got := map[string]string{}
	for _, m := range append(p.TopicMatches([]string{"a.orders", "b.oders", "a.connect-offsets", "a.app.internal"}),
		p.GroupMatches([]string{"a.connect-sink", "a.connect-test1", "connect-x"})...) {
		text := strings.Join(m.Chosen, ",")
		if m.Nothing() {
			text = m.Error() + " " + m.Remedy()
		}
		got[m.Where] = text
	}
	for where, want := range map[string]string{
		"topics[1]": `matches no topic of old did you mean a.orders?`,
		"topics[2]": `matches a.connect-offsets, which is left out: Kafka Connect's own topic`,
		"topics[3]": "a.app.internal",
		"groups[0]": "a.connect-sink",
		"groups[1]": `groups[1] "billing" matches no group of old`,
	} {
		if !strings.Contains(got[where], want) {
			t.Errorf("%s: %q, want %q", where, got[where], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("matches: %v", got)
	}
}

// A pattern that names what a built-in rule leaves out brings it along; one that fits
// it only by the way does not; ledgers and what Kafka keeps for itself never come.
func TestBuiltinsAreOverriddenByName(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		topic, want   bool
	}{
		{"connect-.*", "connect-sink-orders", false, true},
		{"connect-sink-.*", "connect-sink-orders", false, true},
		{"billing|connect-.*", "connect-sink-orders", false, true},
		{"connect-[a-z-]+", "connect-sink-orders", false, true},
		{"console-consumer-.*", "console-consumer-17", false, true},
		{".*", "connect-sink-orders", false, false},
		{".+", "connect-sink-orders", false, false},
		{"c.*", "connect-sink-orders", false, false},
		{"[a-z-]+", "connect-sink-orders", false, false},
		{".*-orders", "connect-sink-orders", false, false},
		{".*|connect-.*", "connect-sink-orders", false, true},
		{"__.*", "__mine", false, false},
		{`replicator\..*`, "replicator.old.new", false, false},
		{".*[-.]internal", "pay-internal", true, true},
		{".*-internal", "pay-internal", true, true},
		{"pay.*", "pay-internal", true, false},
		{`.*\.replica`, "orders.replica", true, true},
		{"connect-(configs|offsets|status)", "connect-offsets", true, true},
		{"connect-.*", "connect-offsets", true, false},
		{"connect-.*", "connect-orders", true, true},
		{".*[-.]internal", "old.checkpoints.internal", true, false},
		{"__.*", "__consumer_offsets", true, false},
		{"__consumer_offsets", "__consumer_offsets", true, false},
		{"__replicator.*", "__replicator.a.b", true, false},
		{"team-ledger", "team-ledger", true, false},
	} {
		p := compile(t, flowOf(func(cfg *Config) {
			cfg.Topics, cfg.Groups = []string{c.pattern}, []string{c.pattern}
			cfg.Flows = []Flow{{From: "new", To: "old", Ledger: "team-ledger"}}
		}))
		_, v := p.Group(c.name)
		if c.topic {
			_, v = p.Topic(c.name)
		}
		if v.Selected != c.want {
			t.Errorf("%q and %s: %+v, want selected: %v", c.pattern, c.name, v, c.want)
		}
	}
	// Beside a pattern for everything, the one that names it counts.
	p := compile(t, flowOf(func(c *Config) { c.Groups = []string{".*", "connect-.*"} }))
	for i := range 100 {
		if _, v := p.Group("connect-sink-" + strings.Repeat("x", i)); !v.Selected {
			t.Fatalf("sink %d: %+v", i, v)
		}
	}
	if _, v := p.Group("console-consumer-1"); v.Selected || !v.Builtin {
		t.Errorf("a group that only .* fits: %+v, want it left out by a built-in rule", v)
	}
}
