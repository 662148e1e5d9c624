package wait

import (
	"context"
	"time"
)

// Pause lets time pass, unless ctx ends before: that is its error.
func Pause(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}
