package verify

import (
	"cmp"
	"fmt"

	"replicator/pkg/replicate/settings"
)

// differentError is a verdict other than equal.
type differentError struct{ v *Report }

// Err is a verdict other than equal, with its remedy; nil for equal.
func (v *Report) Err() error {
	if v.Verdict == Equal {
		return nil
	}
	return &differentError{v}
}

func (e *differentError) Error() string {
	if e.v.Verdict == Incomplete {
		text := fmt.Sprintf("flow %s: incomplete: %s", e.v.Flow, e.v.Incomplete[0].String())
		if more := len(e.v.Incomplete) - 1; more > 0 {
			text += fmt.Sprintf(", and %d more", more)
		}
		return text + "; nothing differs in what could be compared"
	}
	return fmt.Sprintf("flow %s: %d differences between %s and %s", e.v.Flow, e.v.Differences(), e.v.Source.Name,
		e.v.Target.Name)
}

// Remedy tells what to do.
func (e *differentError) Remedy() string {
	switch {
	case e.v.Verdict == Incomplete:
		return cmp.Or(e.v.Incomplete[0].Remedy, "see what else is said, and verify again")
	case e.v.Differences() == e.v.Extra+e.v.Foreign:
		return "everything was copied, but the target holds more: look for other writers to its topics" + perhapsTwice(e.v)
	}
	return "keep the report (--report); look for what else writes to the target's topics, deletes from them or from the " +
		"ledger, and for an unclean leader election on the source; a topic that is created again on the target is filled anew"
}

func perhapsTwice(v *Report) string {
	if v.Delivery == settings.AtLeastOnce {
		return "; with delivery at_least_once some may be its own, written again after a crash"
	}
	return ""
}
