package settings

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"replicator/pkg/policy"
)

func flowOf(change func(*Config)) Config {
	c := DefaultConfig()
	c.From, c.To = "old", "new"
	if change != nil {
		change(&c)
	}
	return c
}

func TestConfigNames(t *testing.T) {
	c := flowOf(nil)
	got := []string{c.Name(), c.LedgerTopic(), c.GroupID(), c.TransactionalID(3)}
	want := []string{"old->new", "__replicator.old.new", "replicator.old.new", "replicator.old.new.3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Ledger = "acme.ledger"
	if got := c.LedgerTopic(); got != "acme.ledger" {
		t.Errorf("ledger topic: got %q, want acme.ledger", got)
	}
	c.TargetPrefix, c.SourcePrefix = "p2.", "p1."
	got = []string{c.Name(), c.LedgerTopic(), c.GroupID(), c.TransactionalID(3)}
	want = []string{"old->new", "p2.acme.ledger", "p2.replicator.old.new", "p2.replicator.old.new.3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("with a prefix: got %q, want %q", got, want)
	}
	c.Flows = []policy.Flow{c.Flow, {From: "new", To: "old", SourcePrefix: "p2.", TargetPrefix: "p1."}}
	if got, want := c.OppositeLedger(), "p1.__replicator.new.old"; got != want {
		t.Errorf("the opposite ledger: got %q, want %q", got, want)
	}
}

func TestConfigValidate(t *testing.T) {
	for why, c := range map[string]struct {
		change func(*Config)
		want   string // "" for none, else the beginning of the only problem
	}{
		"defaults":         {nil, ""},
		"a time":           {func(c *Config) { c.Start = "2026-01-31T06:00:00+01:00" }, ""},
		"latest":           {func(c *Config) { c.Start = Latest }, ""},
		"limits":           {func(c *Config) { c.Shards, c.CommitInterval = 256, 30*time.Second }, ""},
		"no groups":        {func(c *Config) { c.Groups = nil }, ""},
		"before 1970":      {func(c *Config) { c.Start = "1969-12-31T23:59:59Z" }, "start: 1969"},
		"a day":            {func(c *Config) { c.Start = "2026-01-31" }, `start: "2026-01-31" is unknown`},
		"no start":         {func(c *Config) { c.Start = "" }, `start: "" is unknown`},
		"delivery":         {func(c *Config) { c.Delivery = "" }, "delivery: "},
		"no shards":        {func(c *Config) { c.Shards = 0 }, "shards: 0 is out of range"},
		"many shards":      {func(c *Config) { c.Shards = 257 }, "shards: 257"},
		"factor":           {func(c *Config) { c.ReplicationFactor = 32768 }, "replication_factor: 32768"},
		"slow commits":     {func(c *Config) { c.CommitInterval = time.Minute }, "commit_interval: 1m0s is out of range"},
		"hasty groups":     {func(c *Config) { c.GroupSyncInterval = time.Millisecond }, "group_sync_interval: 1ms"},
		"hasty refresh":    {func(c *Config) { c.RefreshInterval = 0 }, "refresh_interval: 0s"},
		"config pattern":   {func(c *Config) { c.ExcludeConfigs = []string{"a", "("} }, "exclude_configs[1]: "},
		"topic pattern":    {func(c *Config) { c.Topics = []string{"("} }, "topics[0]: "},
		"onto itself":      {func(c *Config) { c.To, c.Naming = "old", policy.Prefix }, "to: "},
		"long names":       {func(c *Config) { c.From = strings.Repeat("o", 240) }, "ledger: it would be called"},
		"long, but named":  {func(c *Config) { c.From, c.Ledger = strings.Repeat("o", 240), "short" }, ""},
		"an illegal topic": {func(c *Config) { c.Ledger = "a/b" }, `ledger: "a/b"`},
	} {
		config := flowOf(c.change)
		var got []string
		config.Validate(func(path, format string, args ...any) { got = append(got, path+": "+fmt.Sprintf(format, args...)) })
		if c.want == "" && got == nil || c.want != "" && len(got) == 1 && strings.HasPrefix(got[0], c.want) {
			continue
		}
		t.Errorf("%s: %+v has problems %q, want %q", why, config, got, c.want)
	}
}

// A flow without names must not hide, or shift, what stands between the others.
func TestValidateTogether(t *testing.T) {
	flows := []Config{
		flowOf(func(c *Config) { c.From = "" }),
		flowOf(nil),
		flowOf(func(c *Config) { c.From, c.To = "new", "old" }),
	}
	var got []string
	Validate(flows, func(i int, path, format string, args ...any) { got = append(got, fmt.Sprintf("%d %s", i, path)) })
	if want := []string{"0 from", "2 sync_topic_configs"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got problems at %q, want %q", got, want)
	}
}

func TestConfigsThatStayTheTargets(t *testing.T) {
	for key, want := range map[string]bool{
		"min.insync.replicas": true, "message.timestamp.type": true, "retention.ms": false, "minXinsync.replicas": false,
	} {
		got := slices.ContainsFunc(DefaultConfig().ExcludeConfigs, func(pattern string) bool {
			return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(key)
		})
		if got != want {
			t.Errorf("%q: got %t, want %t", key, got, want)
		}
	}
}
