package cutover

import (
	"context"

	"replicator/pkg/operate/stepwise"
)

// Watch asks all steps at once, and that of the settings; n is how many it consists of without that.
func (c *Cutover) Watch(ctx context.Context) (states []stepwise.State, n int, err error) {
	steps := c.h.steps()
	states, err = c.h.watch(ctx, steps)
	return append(states, c.h.restoredStep(ctx)), len(steps), err
}
