package await

import (
	"cmp"
	"fmt"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/kafka"
)

// NotYetError is what did not come about in time, and what may help.
type NotYetError struct{ Missing, remedy string }

func (e *NotYetError) Error() string { return "not in time: " + e.Missing }

// Remedy tells what to do.
func (e *NotYetError) Remedy() string {
	return cmp.Or(e.remedy, "see 'replicator status' for what is in the way") + "; or give it more time with --timeout"
}

// NeverError is what does not come about by waiting.
type NeverError struct{ Missing, remedy string }

func (e *NeverError) Error() string { return "it does not come by waiting: " + e.Missing }

// Remedy tells what to do.
func (e *NeverError) Remedy() string { return cmp.Or(e.remedy, "see 'replicator status'") }

// noGroups says that nothing is known to be drained, where nobody is known to read.
func noGroups(d *inspect.DrainedStatus) error {
	return &kafka.Problem{What: fmt.Sprintf("flow %s: no group has a position in a selected topic: whether the source is "+
		"drained is not known", d.Flow),
		Fix: "look at groups and exclude_groups; groups that the program's user may not Describe are hidden from it, and " +
			"consumers without a group are not seen"}
}

func notYet(flow string, found gap) error {
	if found.missing == "" {
		found.missing = "not known yet: the clusters had not answered when the time ran out"
	}
	return &NotYetError{fmt.Sprintf("flow %s: %s", flow, found.missing), found.remedy}
}
