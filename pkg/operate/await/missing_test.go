package await

import (
	"strings"
	"testing"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/partition"
)

// What is missing of a copy is told, and whether waiting brings it about.
func TestWhatIsMissingOfACopy(t *testing.T) {
	none := 0
	copying := inspect.PartitionStatus{Topic: "orders", Phase: partition.PhaseCopying}
	stopped := inspect.PartitionStatus{Topic: "orders", Partition: 1, Phase: partition.PhaseStopped, Reason: "too wide"}
	lasting := stopped
	lasting.Lasting, lasting.Partition = true, 2
	open := copying
	open.SourceOpen = 4
	behind := func(n int64, p ...inspect.PartitionStatus) *inspect.FlowStatus {
		return &inspect.FlowStatus{Behind: n, Partitions: p}
	}
	idle := behind(3, copying)
	idle.Replicas = &none
	astray := behind(0, copying)
	astray.Groups = []inspect.GroupStatus{{Group: "billing",
		Positions: []inspect.PositionStatus{{Topic: "orders", State: "pending", Why: "not copied yet"}}}}
	every := func(string) bool { return true }
	for _, c := range []struct {
		why    string
		waiter Waiter
		status *inspect.FlowStatus
		says   string // "": nothing is missing
		never  bool
	}{
		{"near enough", Waiter{Lag: 3}, behind(3, copying), "", false},
		{"too far", Waiter{Lag: 2}, behind(3, copying), "lag 3", false},
		{"nobody copies", Waiter{}, idle, "no replica runs the flow", false},
		{"stopped for now", Waiter{}, behind(0, stopped), "orders/1: stopped: too wide; it is tried again", false},
		{"stopped for good, behind one that is not", Waiter{}, behind(0, stopped, lasting), "orders/2: stopped: too wide",
			true},
		{"open transaction", Waiter{}, behind(0, open), "orders/0 has an open transaction: 4 offsets", false},
		{"lag is not asked for", Waiter{Lag: -1, Groups: every}, behind(3, copying), "", false},
		{"a group is astray", Waiter{Lag: -1, Groups: every}, astray, "group billing in orders/0: not copied yet", false},
	} {
		found := c.waiter.copied(c.status)
		if c.says == "" && found.missing != "" || !strings.Contains(found.missing, c.says) || found.never != c.never {
			t.Errorf("%s: %q, never %t; want %q, never %t", c.why, found.missing, found.never, c.says, c.never)
		}
	}
}
