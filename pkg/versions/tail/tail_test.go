package tail

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
)

// Committed records come once, and the reader ends past aborted ones and markers.
func TestFetch(t *testing.T) {
	cluster := kafkatest.Start(t, kfake.SeedTopics(1, "orders"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		cluster.Transaction(end, &kgo.Record{Topic: "orders", Value: fmt.Append(nil, i)})
	}
	client := cluster.Client()
	r := New(client, "orders", 0)
	var got string
	at := int64(0)
	for stable := int64(1); at < stable; {
		answer, err := r.Fetch(ctx, at, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range answer.Records {
			got += string(record.Value)
		}
		at, stable = answer.Next, answer.Stable
	}
	if got != "02" || at != 8 {
		t.Errorf("read %q up to %d, want 02 up to 8: four records and their markers", got, at)
	}
	if _, err := r.Fetch(ctx, 99, 0); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := New(client, "nothing", 0).Fetch(ctx, 0, 0); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a topic that is not there: %v", err)
	}
}
