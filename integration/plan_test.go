package integration

import (
	"strings"
	"testing"
)

// A plan names who is still at work: a live producer and a live group.
func TestPlanOfLiveApplications(t *testing.T) {
	source, target := shared(t)
	a := newApps(t, source, target)
	out, code := a.site.command("plan")
	if code != 0 {
		t.Errorf("plan exits with %d", code)
	}
	for _, want := range []string{a.topic, a.group, "producer", "member"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not tell of %q", want)
		}
	}
	t.Log(out)
	a.finish()
	a.count(0)
}
