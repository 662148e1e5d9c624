package chunk

import (
	"fmt"
)

// TopicStop is a Stop that is about all partitions of its topic.
type TopicStop struct{ Stop *Stop }

func (t TopicStop) Error() string {
	if t.Stop.Err != nil {
		return fmt.Sprintf("%s: %v", t.Stop.Reason, t.Stop.Err)
	}
	return t.Stop.Reason
}

// Remedy tells what to do.
func (t TopicStop) Remedy() string { return t.Stop.Fix }
