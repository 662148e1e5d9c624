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
func Markdown(machine []string, results Results) string {
	var b strings.Builder
	for _, line := range machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, r := range results.Copies {
		fmt.Fprintf(&b, "\n### (%s) %s\n\n", r.Data.Name, r.Data)
		r.table(&b)
	}
	for _, r := range results.Streams {
		fmt.Fprintf(&b, "\n### (%s) %s\n\n", r.Stream.Name, r.Stream)
		r.table(&b)
	}
	if len(results.Losses) > 0 {
		fmt.Fprintf(&b, "\n### (j) the source is killed under load: %s\n\n", TheLoss(0).load())
		lossTable(&b, results.Losses)
	}
	b.WriteString("\n### Goals\n\n")
	goals(&b, goalList(results))
	b.WriteString("\n### Every run\n\n")
	everyRun(&b, results.Copies)
	return b.String()
}

// table has one line for each contestant: medians over the rounds, with the least
// and the most of time and of the ratios.
func (r Result) table(b *strings.Builder) {
	b.WriteString("| | records/s | MB/s | seconds | seconds after first | CPU s | CPU s after first | peak MB " +
		"| time / plain | CPU / plain | throughput / raw |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range contestants {
		if len(r.of(c.name)) == 0 {
			continue
		}
		seconds := r.each(c.name, Run.seconds)
		fmt.Fprintf(b, "| %s | %s | %.1f | %s | %.1f | %.2f | %.2f | %.0f | %s | %s | %s |\n", c.title,
			thousands(int64(float64(r.Data.Records)/seconds.median())), r.megabytes()/seconds.median(),
			seconds.text(1), r.each(c.name, Run.secondsAfterFirst).median(),
			r.each(c.name, Run.cpuSeconds).median(), r.each(c.name, Run.cpuAfterFirst).median(),
			r.each(c.name, Run.megabytes).median(),
			r.ratio(c.name, Run.seconds, plainLoop, Run.seconds).text(2),
			r.ratio(c.name, Run.cpuSeconds, plainLoop, Run.cpuSeconds).text(2),
			r.ratio(rawCopy, Run.seconds, c.name, Run.seconds).text(2))
	}
}

// megabytes are those of all values.
func (r Result) megabytes() float64 { return float64(r.Data.Records) * float64(r.Data.Size) / 1e6 }

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

func (r Result) each(name string, f func(Run) float64) figures {
	var all figures
	for _, run := range r.of(name) {
		all = append(all, f(run))
	}
	return all
}

// pace is how many records a second became visible after the first ones; 0 where
// all became so at once.
func (r Result) pace(run Run) float64 {
	rest := int64(r.Data.Records) - run.Seen
	if rest <= 0 || run.Total <= run.First {
		return 0
	}
	return float64(rest) / run.secondsAfterFirst()
}

// ratio compares two contestants round by round.
func (r Result) ratio(name string, f func(Run) float64, other string, g func(Run) float64) figures {
	var all figures
	for _, a := range r.of(name) {
		for _, b := range r.of(other) {
			if a.Round == b.Round && f(a) > 0 && g(b) > 0 {
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

// everyRun lists the runs in the order in which they were made.
func everyRun(b *strings.Builder, results []Result) {
	b.WriteString("| data | round | contestant | seconds | before first | visible then | CPU s | before first " +
		"| peak MB |\n|---|---:|---|---:|---:|---:|---:|---:|---:|\n")
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
	for _, r := range results {
		for _, run := range r.Runs {
			fmt.Fprintf(b, "| %s | %d | %s ", r.Data.Name, run.Round, run.Contestant)
			if run.Failed != "" {
				fmt.Fprintf(b, "| failed: %s | | | | | |\n", cell(run.Failed))
				continue
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", seconds(run.Total), seconds(run.First),
				thousands(run.Seen), seconds(run.CPU), cmp.Or(seconds(run.FirstCPU), "-"), thousands(run.Peak>>20))
		}
	}
}

// cell is the beginning of a text, as a table can hold it.
func cell(text string) string {
	line := []rune(strings.NewReplacer("|", "/", "\n", "; ").Replace(text))
	return string(line[:min(len(line), 200)])
}
