package report

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"replicator/internal/terminal"
	"replicator/pkg/replicate/topics"
)

// Settings prints what becomes of settings.
func Settings(p *terminal.Printer, list []topics.Back, really bool) {
	verb := "would be put back"
	if really {
		verb = "put back"
	}
	open := 0
	left := map[string][]*topics.Back{} // by reason
	for i := range list {
		b := &list[i]
		was := fmt.Sprintf("%q", b.Was)
		if b.Default {
			was = "not set"
		}
		switch {
		case b.Gone:
			continue
		case b.Left:
			left[b.Stays] = append(left[b.Stays], b)
		case b.Pending():
			p.Line("  %s: %s: %s -> %s: %s", b.Target, b.Key, terminal.OrWord(b.Now, `""`), was, verb)
		default:
			p.Line("  %s: %s stays %s (was %s): %s", b.Target, b.Key, terminal.OrWord(b.Now, `""`), was, b.Stays)
			if b.Fix != "" {
				p.Line("    %s", terminal.Wrap("what to do: "+b.Fix, "      "))
			}
		}
		open++
	}
	for _, why := range slices.Sorted(maps.Keys(left)) {
		leftSettings(p, left[why])
	}
	if open == 0 {
		p.Line("  no setting is to be put back")
	}
}

// leftSettings tells of settings that stay for one reason, which has to do with none of them.
func leftSettings(p *terminal.Printer, list []*topics.Back) {
	var names []string
	for _, b := range list {
		if !slices.Contains(names, b.Target) {
			names = append(names, b.Target)
		}
	}
	p.Wrapped("    ", "  not put back: %s of %s, %s: %s", terminal.Count(len(list), "setting"), terminal.Count(len(names),
		"topic"), terminal.Few(names), list[0].Stays)
	p.Line("    %s", terminal.Wrap("what to do: "+list[0].Fix, "      "))
}

// SettingsBack tells what became of settings at the end of a cutover or a rollback.
func SettingsBack(w io.Writer, list []topics.Back, cluster string) error {
	p := terminal.NewPrinter(w)
	if len(list) > 0 {
		p.Line("what the flow had set on topics of %s:", cluster)
		Settings(p, list, true)
	}
	return p.Err()
}
