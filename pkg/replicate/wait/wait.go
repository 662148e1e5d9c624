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

// Until asks at once, and again with pauses between, until the answer is yes (nil) or an error, which
// it returns. It returns ctx's error if that ends during a pause: whoever asks decides himself what an
// answer is worth that came while ctx ended. A time limit is the asker's yes, or his error.
func Until(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	for {
		if yes, err := done(); yes || err != nil {
			return err
		}
		if err := Pause(ctx, pause); err != nil {
			return err
		}
	}
}

// Notify leaves word for whoever waits on a channel, or will: its capacity is 1, and who comes late sees one of them.
func Notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
