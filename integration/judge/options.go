package judge

import "runtime"

// maxLook bounds, in records, how far the judge looks ahead for the place where
// two logs meet again, and how far back for a record that was delivered before.
const maxLook = 1 << 17

// Option changes what counts as equal.
type Option func(*options)

type options struct {
	duplicates bool
	sourceFrom map[string]map[int32]int64
	targetFrom map[string]map[int32]int64
	workers    int
}

func newOptions(opts []Option) options {
	o := options{workers: min(4, runtime.GOMAXPROCS(0))}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// AllowDuplicates is for at_least_once after a crash. The source must still be
// on the target complete and in order; beside that the target may hold records
// again, if each of them was delivered before. A group position is right if
// nothing unread lies before it; what it reads again is counted, not refused.
func AllowDuplicates() Option { return func(o *options) { o.duplicates = true } }

// SourceFrom compares the source from these offsets on, by topic and partition,
// instead of from its log start: for flows that do not start at the earliest.
func SourceFrom(offsets map[string]map[int32]int64) Option {
	return func(o *options) { o.sourceFrom = offsets }
}

// TargetFrom is SourceFrom for the target, by the target's topic names.
func TargetFrom(offsets map[string]map[int32]int64) Option {
	return func(o *options) { o.targetFrom = offsets }
}

func from(offsets map[string]map[int32]int64, p partition) int64 { return offsets[p.topic][p.number] }
