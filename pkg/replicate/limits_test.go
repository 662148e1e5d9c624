package replicate_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/pkg/replicate/settings"
)

// TestLimits: a backlog is copied no faster than the bound allows, and all of it.
func TestLimits(t *testing.T) { flowtest.OnLanes(t, testLimits) }

func testLimits(t *testing.T, w *flowtest.World) {
	const rate, records, size = 1_000_000, 2400, 1000
	w.Cfg.Limits = settings.Limits{BytesPerSecond: rate, TimeZone: settings.DefaultTimeZone}
	w.Topic("orders", 1)
	random := rand.NewChaCha8([32]byte{})
	backlog := make([]*kgo.Record, records)
	for i := range backlog {
		value := make([]byte, size)
		_, _ = random.Read(value) // which nothing compresses
		backlog[i] = &kgo.Record{Value: value}
	}
	w.Must("write", workload.Produce(w.Ctx, w.Sides.Source, "orders", backlog...))
	begun := time.Now()
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	// The last transaction is not waited for, nor is a call of the reader, which is 1 MiB in the record lane.
	const least = time.Second * (records*size - 1<<20 - 64<<10) / rate
	if took := time.Since(begun); took < least {
		t.Errorf("%d bytes were copied in %s, with a bound of %d a second", records*size, took, rate)
	}
	if got := r.Scrape("replicator_throttled_seconds_total")[""]; got <= 0 {
		t.Errorf("it has waited for %v s", got)
	}
	if got := r.Scrape("replicator_limit_bytes_per_second")[""]; got != rate {
		t.Errorf("the bound is %v", got)
	}
	r.Stop()
}
