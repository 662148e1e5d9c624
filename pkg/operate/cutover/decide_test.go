package cutover

import (
	"testing"

	"replicator/pkg/replicate/handover"
)

// What a cutover does after another one, in each combination of what has happened since.
func TestWhatTheNextCutoverDoes(t *testing.T) {
	g := []string{"billing"}
	for _, row := range []struct {
		why   string
		state string
		since Since
		want  Verdict
	}{
		{"there was none", "", Since{}, First},
		{"it was taken back by a rollback, whatever came since", handover.RolledBack, Since{Written: 9, Behind: 9,
			Used: 9}, First},
		{"it was taken back by hand", handover.Undone, Since{Rest: g, Written: 9}, First},
		{"it was killed", handover.Begun, Since{Written: 9, Behind: 9}, GoOn},
		{"the same again", handover.Done, Since{}, Nothing},
		{"the same again, and applications are at work", handover.Done, Since{Moved: g, Used: 9}, Nothing},
		{"records have come, and nobody made use of the target", handover.Done, Since{Written: 240, Behind: 240}, Anew},
		{"they were copied meanwhile", handover.Done, Since{Written: 240}, Anew},
		{"records were given up, and not copied", handover.Done, Since{Behind: 5}, Anew},
		{"the next groups", handover.Done, Since{Rest: g}, Stage},
		{"the next groups, while producers stay on the source", handover.Done, Since{Rest: g, Moved: g, Written: 9,
			Behind: 2}, Stage},
		{"the next groups, while the producers have moved", handover.Done, Since{Rest: g, Moved: g, Used: 9}, Stage},
		{"the same groups, while producers stay on the source", handover.Done, Since{Moved: g, Written: 9}, Nothing},
		{"the same groups, and nothing copies", handover.Done, Since{Moved: g, Written: 9, Behind: 9}, Refused},
		{"both sides are written to", handover.Done, Since{Used: 9, Written: 1}, Refused},
		{"both sides are written to, and groups are left", handover.Done, Since{Rest: g, Used: 9, Behind: 1}, Refused},
		{"a group is at work on both sides", handover.Done, Since{Both: g, Moved: g}, Refused},
	} {
		if got := verdictOn((handover.Record{State: row.state}), row.since); got != row.want {
			t.Errorf("%s: %+v is %q, want %q", row.why, row.since, got, row.want)
		}
	}
}
