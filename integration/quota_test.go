package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

// A quota of bytes a second on either side makes a flow wait, as the brokers tell
// whoever uses its client.id, and nothing else.
func TestQuotas(t *testing.T) { onLanes(t, quotas) }

func quotas(t *testing.T, lane string) {
	// A broker lets ten seconds' worth pass before it counts. What the record lane writes
	// is compressed, to less than half, and has to exceed that too.
	const read, written = 1 << 19, 1 << 18
	source, target := shared(t)
	ctx := deadline(t, 4*time.Minute)
	id := unique(t)
	bulk, mingled, probe := id+"-bulk", id+"-mixed", id+"-probe"
	must(t, workload.Topics(ctx, source.Bootstrap(), 4, workload.KeepConfigs(), bulk, mingled))
	must(t, workload.Topics(ctx, target.Bootstrap(), 1, nil, probe))
	must(t, workload.Bulk(ctx, source.Bootstrap(), bulk, workload.BulkSpec{Seed: 1, Records: 12_000, Size: 1000}))
	mixed(ctx, t, source.Bootstrap(), mingled, 2, 3000, 4)
	groups := stand(ctx, t, source.Bootstrap(), 3, 12, bulk, mingled)
	limit(ctx, t, source.Bootstrap(), id, "consumer_byte_rate", read)
	limit(ctx, t, target.Bootstrap(), id, "producer_byte_rate", written)

	s := newSite(t, source, target, patterns(t, []string{bulk, mingled}, "lane: "+lane)...)
	text, err := os.ReadFile(s.path)
	must(t, err)
	named := strings.ReplaceAll(string(text), "{bootstrap", fmt.Sprintf("{client.id: %q, bootstrap", id))
	must(t, os.WriteFile(s.path, []byte(named), 0o600))
	d := s.run()
	waits(ctx, t, source.Bootstrap(), id, func(client *kgo.Client) { client.PollFetches(ctx) }, kgo.ConsumeTopics(bulk))
	waits(ctx, t, target.Bootstrap(), id, func(client *kgo.Client) {
		must(t, client.ProduceSync(ctx, kgo.StringRecord("asks")).FirstErr())
	}, kgo.DefaultProduceTopic(probe))
	judged(ctx, t, s.sides(), []string{bulk, mingled}, groups)
	d.stop()
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

// waits uses a client.id beside the flow until a broker tells it to wait.
func waits(
	ctx context.Context, t *testing.T, bootstrap, clientID string, use func(*kgo.Client), opts ...kgo.Opt,
) {
	t.Helper()
	told := &throttled{}
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(bootstrap), kgo.ClientID(clientID), kgo.WithHooks(told))...)
	must(t, err)
	defer client.Close()
	eventually(t, time.Minute, "the client is told to wait", func() bool {
		use(client)
		return told.longest.Load() > 0
	})
	t.Logf("%s has to wait for %s", clientID, time.Duration(told.longest.Load()))
}

// throttled hears how long brokers make a client wait.
type throttled struct{ longest atomic.Int64 }

// OnBrokerThrottle is kgo's hook.
func (h *throttled) OnBrokerThrottle(_ kgo.BrokerMetadata, wait time.Duration, _ bool) {
	h.longest.Store(max(h.longest.Load(), int64(wait)))
}
