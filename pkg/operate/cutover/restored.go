package cutover

import (
	"context"
	"fmt"

	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/targettopics"
	"replicator/pkg/replicate/kafka"
)

// restoredStep is the last step of a cutover, as it is shown beforehand.
func (h *mover) restoredStep(ctx context.Context) stepwise.State {
	return stepwise.Check(ctx, []stepwise.Step{{
		Name: "restored", Check: h.restoredYet,
		Do:   fmt.Sprintf("what the flow has set on topics of %s is as it was before", h.o.Flow.To),
		Undo: "nothing to undo: the flow sets it again when it runs after a rollback",
	}})[0]
}

func (h *mover) restoredYet(ctx context.Context) (missing string, err error) {
	list, err := h.restoring().Run(ctx, false, nil)
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
	case h.o.Groups != nil && h.status == nil:
		missing = copiedUnknown
	case len(h.remain()) > 0:
		missing, _ = untilMoved(h.remain())
	case pending > 0:
		missing = fmt.Sprintf("%d settings are to be put back", pending)
	}
	return missing, nil
}

// remain are the groups that neither this stage of a cutover moves nor one before.
func (h *mover) remain() (names []string) {
	for i := range h.status.Groups {
		if name := h.status.Groups[i].Group; !h.moves(name) && !h.part[name] {
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

func (h *mover) restoring() *targettopics.Restorer {
	return &targettopics.Restorer{Clusters: h.o.Clusters, Flow: h.o.Flow, Log: h.o.Log}
}
