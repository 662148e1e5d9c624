package replicate_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/replicate/settings"
)

// A log that grows between two questions about it is not taken for one that was cut.
func TestGrowingLogIsNoCutAtStartLatest(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Start = settings.Latest
	w.Topic("orders", 4)
	w.Plain(w.Sides.Source, "orders", 0, 3)
	var grow sync.Mutex
	w.Source.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.Source.KeepControl()
		asked := request.(*kmsg.ListOffsetsRequest)
		if asked.IsolationLevel == 1 && asked.Topics[0].Partitions[0].Timestamp == -1 { // where a partition starts
			w.Source.SleepControl(func() {
				grow.Lock()
				defer grow.Unlock()
				w.Plain(w.Sides.Source, "orders", 0, 2)
			})
		}
		return nil, nil, false
	})
	r := w.Start(nil)
	for n := range int32(4) {
		r.Copies("orders", n)
	}
	if said := w.Log.String(); strings.Contains(said, "partition stopped") {
		t.Error("a partition was stopped on the way")
	}
}
