package listoffsets

import (
	"errors"
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// electionLimit is how long to wait for the leader of a partition that was just created.
const ElectionLimit = 2 * time.Second

// markOf gives an offset as a target's; false where the cluster did not tell it.
func TargetOf(marks Offsets, p chunk.Partition) (offsets.Target, bool) {
	mark, ok := marks[p]
	return offsets.Target(mark.Offset), ok && mark.Err == nil
}

// offsetOf is a partition's offset, or why the cluster does not tell it.
func OffsetOf(marks Offsets, p chunk.Partition) (int64, error) {
	mark, ok := marks[p]
	if !ok {
		mark.Err = errors.New("the cluster does not answer for this partition")
	}
	if mark.Err != nil {
		return 0, fmt.Errorf("end of %s: %w", p, mark.Err)
	}
	return mark.Offset, nil
}
