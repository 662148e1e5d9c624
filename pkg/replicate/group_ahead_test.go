package replicate_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/flowtest"
)

// A group that has read further than was copied has read all of the copy: it stands at its end, and moves on with it.
func TestGroupAheadOfTheCopy(t *testing.T) {
	flowtest.OnLanes(t, func(t *testing.T, w *flowtest.World) {
		w.Topic("orders", 1)
		w.Plain(w.Sides.Source, "orders", 0, 10)
		client := w.Source.Writer(kgo.TransactionalID("open"))
		w.Must("begin", client.BeginTransaction())
		w.Must("write", client.ProduceSync(w.Ctx, &kgo.Record{Topic: "orders", Value: []byte("late")}).FirstErr())
		w.Plain(w.Sides.Source, "orders", 0, 5) // which is not copied before that ends
		w.Commit("billing", "orders", 0, 14)
		w.Start(nil)
		w.Stands("billing", "orders", 0, 11) // behind the marker of the copy
		w.Must("commit", client.EndTransaction(w.Ctx, kgo.TryCommit))
		w.Equal([]string{"orders"})
		w.GroupsStand([]string{"billing"}, []string{"orders"})
	})
}
