package cutover

import (
	"context"

	"replicator/pkg/operate/stepwise"
)

// Watch asks all steps at once, and that of the settings; n is how many it consists of without that.
func (c *Cutover) Watch(ctx context.Context) (states []stepwise.State, n int, err error) {
	steps := c.m.steps()
	states, err = c.m.watch(ctx, steps)
	return append(states, c.m.restoredStep(ctx)), len(steps), err
}
