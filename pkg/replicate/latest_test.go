package replicate

import (
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A log that grows between two questions about it is not taken for one that was cut.
func TestLatestWhileRecordsArrive(t *testing.T) {
	w := newWorld(t)
	w.cfg.Start = Latest
	w.topic("orders", 4)
	w.plain(w.sides.Source, "orders", 0, 3)
	var grow sync.Mutex
	w.source.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.source.KeepControl()
		asked := request.(*kmsg.ListOffsetsRequest)
		if asked.IsolationLevel == 1 && asked.Topics[0].Partitions[0].Timestamp == -1 { // where a partition starts
			w.source.SleepControl(func() {
				grow.Lock()
				defer grow.Unlock()
				w.plain(w.sides.Source, "orders", 0, 2)
			})
		}
		return nil, nil, false
	})
	r := w.start(nil)
	for n := range int32(4) {
		r.copies("orders", n)
	}
	if said := w.log.String(); strings.Contains(said, "partition stopped") {
		t.Error("a partition was stopped on the way")
	}
}
