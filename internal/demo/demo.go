// Package demo shows the engine at work with no cluster at hand: it starts two
// embedded ones in this process, fills one, mirrors it with the real engine, moves
// a consumer group over, and compares what was read on both sides.
//
// The central function is [Run]. It guarantees:
//
//  1. what it finds is computed from records and offsets that clients of another
//     library read from the clusters, never from the engine's own account;
//  2. it returns nil only if both sides hold the same records in the same order
//     and the group read each of them once;
//  3. it listens and connects on the loopback interface only, on ports that the
//     system chooses, and nothing of it outlives the call.
//
// It does not show failures, nor how fast a mirror is: the clusters share one
// process with it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/policy"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// Options say how the demonstration runs; the zero value will do.
type Options struct {
	// Log takes what the engine and its clients log; nil: nothing is logged.
	Log *slog.Logger

	// meddle spoils the target between the mirror and the group's move: tests show with it that a fault is seen.
	meddle func(context.Context, *side) error
	// limit is the package's, but in tests.
	limit time.Duration
}

// limit ends a demonstration that hangs; it usually needs a third of it. What
// must be let go of afterwards takes some seconds more.
const limit = 25 * time.Second

const (
	mover   = "billing" // the group that stops half way and goes on on the target
	settled = "audit"   // the group that has read everything on the source
)

// demo is one demonstration and what has been read so far.
type demo struct {
	options  Options
	old, new *side

	want   reading // what a single reader sees on the source
	before reading // what the moving group read on the source
	after  reading // and then on the target
	sight  [2]sight
	raw    [2]int // records that a reader sees who does not mind aborted ones
}

// Run shows everything once and writes to out what happens and what it found.
// Both clusters are gone when it returns. A [*DifferenceError] tells that source
// and target are not equal, any other error that a step could not be done.
func Run(ctx context.Context, out io.Writer, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.limit == 0 {
		o.limit = limit
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, &LateError{After: o.limit})
	defer cancel()
	d := &demo{options: o}
	defer d.close()
	p := newPaper(out)
	p.title("replicator demo: two embedded clusters, one mirror, and both sides compared")
	for _, step := range []struct {
		name, doing string
		do          func(context.Context) (string, error)
	}{
		{"start", "two embedded clusters", d.start},
		{"load", "records on old", d.load},
		{"read", "group " + mover + " reads one half on old", d.read},
		{"mirror", "old -> new, exactly once", d.mirror},
		{"resume", "group " + mover + " goes on on new", d.resume},
		{"compare", "all that was read", d.look},
	} {
		p.begin(step.name, step.doing)
		told, err := step.do(ctx)
		if err != nil {
			p.broken()
			if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return fmt.Errorf("demo, step %s: %w", step.name, err)
		}
		p.end(step.name, told)
	}
	v := d.judge()
	v.print(p)
	if err := v.err(); err != nil {
		return err
	}
	p.good(fmt.Sprintf("source and target are equal; all of this took %s", seconds(time.Since(begun))))
	return nil
}

// LateError tells that the demonstration was ended because it took too long.
type LateError struct{ After time.Duration }

func (e *LateError) Error() string { return fmt.Sprintf("not done after %s", e.After) }

// Remedy tells what to do.
func (e *LateError) Remedy() string {
	return "run it again when the machine is less busy; 'replicator demo --verbose' shows what it waits for"
}

// start starts the clusters.
func (d *demo) start(context.Context) (_ string, err error) {
	if d.old, err = newSide("old"); err != nil {
		return "", err
	}
	if d.new, err = newSide("new"); err != nil {
		return "", err
	}
	return fmt.Sprintf("two embedded clusters in this process: old %s, new %s", d.old.address, d.new.address), nil
}

func (d *demo) close() {
	for _, s := range []*side{d.old, d.new} {
		if s != nil {
			s.close()
		}
	}
}

// load fills the source, and reads it as one reader does.
func (d *demo) load(ctx context.Context) (string, error) {
	made, err := load(ctx, d.old)
	if err != nil {
		return "", err
	}
	if d.want, err = d.old.readAll(ctx, committed); err != nil {
		return "", err
	}
	if got := d.want.count(); got != made.visible {
		return "", fmt.Errorf("%d records were loaded, but a reader sees %d", made.visible, got)
	}
	return fmt.Sprintf("%s records on old: %s plain, the oldest deleted since; %s in %d transactions, %d more aborted",
		grouped(made.visible), plainTopic, transactionalTopic, made.committed, made.aborted), nil
}

// read lets the groups read on the source: one about a half of each partition,
// one everything.
func (d *demo) read(ctx context.Context) (_ string, err error) {
	share, all := map[partition]int{}, map[partition]int{}
	for p, list := range d.want {
		// A different part of each partition, so that positions stand in and between transactions.
		share[p], all[p] = len(list)*(8+int(p.number))/20, len(list)
	}
	if d.before, err = d.old.readGroup(ctx, mover, nil, upTo(share)); err != nil {
		return "", err
	}
	if _, err = d.old.readGroup(ctx, settled, nil, upTo(all)); err != nil {
		return "", err
	}
	return fmt.Sprintf("group %s reads %s of them on old, commits and leaves; group %s reads all",
		mover, grouped(d.before.count()), settled), nil
}

// mirror runs the engine until everything is on the target.
func (d *demo) mirror(ctx context.Context) (string, error) {
	flow := settings.DefaultConfig()
	flow.From, flow.To = d.old.name, d.new.name
	flow.Flows = []policy.Flow{flow.Flow}
	logger := kafka.NewLogger(d.options.Log)
	clusters := map[string]kafka.Config{}
	for _, s := range []*side{d.old, d.new} {
		clusters[s.name] = kafka.Config{
			Name: s.name, Properties: map[string]string{"bootstrap.servers": s.address}, Logger: logger,
		}
	}
	engine := replicate.New(replicate.Options{
		Clusters: clusters, Flows: []settings.Config{flow}, UntilCaughtUp: true, ViewGroups: inspect.ViewGroups(clusters,
			nil),
		Registry: prometheus.NewRegistry(), Log: d.options.Log,
	})
	begun := time.Now()
	if err := engine.Run(ctx); err != nil {
		return "", err
	}
	if ctx.Err() != nil { // the engine was asked to stop, and did
		return "", context.Cause(ctx)
	}
	took := time.Since(begun)
	if d.options.meddle != nil {
		if err := d.options.meddle(ctx, d.new); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("old -> new, exactly once: %s records, %.1f MB in %s",
		grouped(int(engine.Progress().Records)), float64(engine.Progress().Bytes)/1e6, seconds(took)), nil
}

// resume lets the group go on on the target, from where the mirror has put it.
func (d *demo) resume(ctx context.Context) (_ string, err error) {
	for i, s := range []*side{d.old, d.new} {
		if d.sight[i], err = s.see(ctx); err != nil {
			return "", err
		}
	}
	now := d.sight[1]
	d.after, err = d.new.readGroup(ctx, mover, now.positions[mover], toTheEnd(now.bounds))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("group %s goes on on new and reads %s", mover, grouped(d.after.count())), nil
}

// look reads both sides to their ends.
func (d *demo) look(ctx context.Context) (_ string, err error) {
	for i, s := range []*side{d.old, d.new} {
		if d.sight[i].records, err = s.readAll(ctx, committed); err != nil {
			return "", err
		}
		raw, err := s.readAll(ctx, uncommitted)
		if err != nil {
			return "", err
		}
		d.raw[i] = raw.count()
	}
	return "key, value, headers and timestamp of every record, in order, on both sides", nil
}
