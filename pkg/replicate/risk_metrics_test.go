package replicate_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
	"replicator/pkg/replicate"
)

// What would be lost with the source shows: what an open transaction holds back, and how long the source is silent.
func TestWhatIsAtRiskShows(t *testing.T) {
	w := flowtest.New(t)
	w.Topic("orders", 1)
	w.Topic("quiet", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	w.Plain(w.Sides.Source, "quiet", 0, 10)
	r := w.Start(nil)
	of := func(name, topic string) float64 {
		value, known := r.Scrape("replicator_" + name)[topic]
		if !known {
			return -1
		}
		return value
	}
	names := []string{"rpo_seconds", "at_risk_records", "at_risk_bytes", "open_transaction_partitions",
		"open_transaction_seconds"}
	nothing := func(topic string) bool {
		for _, name := range names {
			if of(name, topic) != 0 {
				return false
			}
		}
		return of("source_seen_age_seconds", topic) < replicate.StaleAfter.Seconds()
	}
	w.Await("nothing is at risk", func() bool { return nothing("orders") && nothing("quiet") })
	open := w.Source.Writer(kgo.TransactionalID("app"))
	w.Must("begin", open.BeginTransaction())
	for range 5 {
		w.Must("write", open.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("open")}).FirstErr())
	}
	w.Await("the transaction holds back records", func() bool {
		return of("at_risk_records", "orders") == 5 && of("at_risk_bytes", "orders") > 5 && of("rpo_seconds", "orders") > 1 &&
			of("open_transaction_partitions", "orders") == 1 && of("open_transaction_seconds", "orders") > 1
	})
	w.Must("commit", open.EndTransaction(w.Ctx, kgo.TryCommit))
	w.Await("nothing is at risk any more", func() bool { return nothing("orders") && nothing("quiet") })
	w.Source.Close()
	w.Await("what the source may hold by now is at risk", func() bool {
		return of("rpo_seconds", "quiet") > replicate.StaleAfter.Seconds() &&
			of("source_seen_age_seconds", "quiet") > replicate.StaleAfter.Seconds() && of("at_risk_records", "quiet") == 0
	})
}
