package inspect_test

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
)

// A transaction is said to be open where the stable offset is behind an end that was asked
// for before it: records that come in between two questions open none.
func TestOpenTransactionIsNoArrival(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	var mu sync.Mutex
	var asked []int8
	w.Source.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		request := r.(*kmsg.ListOffsetsRequest)
		for _, topic := range request.Topics {
			for _, p := range topic.Partitions {
				if topic.Topic == "orders" && p.Timestamp == -1 {
					mu.Lock()
					asked = append(asked, request.IsolationLevel)
					mu.Unlock()
				}
			}
		}
		return nil, nil, false
	})
	look, err := snapshot.Open(w.Ctx, w.Clusters(), w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	status, err := inspect.Status(w.Ctx, look)
	w.Must("status", err)
	mu.Lock()
	defer mu.Unlock()
	if n := len(asked); n < 2 || asked[n-1] != 1 || asked[n-2] != 0 {
		t.Errorf("ends were asked for with isolation %v, want the high watermark before the stable offset", asked)
	}
	if status.Partitions[0].SourceOpen != 0 {
		t.Errorf("status says that %d offsets wait for a transaction", status.Partitions[0].SourceOpen)
	}
}
