//go:build integration

package ledger

import (
	"context"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
	"replicator/pkg/replicate/kafka"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestClaimsOutliveAFreeze: a cluster that did not answer for a while is asked again.
func TestClaimsOutliveAFreeze(t *testing.T) {
	c := cluster.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(failureLasts)
	defer tick.Stop()
	for _, topic := range []string{"nothing", "ledger"} {
		if topic == "ledger" {
			if err := workload.Topics(ctx, c.Bootstrap(), 8, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		claims, err := OpenClaims(kafka.Config{Name: "new",
			Properties: map[string]string{"bootstrap.servers": c.Bootstrap()}}, topic)
		if err != nil {
			t.Fatal(err)
		}
		defer claims.Close() //nolint:errcheck // only read
		if _, err := claims.Claimed(ctx, 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		c.Pause()
		for id := range int64(3) {
			if _, err := claims.Claimed(ctx, 2+id, time.Now()); err == nil {
				t.Fatal("a frozen cluster answers")
			}
			<-tick.C
		}
		c.Resume()
		for id, err := int64(5), error(nil); ; id++ {
			if _, err = claims.Claimed(ctx, id, time.Now()); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatal(err)
			case <-tick.C:
			}
		}
	}
}
