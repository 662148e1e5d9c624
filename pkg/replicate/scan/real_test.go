//go:build integration

package scan

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
)

// TestRealBroker runs on a broker what the tests beside run on a fake.
func TestRealBroker(t *testing.T) {
	broker := cluster.Start(t)
	run := func(name string, test func(*fixture)) {
		t.Run(name, func(t *testing.T) {
			f := onCluster(t, broker.Bootstrap())
			admin := kadm.NewClient(f.client())
			for _, name := range []string{topic, "other"} {
				if _, err := admin.CreateTopic(f.ctx, 1, 1, nil, name); err != nil {
					t.Fatal(err)
				}
			}
			test(f)
			deleted, err := admin.DeleteTopics(f.ctx, topic, "other")
			if err != nil || deleted.Error() != nil {
				t.Fatalf("delete topics: %v %v", err, deleted)
			}
		})
	}
	run("transactions", testLookIntoTransactions)
	run("open transaction", testOpenTransaction)
	run("log start", testLogStartAboveFrom)
	run("record", testRecord)
	run("many at once", testManyAtOnce)
}
