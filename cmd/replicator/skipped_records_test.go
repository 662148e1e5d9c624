package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A group that stands before the first record copied, or in a hole, is told what it will not read on the target, and is
// not called right; that is no error.
func TestSkippedRecordsAreReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "start: latest")
	w.source.Topic("orders", 1)
	w.source.Fill("orders", 0, 10)
	w.must("run", "--until-caught-up")
	w.source.Fill("orders", 0, 5)
	w.source.Commit("billing", "orders", 0, 4)
	w.source.Commit("audit", "orders", 0, 12)
	w.must("run", "--until-caught-up")
	squeezed := func(args ...string) string { return strings.Join(strings.Fields(w.must(args...)), " ") }
	older := "up to 6 records are older than where the flow began (start: latest): it will not read them on the target"
	says(t, "status", squeezed("status", "--all"), "before_first 0 6 skips records "+older,
		"orders/0 12 3 2 in_run 2 4 right")
	says(t, "status of what is not right", squeezed("status", "--behind"), older)
	says(t, "verify", squeezed("verify"), "skips group billing in orders/0: "+older, "1 of 2 positions stand right",
		"verdict equal")
	says(t, "offsets", squeezed("offsets", "--topic", "orders", "--partition", "0", "--at", "4"), older)
	says(t, "offsets as JSON", squeezed("offsets", "--topic", "orders", "--partition", "0", "--at", "4", "--json"),
		`"skips": { "records": 6, "why": "`+older)
	w.must("wait", "--lag", "0", "--groups", "billing", "--timeout", "5s")

	w.source.Fill("orders", 0, 25)
	var below kadm.Offsets
	below.AddOffset("orders", 0, 30, -1)
	if _, err := w.source.Admin().DeleteRecords(t.Context(), below); err != nil {
		t.Fatal(err)
	}
	w.source.Commit("billing", "orders", 0, 22)
	w.must("run", "--until-caught-up")
	lost := "up to 8 records were deleted on the source before they were copied: it will not read them on the target"
	says(t, "status after a hole", squeezed("status", "--all"), "skips records "+lost)
	says(t, "offsets in a hole", squeezed("offsets", "--topic", "orders", "--partition", "0", "--at", "22"), lost)
	if got := w.run("verify"); !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), lost) {
		t.Errorf("verify after a hole: %s", got.stdout)
	}
}
