package listoffsets

import (
	"errors"
	"fmt"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// ElectionLimit is how long to wait for the leader of a partition that was just created.
const ElectionLimit = 2 * time.Second

// TargetOf gives an offset as a target's; false where the cluster did not say it.
func TargetOf(listed Offsets, p chunk.Partition) (offsets.Target, bool) {
	one, ok := listed[p]
	return offsets.Target(one.Offset), ok && one.Err == nil
}

// OffsetOf is a partition's offset, or why the cluster does not say it.
func OffsetOf(listed Offsets, p chunk.Partition) (int64, error) {
	one, ok := listed[p]
	if !ok {
		one.Err = errors.New("the cluster does not answer for this partition")
	}
	if one.Err != nil {
		return 0, fmt.Errorf("end of %s: %w", p, one.Err)
	}
	return one.Offset, nil
}
