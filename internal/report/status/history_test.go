package status

import (
	"testing"

	"replicator/pkg/operate/inspect"
)

// What is said of past cuts names the side that lost records, and both where both did.
func TestWhichSideLostRecords(t *testing.T) {
	for want, c := range map[string]inspect.CutStatus{
		"the source lost up to 40 records after they were copied (1 cut, the last at [60,100)); they are on the target " +
			"alone": {
			Count: 1, Offsets: 40, Side: "source", OnTarget: true, At: 60, Copied: 100},
		"the target lost up to 40 records after they were copied (1 cut, the last at [60,100))": {
			Count: 1, Offsets: 40, Side: "target", OnTarget: true, At: 60, Copied: 100},
		"source and target together lost up to 40 records after they were copied (2 cuts, the last of the target at " +
			"[120,120))": {
			Count: 2, Offsets: 40, Side: "target", BothSides: true, OnTarget: true, At: 120, Copied: 120},
	} {
		if got := lostBy(&c); got != want {
			t.Errorf("said of %+v:\n%s\nwant:\n%s", c, got, want)
		}
	}
}
