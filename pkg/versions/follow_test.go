package versions

import (
	"testing"
	"time"
)

// An answer may be to a request that was sent before the lease ran out, while a
// publisher that looked after that waits: it has to be woken.
func TestAnswerAfterTheLeaseWakes(t *testing.T) {
	f := NewFollower(nil, "orders")
	heard := time.Now().Add(-Lease - time.Second)
	f.take(nil, true, heard)
	_, known, changed := f.now()
	if known {
		t.Fatal("news are known though the lease has run out")
	}
	f.take(nil, true, heard.Add(Lease-time.Millisecond)) // sent within the lease, answered after it
	select {
	case <-changed:
	default:
		t.Fatal("the publisher that waits is not woken")
	}
	if _, known, _ := f.now(); !known {
		t.Error("news are not known after the answer")
	}
}
