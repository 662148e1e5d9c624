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

	"replicator/integration/cluster"
)

const (
	watchEvery = 100 * time.Millisecond
	warmCopies = 4
	runLimit   = 20 * time.Minute
	stallLimit = 90 * time.Second // without anything new on the target
	// roundTrip is how long everything to a cluster that is far away takes, there and back.
	roundTrip = 50 * time.Millisecond
)

// Site is where the comparison takes place.
type Site struct {
	Source, Target string // bootstrap addresses of two clusters with nothing in them
	// FarSource and FarTarget are the same clusters by way of long lines, [roundTrip] there and back.
	FarSource, FarTarget string
	Libs                 string // folder with MirrorMaker 2's jars
	Dir                  string // for programs, configurations and logs
}

// Options say what to compare.
type Options struct {
	Data    []Data
	Rounds  int
	Streams []Stream                         // after the data, one round
	Warm    bool                             // first copy once with some, uncounted
	Only    *regexp.Regexp                   // limits the contestants, by data/name as in a/plain; nil: all
	Say     func(format string, args ...any) // told of each step
}

// to gives the part that copies to one Kafka version.
func (o Options) to(version string) Options {
	part := o
	part.Data = slices.DeleteFunc(slices.Clone(o.Data), func(d Data) bool {
		return d.Target != version || len(choose(d.Name, d.By, o.Only)) == 0
	})
	part.Streams = slices.DeleteFunc(slices.Clone(o.Streams), func(s Stream) bool {
		return version != cluster.DefaultVersion || len(choose(s.Name, s.By, o.Only)) == 0
	})
	return part
}

// empty says that there is nothing to do.
func (o Options) empty() bool { return len(o.Data)+len(o.Streams) == 0 }

// Run is what one contestant did in one round.
type Run struct {
	Contestant string
	Round      int           // 1 first
	Total      time.Duration // from the start of the process to its end, or until the target had all
	First      time.Duration // from the start of the process until records were visible; within 0.1 s
	Seen       int64         // how many were visible then
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

// Results are those of a whole comparison.
type Results struct {
	Copies  []Result
	Streams []StreamResult
	Losses  []LossRun
}

func (r *Results) add(more Results) {
	r.Copies = append(r.Copies, more.Copies...)
	r.Streams = append(r.Streams, more.Streams...)
}

// unequal tells of every contestant that failed.
func (r Results) unequal(tell func(format string, args ...any)) {
	for _, one := range r.Copies {
		for _, run := range one.Runs {
			if run.Failed != "" {
				tell("%s: round %d, %s: %s", one.Data.Name, run.Round, run.Contestant, run.Failed)
			}
		}
	}
	for _, one := range r.Streams {
		for _, run := range one.Runs {
			if run.Failed != "" {
				tell("%s: %s: %s", one.Stream.Name, run.Contestant, run.Failed)
			}
		}
	}
}

// Compare lets the contestants copy the data, in turn and several times over. Its
// error says why there could be no comparison; a contestant that failed is a Run.
func Compare(ctx context.Context, site Site, o Options) (Results, error) {
	var results Results
	tools, err := build(ctx, site)
	if err != nil {
		return results, err
	}
	b := &bench{site: &site, options: o, tools: tools}
	if b.source, err = openReader(site.Source); err != nil {
		return results, err
	}
	defer b.source.close()
	if b.target, err = openReader(site.Target); err != nil {
		return results, err
	}
	defer b.target.close()
	for i, d := range o.Data {
		r, err := b.data(ctx, d, o.Warm && i == 0)
		if err != nil {
			return results, fmt.Errorf("data %s: %w", d.Name, err)
		}
		results.Copies = append(results.Copies, r)
	}
	for _, s := range o.Streams {
		r, err := b.stream(ctx, s)
		if err != nil {
			return results, fmt.Errorf("stream %s: %w", s.Name, err)
		}
		results.Streams = append(results.Streams, r)
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
func (b *bench) data(ctx context.Context, d Data, cold bool) (Result, error) {
	result := Result{Data: d}
	chosen := choose(d.Name, d.By, b.options.Only)
	b.options.Say("%s: writing %s", d.Name, d)
	if err := d.load(ctx, b.site.Source); err != nil {
		return result, err
	}
	want, err := b.source.content(ctx, d.topic(), d.Partitions, 0)
	if err != nil {
		return result, err
	}
	if err := b.warm(ctx, d, cold, want); err != nil {
		return result, err
	}
	rounds := b.options.Rounds
	if d.Rounds > 0 {
		rounds = min(rounds, d.Rounds)
	}
	for round := 1; round <= rounds; round++ {
		for _, c := range chosen {
			if c.most > 0 && round > c.most {
				continue
			}
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

// warm makes the brokers compile what they will run: with the first data by the
// plain loop, and by exactly_once each time, until it gets no faster.
func (b *bench) warm(ctx context.Context, d Data, cold bool, want content) error {
	if !b.options.Warm || d.Far != Nothing {
		return nil
	}
	names := []string{exactlyOnce}
	if cold {
		names = append(names, plainLoop)
	}
	for i := range warmCopies {
		for _, c := range choose(d.Name, names, nil) {
			if _, err := b.run(ctx, c, d, -i, want); err != nil {
				return err
			}
		}
		names = names[:1]
	}
	return nil
}

// job makes a contestant's task and its folder.
func (b *bench) job(c contestant, data string, round int) (*job, error) {
	j := &job{tools: b.tools, name: c.name, source: b.site.Source, target: b.site.Target}
	j.alias = fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(c.name, "_", "-"), data, round)
	j.dir = filepath.Join(b.site.Dir, j.alias)
	return j, os.Mkdir(j.dir, 0o755)
}

// run measures one contestant, compares its copy, and clears up after it.
func (b *bench) run(ctx context.Context, c contestant, d Data, round int, want content) (Run, error) {
	j, err := b.job(c, d.Name, round)
	if err != nil {
		return Run{}, err
	}
	j.topic, j.partitions, j.codec = d.topic(), d.Partitions, d.Codec
	switch d.Far {
	case FarSource:
		j.source = b.site.FarSource
	case FarTarget:
		j.target = b.site.FarTarget
	}
	run, err := b.measure(ctx, c, j, d, want)
	if err != nil {
		if ctx.Err() != nil {
			return Run{}, err
		}
		run.Failed = err.Error()
	}
	run.Contestant, run.Round = c.name, round
	if run.Failed == "" {
		have, err := b.target.content(ctx, j.copied(), d.Partitions, 0)
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
func (b *bench) measure(ctx context.Context, c contestant, j *job, d Data, want content) (Run, error) {
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
	w := &watch{process: p, reader: b.target, topic: j.copied(), want: want, tail: d.tail(), moved: p.begun}
	complete, err := w.run(ctx, c.endless)
	if err != nil {
		return Run{}, fmt.Errorf("%w; it said:\n%s", err, p.said())
	}
	p.kill()
	run := Run{Total: complete.Sub(p.begun), First: w.first, Seen: w.seen, CPU: p.cpu(), FirstCPU: w.firstCPU,
		Peak: w.peak}
	if w.first == 0 || w.first > run.Total { // all of it between two looks
		run.First, run.Seen = run.Total, int64(d.Records)
	}
	if run.Peak == 0 {
		run.Peak = p.peak()
	}
	return run, nil
}
