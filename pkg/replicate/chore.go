package replicate

import (
	"context"
	"errors"
	"time"

	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/peers"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/shard"
	"replicator/pkg/replicate/wait"
)

// chore is work that a flow does again and again beside copying.
type chore struct {
	every   time.Duration
	notify  <-chan struct{} // asks for it before its time; nil: nobody does
	kind    metrics.Failure
	trouble string // what the log says where it fails
	work    func(context.Context) error
}

// errNotNow says that there was nothing to do that would prove anything: neither that
// something fails, nor that it works again.
var errNotNow = errors.New("not now")

// run works until ctx ends: at each interval, before it when notified, and with growing
// delays while it fails. Its error ends this try of the flow.
func (c chore) run(ctx context.Context, f *shard.Flow) error {
	again := wait.Retry{Log: f.Log, Clock: time.Now}
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for failed := false; ; {
		if !failed {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			case <-c.notify:
			}
		}
		err := c.work(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case endsTry(err):
			return err
		case errors.Is(err, errNotNow):
			failed = false
			continue
		case err != nil:
			f.Metrics.Failure(f.Name, c.kind)
			again.Wait(ctx, c.trouble, err)
		default:
			again.Reset()
		}
		failed = err != nil
	}
}

// endsTry says whether a flow that is at work must not go on after an error: it stands still, or begins anew
// with what it knows now.
func endsTry(err error) bool {
	return provenance.Forbids(err) || peers.AreForeignMembers(err) || errors.As(err, new(*metError))
}
