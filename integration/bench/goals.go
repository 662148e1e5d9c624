package bench

import (
	"fmt"
	"slices"
	"strings"
)

// goal is a limit that a figure of this run is to keep.
type goal struct {
	of      string // who is to reach it
	text    string
	data    string
	limit   float64
	atMost  bool
	worst   bool // the worst round counts, not the median
	digits  int
	figures figures
}

const (
	atMost  = true
	atLeast = false
)

// goalList are the goals of the batch lane, which is the default, and those that
// the record lane was made for, for both.
func goalList(results Results) []goal {
	list := append(againstLimit(results), whileFollowing(results)...)
	list = append(list, whenLost(results)...)
	for _, name := range []string{exactlyOnce, recordExactOnce} {
		list = append(list, againstOthers(results, name)...)
	}
	return list
}

// againstLimit are the goals that only the batch lane has.
func againstLimit(results Results) []goal {
	var list []goal
	for _, name := range []string{"a", "b"} {
		r := results.copies(name)
		list = append(list,
			goal{exactlyOnce, "throughput, of the raw copy's, from the start of the process", name, 0.85, atLeast, false, 2,
				r.ratio(rawCopy, Run.seconds, exactlyOnce, Run.seconds)},
			goal{exactlyOnce, "the same, both from their first records on", name, 0.85, atLeast, false, 2,
				r.ratio(exactlyOnce, r.pace, rawCopy, r.pace)})
	}
	for _, of := range []struct {
		name  string
		limit float64
	}{{"a", 1.0 / 50}, {"b", 1.0 / 10}} {
		r := results.copies(of.name)
		list = append(list,
			goal{exactlyOnce, "CPU, of MirrorMaker 2's with exactly once", of.name, of.limit, atMost, false, 3,
				r.ratio(exactlyOnce, Run.cpuSeconds, mm2ExactOnce, Run.cpuSeconds)},
			goal{exactlyOnce, "the same, MirrorMaker 2's from its first record on", of.name, of.limit, atMost, false, 3,
				r.ratio(exactlyOnce, Run.cpuSeconds, mm2ExactOnce, Run.cpuAfterFirst)})
	}
	for _, name := range []string{"h", "i"} {
		r := results.copies(name)
		perSecond := r.each(exactlyOnce, func(run Run) float64 { return r.megabytes() / run.seconds() })
		fromFirst := r.each(exactlyOnce, func(run Run) float64 { return r.pace(run) * float64(r.Data.Size) / 1e6 })
		list = append(list,
			goal{exactlyOnce, "MB/s, from the start of the process", name, 20, atLeast, false, 1, perSecond},
			goal{exactlyOnce, "the same, from its first records on", name, 20, atLeast, false, 1, fromFirst})
	}
	for _, r := range results.Copies {
		peak := r.each(exactlyOnce, Run.megabytes)
		list = append(list, goal{exactlyOnce, "peak memory, MB, in the worst round", r.Data.Name, 128, atMost, true, 0, peak})
	}
	return list
}

// againstOthers are the goals that were set for the record lane.
func againstOthers(results Results, name string) []goal {
	var list []goal
	invert := func(f func(Run) float64) func(Run) float64 { return func(r Run) float64 { return 1 / f(r) } }
	for _, data := range []string{"a", "b"} {
		r := results.copies(data)
		list = append(list,
			goal{name, "time, of the plain loop's", data, 1.3, atMost, false, 2,
				r.ratio(name, Run.seconds, plainLoop, Run.seconds)},
			goal{name, "throughput, of MirrorMaker 2's with exactly once, from the start of the process", data, 2, atLeast,
				false, 2, r.ratio(name, invert(Run.seconds), mm2ExactOnce, invert(Run.seconds))},
			goal{name, "the same, both from their first records on", data, 2, atLeast, false, 2,
				r.ratio(name, r.pace, mm2ExactOnce, r.pace)},
			goal{name, "CPU, of MirrorMaker 2's with exactly once", data, 0.5, atMost, false, 2,
				r.ratio(name, Run.cpuSeconds, mm2ExactOnce, Run.cpuSeconds)},
			goal{name, "the same, MirrorMaker 2's from its first record on", data, 0.5, atMost, false, 2,
				r.ratio(name, Run.cpuSeconds, mm2ExactOnce, Run.cpuAfterFirst)},
			goal{name, "peak memory, MB, in the worst round", data, 512, atMost, true, 0, r.each(name, Run.megabytes)})
	}
	return list
}

// copies gives what was done with one topic; nothing if it was not copied.
func (r Results) copies(name string) Result {
	for _, one := range r.Copies {
		if one.Data.Name == name {
			return one
		}
	}
	return Result{}
}

// goals says which were reached.
func goals(b *strings.Builder, list []goal) {
	b.WriteString("| contestant | figure | data | goal | is | |\n|---|---|---|---|---:|---|\n")
	for _, g := range list {
		side := "at least"
		if g.atMost {
			side = "at most"
		}
		text, verdict := g.judge()
		fmt.Fprintf(b, "| %s | %s | %s | %s %g | %s | %s |\n", g.of, g.text, g.data, side, g.limit, text, verdict)
	}
}

func (g goal) judge() (text, verdict string) {
	if len(g.figures) == 0 {
		return "-", "not measured"
	}
	value := g.figures.median()
	if g.worst {
		value = slices.Max(g.figures)
	}
	verdict = "missed"
	if g.atMost && value <= g.limit || !g.atMost && value >= g.limit {
		verdict = "reached"
	}
	return fmt.Sprintf("%.*f", g.digits, value), verdict
}
