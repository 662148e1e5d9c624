package replicate_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/groups"
)

// The examples of docs/FORMATS.md are what is written; those of the ledger are held
// against it in pkg/replicate/ledger.
func TestFormatsPage(t *testing.T) {
	doc, err := os.ReadFile("../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	mark := groups.Mark{Flow: "old->new", Source: 42, Target: 57}.Format()
	runs := offsets.EncodeRuns([]offsets.Run{{Source: 0, Target: 100, Count: 5}, {Source: 7, Target: 107, Count: 2}})
	stretches := offsets.EncodeStretches([]offsets.Stretch{{From: 10, To: 13}, {From: 200, To: 201}})
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for what, want := range map[string]string{
		"mark": mark, "runs": hex.EncodeToString(runs), "stretches": hex.EncodeToString(stretches),
	} {
		if !strings.Contains(squeeze(string(doc)), squeeze(want)) {
			t.Errorf("docs/FORMATS.md does not have the example of the %s: %s", what, want)
		}
	}
}
