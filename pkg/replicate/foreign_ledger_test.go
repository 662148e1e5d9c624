package replicate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// TestForeignLedgerIsUntouched: a topic of somebody else that has the ledger's name is not
// made a compacted one, which would delete its records.
func TestForeignLedgerIsUntouched(t *testing.T) {
	for _, partition := range []int32{0, 2} {
		t.Run(fmt.Sprint(partition), func(t *testing.T) {
			w := flowtest.New(t)
			w.Topic("orders", 1)
			w.Must("create", workload.Topics(w.Ctx, w.Sides.Target, 4, nil, w.Cfg.LedgerTopic()))
			w.Plain(w.Sides.Target, w.Cfg.LedgerTopic(), partition, 5)
			err := w.Ends(w.Once())
			var strange *ledger.NotLedgerError
			if !errors.As(err, &strange) || !strings.Contains(chunk.Remedy(err), "ledger: NAME") {
				t.Errorf("records in partition %d: the one-off copy ends with %v", partition, err)
			}
			if got := w.Settings(w.Sides.Target, w.Cfg.LedgerTopic())["cleanup.policy"]; got != "delete" {
				t.Errorf("records in partition %d: the topic's cleanup policy is %s", partition, got)
			}
		})
	}
}
