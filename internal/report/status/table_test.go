package status

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
)

// Whatever the names and numbers, a line fits, and a number is whole.
func TestTablesFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("team.domain-", 20) + "end"
	big := offsets.Source(9_000_000_000_000)
	end, lag, none, again := offsets.Target(8_000_000_000_000), int64(7_000_000_000_000), 0, int64(1)
	since := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	status := &inspect.FlowStatus{
		Flow: "old->new", Taken: since, Replicas: &none, Behind: 12, Shards: 8, Stopped: 1,
		Partitions: []inspect.PartitionStatus{
			{Topic: long, Partition: 7, TargetTopic: long, Phase: partition.PhaseStopped, Reason: strings.Repeat("because ", 40),
				Remedy: strings.Repeat("do this ", 40), StoppedSince: &since, SourceEnd: big, Progress: &big, Behind: 12,
				TargetEnd: &end, Holes: &inspect.HoleStatus{Count: 1, Offsets: 5, Last: inspect.Range{From: 1, To: 6}},
				Foreign: []inspect.Range{{From: 3, To: 4}}},
			{Topic: "short", TargetTopic: "short", Phase: partition.PhaseNotStarted, SourceOpen: 4},
		},
		Groups: []inspect.GroupStatus{
			{Group: long, Members: 2, Positions: []inspect.PositionStatus{{Topic: long, Partition: 7, Source: big,
				SourceLag: 12, Translation: &end, Rule: "before_first", Target: &end, TargetLag: &lag,
				State: "stopped_before_foreign", Why: strings.Repeat("why ", 60), Foreign: &inspect.Range{From: 3, To: 4},
				WouldReadAgain: 7, WouldSkip: 1}}},
			{Group: "app", Target: "app", Side: groups.OnSource, SourceMembers: 3, ReadAgain: &again},
			{Group: "two", Target: "two", Side: groups.OnBoth, SourceMembers: 1, Members: 1},
			{Group: "there", Target: "there", Side: groups.OnTarget},
			{Group: "somewhere", Target: "somewhere", Side: groups.OnSomeSide},
			{Group: "hidden", Error: "may not be read", Remedy: "grant Describe"},
		},
		Problems: []inspect.ProblemStatus{{Error: "a ledger of another size", Remedy: "set shards"}},
	}
	var out bytes.Buffer
	if err := ShowAll(&out, []*inspect.FlowStatus{status}, &Part{}, true); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		// What has to be told about a name is told with all of it.
		if n := len([]rune(line)); n > terminal.Width && len(strings.Fields(line)) > 1 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	for _, want := range []string{
		fmt.Sprint(big), fmt.Sprint(end), fmt.Sprint(lag), "1 STOPPED, NO REPLICA RUNS", "end/7 ", "2 members on the target",
		"stopped since 2026-01-31T06:00:00Z", "has 1 hole: at most 5 records",
		"records of somebody else on the target at [3,4)",
		"would read at most 7 records again", "may not be read", "remedy: grant Describe", "remedy: set shards",
		"a transaction is open on the source; 4 offsets", "not started",
		"app (shared, on old) 3 members on the source; on new it would read 1 record again", "there (shared, on new)",
		"two (SHARED, WITH MEMBERS ON BOTH SIDES) 1 member on the source; 1 member on the target",
		"somewhere (shared, not known on which side)",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.TrimSpace(want)) {
			t.Errorf("the table does not hold %q:\n%s", want, out.String())
		}
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	var partitions []inspect.PartitionStatus
	for n := range int32(12) {
		p := inspect.PartitionStatus{Topic: "wide", Partition: n, Phase: partition.PhaseStopped, Reason: "too wide"}
		if n == 5 {
			p.Reason = ""
		}
		partitions = append(partitions, p)
	}
	partitions = append(partitions, inspect.PartitionStatus{Topic: "taken", Reason: "too wide"})
	var got []string
	for _, same := range together(partitions) {
		got = append(got, fmt.Sprintf("%s:%d", same[0].Topic, len(same)))
	}
	if want := "[wide:11 taken:1]"; fmt.Sprint(got) != want {
		t.Errorf("together: %v, want %s", got, want)
	}
}
