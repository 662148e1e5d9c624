package report

import (
	"fmt"
	"strings"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
)

// Renamed is a name on the source, with what it is called on the target where that is
// another one.
func Renamed(source, target string) string {
	if source == target {
		return source
	}
	return source + " as " + target
}

// LeftOut prints what the patterns choose and a rule leaves out, by reason.
func LeftOut(p *terminal.Printer, list []inspect.LeftOut) {
	by := map[[2]string][]string{}
	var reasons [][2]string
	for _, l := range list {
		reason := [2]string{l.Kind, l.Why}
		if by[reason] == nil {
			reasons = append(reasons, reason)
		}
		by[reason] = append(by[reason], l.Name)
	}
	for _, reason := range reasons {
		names := by[reason]
		p.Wrapped("            ", "  left out  %s: %s: %s", terminal.Count(len(names), reason[0]), reason[1],
			terminal.Few(names))
	}
}

// Why says why a position does not stand right.
func Why(one *inspect.PositionStatus) string {
	why := one.Why
	if n := one.UnreadDeletedOnBoth; n > 0 {
		also := fmt.Sprintf("%d records that the group has not read were deleted on both sides: the source has lost "+
			"them too", n)
		why = strings.TrimPrefix(why+"; "+also, "; ")
	}
	if one.Skips != nil {
		why = strings.TrimPrefix(why+"; "+one.Skips.Why, "; ")
	}
	if one.Remedy != "" {
		why += "\nremedy: " + one.Remedy
	}
	if one.Foreign == nil {
		return why
	}
	return fmt.Sprintf("%s: it stops before [%d,%d); it would read at most %d records again there, and skip at most %d "+
		"of somebody else's if it were moved on", one.Why, one.Foreign.From, one.Foreign.To,
		one.WouldReadAgain, one.WouldSkip)
}
