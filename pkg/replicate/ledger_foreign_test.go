package replicate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// TestForeignLedgerIsUntouched: a topic of somebody else that has the ledger's name is not
// made a compacted one, which would delete its records.
func TestForeignLedgerIsUntouched(t *testing.T) {
	for _, partition := range []int32{0, 2} {
		t.Run(fmt.Sprint(partition), func(t *testing.T) {
			w := newWorld(t)
			w.topic("orders", 1)
			w.must("create", workload.Topics(w.ctx, w.sides.Target, 4, nil, w.cfg.LedgerTopic()))
			w.plain(w.sides.Target, w.cfg.LedgerTopic(), partition, 5)
			err := w.ends(w.once())
			var strange *ledger.NotLedgerError
			if !errors.As(err, &strange) || !strings.Contains(chunk.Remedy(err), "ledger: NAME") {
				t.Errorf("records in partition %d: the one-off copy ends with %v", partition, err)
			}
			if got := w.settings(w.sides.Target, w.cfg.LedgerTopic())["cleanup.policy"]; got != "delete" {
				t.Errorf("records in partition %d: the topic's cleanup policy is %s", partition, got)
			}
		})
	}
}
