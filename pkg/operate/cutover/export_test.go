package cutover

import (
	"context"
	"time"

	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/chunk"
)

// Watch asks all steps at once, and that of the settings; n is how many it consists of without that.
func (c *Cutover) Watch(ctx context.Context) (states []stepwise.State, n int, err error) {
	steps := c.m.steps()
	states, err = c.m.watch(ctx, steps)
	return append(states, c.m.restoredStep(ctx)), len(steps), err
}

// WritersOf names who wrote lately to partitions of a flow's source, as the step silent does.
func WritersOf(ctx context.Context, o Options, partitions []chunk.Partition) (string, error) {
	m, err := openMover(ctx, o, true)
	if err != nil {
		return "", err
	}
	defer m.close()
	return m.source.writers(ctx, partitions, time.Hour), nil
}
