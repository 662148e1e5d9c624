package preflight

import (
	"strings"
	"testing"

	"replicator/pkg/replicate/survey"
)

// What an entry is called on the target, and whether it concerns the flow.
func TestACLsAreNamedAsOnTheTarget(t *testing.T) {
	t.Parallel()
	// Topics of the source begin with "s." and are called "t.old." there; what is called private stays.
	policy := func(name string) (string, bool) {
		logical, ours := strings.CutPrefix(name, "s.")
		if !ours {
			return "", false
		}
		return "t.old." + logical, !strings.HasPrefix(logical, "private")
	}
	same := func(name string) (string, bool) { return name, true }
	for _, c := range []struct {
		name     string
		prefixed bool
		prefix   string
		policy   func(string) (string, bool)
		want     string // with ... behind a prefix; "" for nothing to do with the flow
	}{
		{"s.orders", false, "s.", policy, "t.old.orders"},
		{"s.private", false, "s.", policy, ""},
		{"other", false, "s.", policy, ""},
		{"s.ord", true, "s.", policy, "t.old.ord..."},
		{"s.x", true, "s.", policy, ""},
		{"s", true, "s.", policy, "t.old...."},
		{"*", false, "s.", policy, "t.old...."},
		{"orders", false, "", same, "orders"},
		{"s.", true, "", same, "s...."},
		{"*", false, "", same, "*"},
	} {
		got, concerned := named(survey.ACL{Name: c.name, Prefixed: c.prefixed}, c.prefix, c.policy,
			[]string{"s.orders", "s.private"})
		name := got.Name
		if got.Prefixed {
			name += "..."
		}
		if !concerned {
			name = ""
		}
		if name != c.want {
			t.Errorf("%q, prefixed %v: %q, want %q", c.name, c.prefixed, name, c.want)
		}
	}
}
