package integration

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// A quota of bytes a second on either side makes a flow wait, as the brokers tell it,
// and nothing else.
func TestQuotas(t *testing.T) { onLanes(t, quotas) }

func quotas(t *testing.T, lane string) {
	// A broker lets eleven seconds' worth pass before it has a client wait. Nothing is written
	// faster than it is read, so that the quota of writes has to be the lower one.
	const read, written = 128 << 10, 96 << 10
	source, target := shared(t)
	ctx := deadline(t, 4*time.Minute)
	id := unique(t)
	bulk, mingled := id+"-bulk", id+"-mixed"
	must(t, workload.Topics(ctx, source.Bootstrap(), 4, workload.KeepConfigs(), bulk, mingled))
	// The record lane compresses, to 0.43 of what JSON is: then its writes would not reach the
	// quota at the speed that reads have. Of what is compressed already both lanes write as much.
	must(t, workload.Bulk(ctx, source.Bootstrap(), bulk,
		workload.BulkSpec{Seed: 1, Records: 3000, Size: 1000, Codec: "lz4", BatchBytes: 100_000}))
	mixed(ctx, t, source.Bootstrap(), mingled, 2, 3000, 4)
	groups := stand(ctx, t, source.Bootstrap(), 3, 12, bulk, mingled)
	limit(ctx, t, source.Bootstrap(), id, "consumer_byte_rate", read)
	limit(ctx, t, target.Bootstrap(), id, "producer_byte_rate", written)
	logRequests(ctx, t, source, 1)
	logRequests(ctx, t, target, 1)

	s := newSite(t, source, target, patterns(t, []string{bulk, mingled}, "lane: "+lane)...)
	s.edit("{bootstrap", fmt.Sprintf("{client.id: %q, bootstrap", id))
	d := s.run()
	judged(ctx, t, s.sides(), []string{bulk, mingled}, groups)
	d.stop()
	waited(t, source, "FETCH", id)
	waited(t, target, "PRODUCE", id)
}

// limit sets a quota for a client.id.
func limit(ctx context.Context, t *testing.T, bootstrap, clientID, quota string, value float64) {
	t.Helper()
	_, err := ask(bootstrap, func(admin *kadm.Client) (kadm.AlteredClientQuotas, error) {
		altered, err := admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &clientID}},
			Ops:    []kadm.AlterClientQuotaOp{{Key: quota, Value: value}},
		}})
		if err == nil {
			err = altered[0].Err
		}
		return altered, err
	})
	must(t, err)
}

var throttleTime = regexp.MustCompile(`"throttleTimeMs":(\d+)`)

// waited fails the test unless a broker has had a client wait.
func waited(t *testing.T, c *cluster.Cluster, kind, clientID string) {
	t.Helper()
	times := logged(c, kind, clientID, throttleTime)
	if len(times) == 0 {
		t.Fatalf("%s has answered no %s of %s", c.Name(), kind, clientID)
	}
	longest := time.Duration(slices.Max(times)) * time.Millisecond
	t.Logf("%s has had %s wait up to %s after %s", c.Name(), clientID, longest, kind)
	if longest == 0 {
		t.Errorf("%s has not had %s wait", c.Name(), clientID)
	}
}
