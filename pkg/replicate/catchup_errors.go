package replicate

import (
	"fmt"
	"strings"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// UnfinishedError reports what a one-off copy has left out.
type UnfinishedError struct {
	Stops  []*chunk.Stop
	Groups []string // positions that could not be brought in sync, with the reason
	// Nothing is the source of which no topic is selected: there was nothing to copy, as far as can be seen.
	Nothing string
}

func (e *UnfinishedError) Error() string {
	if e.Nothing != "" {
		return fmt.Sprintf("no topic of cluster %s is selected: nothing was copied", e.Nothing)
	}
	var b strings.Builder
	for _, s := range chunk.Together(e.Stops) {
		fmt.Fprintf(&b, "\n  %s", s.Error())
	}
	for _, g := range e.Groups {
		fmt.Fprintf(&b, "\n  %s", g)
	}
	return fmt.Sprintf("everything else was copied, but %d partitions and %d group positions were not:%s",
		len(e.Stops), len(e.Groups), b.String())
}

// Remedy tells what to do about the first of them.
func (e *UnfinishedError) Remedy() string {
	if e.Nothing != "" {
		return policy.NothingSelected
	}
	if len(e.Stops) > 0 {
		return e.Stops[0].Remedy()
	}
	return "see 'replicator status'; run the same command again once the groups stand still"
}

// StoppedError ends a one-off copy that was stopped before it was done.
type StoppedError struct {
	Open []string // transactions that it was waiting for
	err  error
}

func (e *StoppedError) Error() string {
	text := "stopped before it was caught up"
	if len(e.Open) > 0 {
		text += ": " + kafka.Few(e.Open)
	}
	return fmt.Sprintf("%s; the same command goes on from here: %v", text, e.err)
}

func (e *StoppedError) Unwrap() error { return e.err }
