package replicate

import (
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/pkg/replicate/chunk"
)

// A topic that is refused in all of its partitions has one line in the log, not one for each.
func TestOneLineOfTheLogForATopic(t *testing.T) {
	w := newWorld(t)
	const partitions = 6
	w.topic("orders", partitions)
	w.must("create", workload.Topics(w.ctx, w.sides.Target, partitions, workload.KeepConfigs(), "orders"))
	for n := range int32(partitions) {
		w.plain(w.sides.Source, "orders", n, 3)
		w.plain(w.sides.Target, "orders", n, 1)
	}
	r := w.start(nil)
	for n := range int32(partitions) {
		r.stopped("orders", n, chunk.StopForeign)
	}
	lines := 0
	for _, line := range strings.Split(w.log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d lines tell of it, want 1:\n%s", lines, w.log.String())
	}
}
