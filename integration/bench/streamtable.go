package bench

import (
	"fmt"
	"strings"
	"time"
)

// table has one line for each contestant.
func (r StreamResult) table(b *strings.Builder) {
	b.WriteString("| | p50 ms | p99 ms | worst ms | CPU s | peak MB | records |\n|---|---:|---:|---:|---:|---:|---:|\n")
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	for _, c := range contestants {
		for _, run := range r.Runs {
			switch {
			case run.Contestant != c.name:
			case run.Failed != "":
				fmt.Fprintf(b, "| %s | failed: %s | | | | | |\n", c.title, cell(run.Failed))
			default:
				fmt.Fprintf(b, "| %s | %.1f | %.1f | %.1f | %.2f | %d | %s |\n", c.title, ms(run.P50), ms(run.P99),
					ms(run.Worst), run.CPU.Seconds(), run.Peak>>20, thousands(int64(run.Records)))
			}
		}
	}
}

func (r StreamRun) p99() float64       { return float64(r.P99) / float64(time.Millisecond) }
func (r StreamRun) megabytes() float64 { return float64(r.Peak) / (1 << 20) }

// stream gives what was done with one; nothing if there was none.
func (r Results) stream(name string) StreamResult {
	for _, one := range r.Streams {
		if one.Stream.Name == name {
			return one
		}
	}
	return StreamResult{}
}

// whileFollowing are the goals that have to do with streams.
func whileFollowing(results Results) []goal {
	f, g := results.stream("f"), results.stream("g")
	ours, theirs := g.each(exactlyOnce, StreamRun.p99), g.each(mm2ExactOnce, StreamRun.p99)
	var ratio figures
	if ours != nil && theirs != nil {
		ratio = figures{ours[0] / theirs[0]}
	}
	list := []goal{
		{exactlyOnce, "99th percentile of the latency, of MirrorMaker 2's with exactly once", "g", 1, atMost, false, 2,
			ratio},
		{fastCommits, "99th percentile of the latency, ms", "g", 150, atMost, false, 0,
			g.each(fastCommits, StreamRun.p99)},
	}
	for _, of := range []struct {
		name   string
		result StreamResult
	}{{"f", f}, {"g", g}} {
		list = append(list, goal{exactlyOnce, "peak memory, MB", of.name, 128, atMost, false, 0,
			of.result.each(exactlyOnce, StreamRun.megabytes)})
	}
	return list
}
