package replicate_test

import (
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate/chunk"
)

// A topic that is refused in all of its partitions has one line in the log, not one for each.
func TestOneLineOfTheLogForATopic(t *testing.T) {
	w := flowtest.New(t)
	const partitions = 6
	w.Topic("orders", partitions)
	w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, partitions, workload.KeepConfigs(), "orders"))
	for n := range int32(partitions) {
		w.Plain(w.Sides.Source, "orders", n, 3)
		w.Plain(w.Sides.Target, "orders", n, 1)
	}
	r := w.Start(nil)
	for n := range int32(partitions) {
		r.Stopped("orders", n, chunk.StopForeign)
	}
	lines := 0
	for _, line := range strings.Split(w.Log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines tell of it, want 1:\n%s", lines, w.Log.String())
	}
}
