package cutover_test

import (
	"errors"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/replicate/identity"
)

// TestRollbackAfterUpgrade: what was moved away from a cluster without topic ids comes back
// when its upgrade is finished, and the flow goes on.
func TestRollbackAfterUpgrade(t *testing.T) { flowtest.OnLanes(t, testRollbackAfterUpgrade) }

func testRollbackAfterUpgrade(t *testing.T, w *flowtest.World) {
	const topic = "orders"
	upgraded := w.Upgrading(w.Source)
	w.Topic(topic, 3)
	w.Mixed(topic, 3, 300)
	r := w.Start(nil)
	w.Groups([]string{topic})
	w.CutOver()
	r.Stop()

	w.WriteOnTarget(topic, 200)
	w.MoveGroups(w.To, w.Sides.Target, topic)
	_, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	var idless *identity.NoTopicIDsError
	if !errors.As(err, &idless) || !idless.Back {
		t.Errorf("a rollback to a cluster without topic ids: %v", err)
	}
	upgraded()
	if state, _ := w.RollBack(); state.Records == 0 || len(state.GivenUp) > 0 {
		t.Errorf("the way back is described as %+v", state)
	}
	w.BothWays(topic)
	w.Mixed(topic, 3, 100)
	r = w.Start(nil)
	w.MoveGroups(w.From, w.Sides.Source, topic)
	w.Equal([]string{topic})
	w.GroupsStand(flowtest.WorldGroups(), []string{topic})
	r.Stop()
}
