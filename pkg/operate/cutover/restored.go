package cutover

import (
	"context"
	"fmt"

	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/replicate/kafka"
)

// restoredStep is the last step of a cutover, as it is shown beforehand.
func (m *mover) restoredStep(ctx context.Context) stepwise.State {
	return stepwise.Check(ctx, []stepwise.Step{{
		Name: "restored", Check: m.restoredYet,
		Do:   fmt.Sprintf("what the flow has set on topics of %s is as it was before", m.o.Flow.To),
		Undo: "nothing to undo: the flow sets it again when it runs after a rollback",
	}})[0]
}

func (m *mover) restoredYet(ctx context.Context) (missing string, err error) {
	list, err := restorer(&m.o).Run(ctx, false, nil)
	pending := 0
	for i := range list {
		if list[i].Pending() {
			pending++
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", nil
	case err != nil: // which is no reason to refuse
		missing = err.Error()
	case m.o.Groups != nil && !m.seen.known():
		missing = copiedUnknown
	case len(m.remain()) > 0:
		missing, _ = untilMoved(m.remain())
	case pending > 0:
		missing = fmt.Sprintf("%d settings are to be put back", pending)
	}
	return missing, nil
}

// remain are the groups that neither this stage of a cutover moves nor one before.
func (m *mover) remain() (names []string) {
	for i := range m.seen.Groups {
		if name := m.seen.Groups[i].Group; !m.moves.has(name) && !m.moves.before[name] {
			names = append(names, name)
		}
	}
	return names
}

// untilMoved is why a stage of a cutover puts no settings back.
func untilMoved(groups []string) (why, fix string) {
	return "groups are not moved yet: " + kafka.Few(groups), "move them: the last stage puts it back, and so does " +
		"'replicator cutover' without --groups; 'replicator topics restore' does it without them"
}

// restorer puts back what a flow has set on topics of its target.
func restorer(o *Options) *targettopics.Restorer {
	return &targettopics.Restorer{Clusters: o.Clusters, Flow: o.Flow, Log: o.Log}
}
