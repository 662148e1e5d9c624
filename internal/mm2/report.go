package mm2

import (
	"fmt"
	"strings"
)

// Count is how many keys of the file are of a class.
func (r *Result) Count(class Class) int {
	n := 0
	for _, f := range r.Findings {
		if f.Class == class {
			n++
		}
	}
	return n
}

// Report tells line by line what became of the file, and what to do next; file is
// where it came from, config where it went.
func (r *Result) Report(file, config string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d keys", file, len(r.Findings))
	for _, class := range Classes {
		if n := r.Count(class); n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, class)
		}
	}
	b.WriteString("\n\n")
	width := 0
	for _, f := range append(r.Findings, r.Defaults...) {
		width = max(width, min(len(f.Key), widestKey))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "line %3d  %-13s  %-*s  %s\n", f.Line, f.Class, width, f.Key, f.Text)
	}
	if len(r.Defaults) > 0 {
		b.WriteString("\nnot in the file, but done by MirrorMaker and otherwise here\n")
		for _, f := range r.Defaults {
			fmt.Fprintf(&b, "          %-13s  %-*s  %s\n", f.Class, width, f.Key, f.Text)
		}
	}
	b.WriteString("\nbefore the first run\n")
	for _, v := range r.Variables {
		fmt.Fprintf(&b, "  set %s: %s\n", v.Name, v.What)
	}
	for _, step := range r.Steps {
		fmt.Fprintf(&b, "  %s\n", step)
	}
	if n := r.Count(NoEquivalent) + r.Count(Unknown); n > 0 {
		fmt.Fprintf(&b, "  decide on each key without equivalent, and on each unknown one: %d\n", n)
	}
	b.WriteString("  copying begins anew, into topics that are empty or missing; a partition that MirrorMaker has\n" +
		"  written to stops as foreign_records; leave its copies to it, or copy under other names\n")
	fmt.Fprintf(&b, "  replicator check -c %s --connect\n", config)
	return b.String()
}

const widestKey = 48
