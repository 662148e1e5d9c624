package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Markdown shows the results: a table for each topic, the goals, and every run.
func Markdown(machine []string, results []Result) string {
	var b strings.Builder
	for _, line := range machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, r := range results {
		fmt.Fprintf(&b, "\n### (%s) %s\n\n", r.Data.Name, r.Data)
		r.table(&b)
	}
	b.WriteString("\n### Goals\n\n")
	goals(&b, results)
	b.WriteString("\n### Every run\n\n")
	everyRun(&b, results)
	return b.String()
}

// table has one line for each contestant: medians over the rounds, with the least
// and the most of time and of the ratios.
func (r Result) table(b *strings.Builder) {
	b.WriteString("| | records/s | MB/s | seconds | seconds after first record | CPU s | CPU s after first record " +
		"| peak MB | time / plain | CPU / plain |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	records, bytes := float64(r.Data.Records), float64(r.Data.Records)*float64(r.Data.Size)
	for _, c := range contestants {
		if len(r.of(c.name)) == 0 {
			continue
		}
		each := func(f func(Run) float64) figures {
			var all figures
			for _, run := range r.of(c.name) {
				all = append(all, f(run))
			}
			return all
		}
		seconds := each(Run.seconds)
		fmt.Fprintf(b, "| %s | %s | %.1f | %s | %.1f | %.1f | %.1f | %.0f | %s | %s |\n", c.title,
			thousands(int64(records/seconds.median())), bytes/1e6/seconds.median(),
			seconds.text(1), each(Run.secondsAfterFirst).median(),
			each(Run.cpuSeconds).median(), each(Run.cpuAfterFirst).median(), each(Run.megabytes).median(),
			r.ratio(c.name, Run.seconds, plainLoop, Run.seconds).text(2),
			r.ratio(c.name, Run.cpuSeconds, plainLoop, Run.cpuSeconds).text(2))
	}
}

func (r Run) seconds() float64           { return r.Total.Seconds() }
func (r Run) secondsAfterFirst() float64 { return (r.Total - r.First).Seconds() }
func (r Run) cpuSeconds() float64        { return r.CPU.Seconds() }
func (r Run) cpuAfterFirst() float64     { return (r.CPU - r.FirstCPU).Seconds() }
func (r Run) megabytes() float64         { return float64(r.Peak) / (1 << 20) }

// of gives the runs of one contestant that count.
func (r Result) of(name string) []Run {
	var runs []Run
	for _, run := range r.Runs {
		if run.Contestant == name && run.Failed == "" {
			runs = append(runs, run)
		}
	}
	return runs
}

// ratio compares two contestants round by round.
func (r Result) ratio(name string, f func(Run) float64, other string, g func(Run) float64) figures {
	var all figures
	for _, a := range r.of(name) {
		for _, b := range r.of(other) {
			if a.Round == b.Round && g(b) > 0 {
				all = append(all, f(a)/g(b))
			}
		}
	}
	return all
}

// figures are the same quantity in several rounds.
type figures []float64

func (f figures) median() float64 {
	if len(f) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(f))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func (f figures) text(digits int) string {
	if len(f) == 0 {
		return "-"
	}
	if len(f) == 1 {
		return fmt.Sprintf("%.*f", digits, f[0])
	}
	return fmt.Sprintf("%.*f (%.*f-%.*f)", digits, f.median(), digits, slices.Min(f), digits, slices.Max(f))
}

// goal is a limit that exactly_once is to keep.
type goal struct {
	text   string
	limit  float64
	atMost bool
	digits int
	figure func(Result) figures
	worst  bool // the worst round counts, not the median
}

func goalList() []goal {
	invert := func(f func(Run) float64) func(Run) float64 { return func(r Run) float64 { return 1 / f(r) } }
	over := func(other string, f, g func(Run) float64) func(Result) figures {
		return func(r Result) figures { return r.ratio(exactlyOnce, f, other, g) }
	}
	return []goal{
		{"time, of the plain loop's", 1.3, true, 2, over(plainLoop, Run.seconds, Run.seconds), false},
		{"throughput, of MirrorMaker 2's with exactly once, from the start of the process", 2, false, 2,
			over(mm2ExactOnce, invert(Run.seconds), invert(Run.seconds)), false},
		{"the same, both from their first record on", 2, false, 2,
			over(mm2ExactOnce, invert(Run.secondsAfterFirst), invert(Run.secondsAfterFirst)), false},
		{"CPU, of MirrorMaker 2's with exactly once", 0.5, true, 2,
			over(mm2ExactOnce, Run.cpuSeconds, Run.cpuSeconds), false},
		{"the same, MirrorMaker 2's from its first record on", 0.5, true, 2,
			over(mm2ExactOnce, Run.cpuSeconds, Run.cpuAfterFirst), false},
		{"peak memory, MB, in the worst round", 512, true, 0, func(r Result) figures {
			var all figures
			for _, run := range r.of(exactlyOnce) {
				all = append(all, run.megabytes())
			}
			return all
		}, true},
	}
}

// goals says which goals of exactly_once were reached.
func goals(b *strings.Builder, results []Result) {
	b.WriteString("| exactly_once | goal |")
	line := "|---|---|"
	for _, r := range results {
		fmt.Fprintf(b, " (%s) | |", r.Data.Name)
		line += "---:|---|"
	}
	b.WriteString("\n" + line + "\n")
	for _, g := range goalList() {
		side := "at least"
		if g.atMost {
			side = "at most"
		}
		fmt.Fprintf(b, "| %s | %s %g |", g.text, side, g.limit)
		for _, r := range results {
			text, verdict := g.judge(g.figure(r))
			fmt.Fprintf(b, " %s | %s |", text, verdict)
		}
		b.WriteString("\n")
	}
}

func (g goal) judge(f figures) (text, verdict string) {
	if len(f) == 0 {
		return "-", "not measured"
	}
	value := f.median()
	if g.worst {
		value = slices.Max(f)
	}
	verdict = "missed"
	if g.atMost && value <= g.limit || !g.atMost && value >= g.limit {
		verdict = "reached"
	}
	return fmt.Sprintf("%.*f", g.digits, value), verdict
}

// everyRun lists the runs in the order in which they were made.
func everyRun(b *strings.Builder, results []Result) {
	b.WriteString("| data | round | contestant | seconds | before first record | CPU s | before first record " +
		"| peak MB |\n|---|---:|---|---:|---:|---:|---:|---:|\n")
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }
	for _, r := range results {
		for _, run := range r.Runs {
			fmt.Fprintf(b, "| %s | %d | %s ", r.Data.Name, run.Round, run.Contestant)
			if run.Failed != "" {
				first, _, _ := strings.Cut(run.Failed, "\n")
				fmt.Fprintf(b, "| failed: %s | | | | |\n", strings.ReplaceAll(first, "|", "/"))
				continue
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", seconds(run.Total), seconds(run.First), seconds(run.CPU),
				cmp.Or(seconds(run.FirstCPU), "-"), thousands(run.Peak>>20))
		}
	}
}
