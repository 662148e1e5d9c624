package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// flowOf is a valid flow old->new to be changed by a test.
func flowOf(change func(*Config)) Config {
	c := DefaultConfig()
	c.From, c.To = "old", "new"
	if change != nil {
		change(&c)
	}
	return c
}

func compile(t *testing.T, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTopicSelection(t *testing.T) {
	p := compile(t, flowOf(func(c *Config) {
		c.Topics = []string{`orders\..*`, "users|carts", "kept.replica", `kept\.internal`, "connect-offsets", "__mine"}
		c.ExcludeTopics = []string{`.*-tmp`, "orders.secret"}
	}))
	for name, want := range map[string]string{
		"orders.eu":             `+chosen by topics "orders\\..*"`,
		"users":                 `+chosen by topics "users|carts"`,
		"carts":                 `+chosen by topics "users|carts"`,
		"my-users":              "no pattern in topics matches",
		"users2":                "no pattern in topics matches",
		"orders.eu-tmp":         `excluded by exclude_topics ".*-tmp"`,
		"orders.secret":         `excluded by exclude_topics "orders.secret"`,
		"orders.internal":       "internal topic (name ends with .internal",
		"orders.replica":        "list it in topics by its whole name",
		"kept.replica":          "+chosen",
		"kept.internal":         "+chosen",
		"connect-offsets":       "+chosen",
		"connect-configs":       "Kafka Connect's own topic",
		"__mine":                "internal topic (name begins with __), never copied",
		"__consumer_offsets":    "never copied",
		"__replicator.old.new":  "a ledger of replicator",
		"__replicator.anything": "a ledger of replicator",
		"":                      "no name",
	} {
		target, v := p.Topic(name)
		selected := strings.HasPrefix(want, "+")
		if v.Selected != selected || v.Blocked || !strings.Contains(v.Why, strings.TrimPrefix(want, "+")) || target != name {
			t.Errorf("Topic(%q) = %q %+v, want %q", name, target, v, want)
		}
	}
}

func TestBuiltinTopics(t *testing.T) {
	p := compile(t, flowOf(nil))
	for _, name := range []string{
		"__transaction_state", "connect-configs", "connect-offsets", "connect-status",
		"mm2-offset-syncs.new.internal", "mm2-configs.old.internal", "mm2-status.old.internal", "mm2-offsets.old.internal",
		"mm2-offset-syncs_new_internal", "old.checkpoints.internal", "old_checkpoints_internal", "app-store-internal",
		"orders.replica",
	} {
		if _, v := p.Topic(name); v.Selected {
			t.Errorf("Topic(%q) is selected: %s", name, v.Why)
		}
	}
	for _, name := range []string{
		"orders", "_schemas", "heartbeats", "old.heartbeats", "internal", "internal.orders", "connect-status-page",
		"replica", "mm2", "my__topic", "app-repartition", "replicator",
	} {
		if _, v := p.Topic(name); !v.Selected {
			t.Errorf("Topic(%q) is left out: %s", name, v.Why)
		}
	}
}

func TestGroups(t *testing.T) {
	p := compile(t, flowOf(func(c *Config) {
		c.Groups = []string{".*", "connect-kept"}
		c.ExcludeGroups = []string{"test-.*"}
	}))
	for name, want := range map[string]string{
		"billing":                "+chosen by groups",
		"connect":                "+chosen by groups",
		"connect-kept":           "+chosen by groups",
		"connect-sink":           "Kafka Connect group; to copy it all the same, list it in groups",
		"console-consumer-12345": "console consumer",
		"test-billing":           `excluded by exclude_groups "test-.*"`,
		"__internal":             "never copied",
		"replicator.old.new":     "replicator's own ownership group",
		"":                       "no name",
	} {
		target, v := p.Group(name)
		if target != name || v.Selected != strings.HasPrefix(want, "+") ||
			!strings.Contains(v.Why, strings.TrimPrefix(want, "+")) {
			t.Errorf("Group(%q) = %+v, want %q", name, v, want)
		}
	}
	none := compile(t, flowOf(func(c *Config) { c.Groups = nil }))
	if _, v := none.Group("billing"); v.Selected {
		t.Errorf("without patterns, group billing is selected: %s", v.Why)
	}
}

func TestPrefixNaming(t *testing.T) {
	p := compile(t, flowOf(func(c *Config) { c.Naming, c.Separator = Prefix, "-" }))
	if target, v := p.Topic("orders"); target != "old-orders" || !v.Selected {
		t.Errorf("orders is called %q, %+v", target, v)
	}
	for target, want := range map[string]string{"old-orders": "orders", "old-old-x": "old-x", "old-": "", "orders": ""} {
		if got, ok := p.SourceTopic(target); got != want || ok != (want != "") {
			t.Errorf("SourceTopic(%q) = %q %v, want %q", target, got, ok, want)
		}
	}
	long := strings.Repeat("x", 249-len("old-"))
	if _, v := p.Topic(long); !v.Selected {
		t.Errorf("a name that just fits is left out: %s", v.Why)
	}
	if _, v := p.Topic(long + "x"); v.Selected || !v.Blocked || !strings.Contains(v.Why, "250 characters") {
		t.Errorf("a name that is too long: %+v, want it blocked", v)
	}
}

func TestLedgersAreNeverCopied(t *testing.T) {
	p := compile(t, flowOf(func(c *Config) {
		c.Ledger = "team-ledger"
		c.Flows = []Flow{c.Flow, {From: "new", To: "old", Naming: Prefix, Separator: ".", Ledger: "team-ledger-back"}}
	}))
	if _, v := p.Topic("team-ledger-back"); v.Selected || v.Blocked || !strings.Contains(v.Why, "ledger") {
		t.Errorf("the opposite flow's ledger: %+v, want it left out", v)
	}
	if _, v := p.Topic("team-ledger"); v.Selected || !v.Blocked || !strings.Contains(v.Why, "ledger") {
		t.Errorf("a topic that would land in our ledger: %+v, want it blocked", v)
	}
	if _, v := p.Topic("team-ledgers"); !v.Selected {
		t.Errorf("a topic with a similar name is left out: %s", v.Why)
	}
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	c := Config{
		Flow:   Flow{From: "", To: "n w", Naming: "suffix", Ledger: strings.Repeat("l", 250)},
		Topics: nil, ExcludeTopics: []string{"ok", "orders-("}, Groups: []string{"a)(b", "(?!x)"},
		ExcludeGroups: []string{""},
	}
	_, err := New(c)
	var bad *Error
	if !errors.As(err, &bad) || bad.Remedy() == "" {
		t.Fatalf("New = %v, want an *Error", err)
	}
	want := []string{
		`from: "" is not a cluster name`,
		`to: "n w" is not a cluster name`,
		`topics: is empty`,
		`exclude_topics[1]: "orders-(" is not a pattern: error parsing regexp: missing closing )`,
		`groups[0]: "a)(b" is not a pattern`,
		`groups[1]: "(?!x)" is not a pattern`,
		`exclude_groups[0]: "" matches no name`,
		`naming: "suffix" is unknown; use identity or prefix`,
		`ledger: "lll`,
	}
	if len(bad.Problems) != len(want) {
		t.Errorf("%d problems, want %d: %s", len(bad.Problems), len(want), strings.Join(bad.Problems, "\n"))
	}
	for _, w := range want {
		if !slices.ContainsFunc(bad.Problems, func(p string) bool { return strings.HasPrefix(p, w) }) {
			t.Errorf("no problem %q in:\n%s", w, strings.Join(bad.Problems, "\n"))
		}
	}
	for _, separator := range []string{"", "/", " "} {
		if _, err := New(flowOf(func(c *Config) { c.Naming, c.Separator = Prefix, separator })); err == nil ||
			!strings.Contains(err.Error(), "separator") {
			t.Errorf("separator %q with prefix naming: %v", separator, err)
		}
	}
	if _, err := New(flowOf(nil)); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestSameCluster(t *testing.T) {
	for _, c := range []struct {
		naming   Naming
		from, to string // the clusters' ids
		p1, p2   string // the prefixes
		ledger   string
		refused  bool
		why      string
	}{
		{Identity, "a", "a", "", "", "", true, "every topic onto itself"},
		{Identity, "a", "b", "", "", "", false, "two clusters"},
		{Identity, "", "", "", "", "", false, "a cluster that tells no id"},
		{Identity, "a", "b", "p1.", "p1.", "", false, "two clusters, one prefix"},
		{Identity, "a", "a", "p1.", "p2.", "", false, "p1.orders becomes p2.orders"},
		{Identity, "a", "a", "p1.", "p1.", "", true, "one prefix: every topic onto itself"},
		{Identity, "a", "a", "", "p2.", "", true, "p2.orders is read as well and becomes p2.p2.orders"},
		{Identity, "a", "a", "p1.", "", "", true, "p1.p1.orders becomes p1.orders, which is read"},
		{Identity, "a", "a", "p", "p2.", "", true, "p2.orders is one of p: it becomes p2.2.orders"},
		{Identity, "a", "a", "p2.x", "p2.", "", true, "p2.xx1 becomes p2.x1, which is read"},
		{Prefix, "a", "a", "", "", "", true, "old.orders is read as well and becomes old.old.orders"},
		{Prefix, "a", "a", "p1.", "p1.", "", true, "p1.old.orders is read as well"},
		{Prefix, "a", "a", "p1.", "p2.", "", false, "p1.orders becomes p2.old.orders"},
		{Prefix, "a", "a", "p1.", "", "", false, "p1.orders becomes old.orders"},
		{Prefix, "a", "a", "p1.", "", "p1.ledger", true, "the ledger is read"},
		{Prefix, "a", "a", "old.x.", "", "", true, "old.x.x.orders becomes old.x.orders, which is read"},
	} {
		f := Flow{From: "old", To: "new", SourcePrefix: c.p1, TargetPrefix: c.p2, Naming: c.naming,
			Separator: DefaultSeparator, Ledger: c.ledger}
		err := SameCluster(f, c.from, c.to)
		var same *SameClusterError
		if got := errors.As(err, &same); got != c.refused || got && !strings.Contains(same.Remedy(), "prefix") {
			t.Errorf("%s: SameCluster(%+v, %q, %q) = %v, want refused: %v", c.why, f, c.from, c.to, err, c.refused)
		}
	}
}

// FuzzNaming: the name on the target leads back to the topic, whatever it is.
func FuzzNaming(f *testing.F) {
	for _, name := range []string{"orders", "old.orders", "new.orders", "old.", ".", "__x", "old.new.old.orders"} {
		for _, separator := range []string{".", "-", "__"} {
			f.Add(name, "old", "new", separator)
		}
	}
	f.Fuzz(func(t *testing.T, name, from, to, separator string) {
		for _, naming := range []Naming{Identity, Prefix} {
			p, err := New(Config{Topics: []string{".*"},
				Flow: Flow{From: from, To: to, Naming: naming, Separator: separator}})
			if err != nil || name == "" {
				continue
			}
			target, v := p.Topic(name)
			at := fmt.Sprintf("%s from %q to %q separator %q: topic %q, on the target %q",
				naming, from, to, separator, name, target)
			if back, ok := p.SourceTopic(target); !ok || back != name {
				t.Fatalf("%s: leads back to %q %v", at, back, ok)
			}
			if v.Why == "" || v.Selected && (v.Blocked || len(target) > maxTopicName || strings.HasPrefix(name, "__")) {
				t.Fatalf("%s: verdict %+v", at, v)
			}
			if naming == Prefix && strings.HasPrefix(name, to+separator) && name != to+separator && v.Selected {
				t.Fatalf("%s: came from the target and is selected", at)
			}
		}
	})
}
