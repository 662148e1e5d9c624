package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	watchEvery = 100 * time.Millisecond
	runLimit   = 20 * time.Minute
	stallLimit = 90 * time.Second // without anything new on the target
	tail       = 64               // offsets before the end in which the last record is looked for
)

// Site is where the comparison takes place.
type Site struct {
	Source, Target string // bootstrap addresses of two clusters with nothing in them
	Libs           string // folder with MirrorMaker 2's jars
	Dir            string // for programs, configurations and logs
}

// Options say what to compare.
type Options struct {
	Data   []Data
	Rounds int
	Warm   bool                             // first copy once with the plain loop and exactly once, uncounted
	Only   *regexp.Regexp                   // limits the contestants, by data/name as in a/plain; nil: all
	Say    func(format string, args ...any) // told of each step
}

// Run is what one contestant did in one round.
type Run struct {
	Contestant string
	Round      int           // 1 first
	Total      time.Duration // from the start of the process to its end, or until the target had all
	First      time.Duration // from the start of the process until the first record was visible; within 0.1 s
	CPU        time.Duration // user and system time of the process
	FirstCPU   time.Duration // the part of it before the first record; 0 where the system does not tell
	Peak       int64         // resident memory, bytes
	Failed     string        // why the figures do not count
}

// Result is all that was done with one topic.
type Result struct {
	Data Data
	Runs []Run
}

// Compare lets the contestants copy the data, in turn and several times over. Its
// error says why there could be no comparison; a contestant that failed is a Run.
func Compare(ctx context.Context, site Site, o Options) ([]Result, error) {
	tools, err := build(ctx, site.Dir)
	if err != nil {
		return nil, err
	}
	b := &bench{site: &site, options: o, tools: tools}
	if b.source, err = openReader(site.Source); err != nil {
		return nil, err
	}
	defer b.source.close()
	if b.target, err = openReader(site.Target); err != nil {
		return nil, err
	}
	defer b.target.close()
	var results []Result
	for _, d := range o.Data {
		r, err := b.data(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("data %s: %w", d.Name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

type bench struct {
	site           *Site
	options        Options
	tools          *tools
	source, target *reader
}

// data compares on one topic. Every second round is in reverse order, so that
// nobody always comes after the same one.
func (b *bench) data(ctx context.Context, d Data) (Result, error) {
	result := Result{Data: d}
	b.options.Say("%s: writing %s", d.Name, d)
	if err := d.load(ctx, b.site.Source); err != nil {
		return result, err
	}
	want, err := b.source.content(ctx, d.topic(), 0)
	if err != nil {
		return result, err
	}
	var chosen []contestant
	for _, c := range contestants {
		if b.options.Only == nil || b.options.Only.MatchString(d.Name+"/"+c.name) {
			chosen = append(chosen, c)
		}
	}
	if b.options.Warm {
		for _, c := range contestants[:2] {
			if _, err := b.run(ctx, c, d, 0, want); err != nil {
				return result, err
			}
		}
	}
	for round := 1; round <= b.options.Rounds; round++ {
		for _, c := range chosen {
			run, err := b.run(ctx, c, d, round, want)
			if err != nil {
				return result, err
			}
			result.Runs = append(result.Runs, run)
		}
		slices.Reverse(chosen)
	}
	return result, b.source.clear(ctx)
}

// run measures one contestant, compares its copy, and clears up after it.
func (b *bench) run(ctx context.Context, c contestant, d Data, round int, want *content) (Run, error) {
	j := &job{site: b.site, tools: b.tools, data: d}
	j.alias = fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(c.name, "_", "-"), d.Name, round)
	j.dir = filepath.Join(b.site.Dir, j.alias)
	if err := os.Mkdir(j.dir, 0o755); err != nil {
		return Run{}, err
	}
	run, err := b.measure(ctx, c, j, want)
	if err != nil {
		if ctx.Err() != nil {
			return Run{}, err
		}
		run.Failed = err.Error()
	}
	run.Contestant, run.Round = c.name, round
	if run.Failed == "" {
		have, err := b.target.content(ctx, j.target(), 0)
		if err != nil {
			return run, err
		}
		run.Failed = have.differs(want)
	}
	b.options.Say("%s: round %d, %s: %s", d.Name, round, c.name, run)
	return run, errors.Join(b.target.clear(ctx), b.source.clear(ctx, d.topic()))
}

func (r Run) String() string {
	if r.Failed != "" {
		return "FAILED: " + r.Failed
	}
	return fmt.Sprintf("%.1f s, of it %.1f before the first record; %.1f CPU s, of it %.1f before; %d MB",
		r.Total.Seconds(), r.First.Seconds(), r.CPU.Seconds(), r.FirstCPU.Seconds(), r.Peak>>20)
}

// measure lets a contestant copy, and watches.
func (b *bench) measure(ctx context.Context, c contestant, j *job, want *content) (Run, error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd, err := c.prepare(ctx, j)
	if err != nil {
		return Run{}, err
	}
	cmd.Dir = j.dir
	p, err := start(cmd, filepath.Join(j.dir, "log"))
	if err != nil {
		return Run{}, err
	}
	defer p.kill()
	w := &watch{process: p, reader: b.target, topic: j.target(), want: want, moved: p.begun}
	complete, err := w.run(ctx, c.endless)
	if err != nil {
		return Run{}, fmt.Errorf("%w; it said:\n%s", err, p.said())
	}
	p.kill()
	run := Run{Total: complete.Sub(p.begun), First: w.first, CPU: p.cpu(), FirstCPU: w.firstCPU, Peak: w.peak}
	if w.first == 0 || w.first > run.Total { // all of it between two looks
		run.First = run.Total
	}
	if run.Peak == 0 {
		run.Peak = p.peak()
	}
	return run, nil
}
