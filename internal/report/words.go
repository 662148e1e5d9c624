package report

import (
	"fmt"
	"strings"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/groups"
)

// Renamed is a name on the source, with what it is called on the target where that is
// another one.
func Renamed(source, target string) string {
	if source == target {
		return source
	}
	return source + " as " + target
}

// Lives says where a group is in use, in brackets behind its name, and what more there is to say: the members of a
// shared one, and what a move now would have it read again.
func Lives(flow string, g *inspect.GroupStatus) (short, more string) {
	from, to, _ := strings.Cut(flow, "->")
	members := terminal.Count(g.Members, "member") + " on the target"
	var parts []string
	switch g.Side {
	case "":
		if g.Members > 0 {
			short = " (" + members + ")"
		}
	case groups.OnSource:
		short = " (shared, on " + from + ")"
	case groups.OnTarget:
		short = " (shared, on " + to + ")"
	case groups.OnBoth:
		short = " (SHARED, WITH MEMBERS ON BOTH SIDES)"
	default:
		short = " (shared, not known on which side)"
	}
	if g.SourceMembers > 0 {
		parts = append(parts, terminal.Count(g.SourceMembers, "member")+" on the source")
	}
	if g.Side != "" && g.Members > 0 {
		parts = append(parts, members)
	}
	if n := g.ReadAgain; n != nil && (*n > 0 || g.Side != "") {
		parts = append(parts, fmt.Sprintf("on %s it would read %s again", to, terminal.Count(int(*n), "record")))
	}
	return short, strings.Join(parts, "; ")
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
