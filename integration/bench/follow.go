package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

// streamLimit is how long a contestant may take beyond settling and span, its start
// among it.
const streamLimit = 3 * time.Minute

// stream compares on one stream.
func (b *bench) stream(ctx context.Context, s Stream) (StreamResult, error) {
	result := StreamResult{Stream: s}
	for _, c := range choose(s.Name, s.By, b.options.Only) {
		run, err := b.follow(ctx, c, s)
		if err != nil {
			return result, err
		}
		result.Runs = append(result.Runs, run)
	}
	return result, nil
}

// follow lets one contestant copy while a topic of its own is written to, compares
// the copy, and clears up.
func (b *bench) follow(ctx context.Context, c contestant, s Stream) (StreamRun, error) {
	j, err := b.job(c, s.Name, 1)
	if err != nil {
		return StreamRun{}, err
	}
	j.topic, j.partitions, j.codec, j.follow = "bench-"+j.alias, s.Partitions, "none", true
	if err := workload.Topics(ctx, j.source, int32(s.Partitions), nil, j.topic); err != nil {
		return StreamRun{}, err
	}
	run, err := b.keepUp(ctx, c, j, s)
	if err != nil {
		if ctx.Err() != nil {
			return StreamRun{}, err
		}
		run.Failed = err.Error()
	}
	run.Contestant = c.name
	if run.Failed == "" {
		want, err := b.source.content(ctx, j.topic, s.Partitions, 0)
		if err != nil {
			return run, err
		}
		have, err := b.target.content(ctx, j.copied(), s.Partitions, 0)
		if err != nil {
			return run, err
		}
		run.Failed = have.differs(want)
	}
	b.options.Say("%s: %s: %s", s.Name, c.name, run)
	return run, errors.Join(b.target.clear(ctx), b.source.clear(ctx))
}

// keepUp starts a contestant and somebody who writes, and kills it when all that was
// written has come through.
func (b *bench) keepUp(ctx context.Context, c contestant, j *job, s Stream) (StreamRun, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Settle+s.Span+streamLimit, errors.New("not done in time"))
	defer cancel()
	cmd, err := c.prepare(ctx, j)
	if err != nil {
		return StreamRun{}, err
	}
	cmd.Dir = j.dir
	p, err := start(cmd, filepath.Join(j.dir, "log"))
	if err != nil {
		return StreamRun{}, err
	}
	defer p.kill()
	alive, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go func() { // ends with the process, which is killed at the latest when this returns
		<-p.exited
		gone(fmt.Errorf("it ended: %v", p.cmd.ProcessState))
	}()
	run, err := b.measureStream(alive, p, s, j.topic, j.copied())
	if err != nil {
		if cause := context.Cause(alive); cause != nil {
			err = cause
		}
		return run, fmt.Errorf("%w; it said:\n%s", err, p.said())
	}
	p.kill()
	if run.Peak == 0 {
		run.Peak = p.peak()
	}
	return run, nil
}

// measureStream writes to a topic, reads its copy, and measures.
func (b *bench) measureStream(ctx context.Context, p *process, s Stream, from, to string) (StreamRun, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	end, written := make(chan struct{}), make(chan int, 1) // one answer
	go func() {
		n, err := s.write(ctx, b.source.bootstrap, from, end)
		if err != nil {
			stop(fmt.Errorf("write to the source: %w", err))
			return
		}
		written <- n
	}()
	client, err := b.target.follow(ctx, to, s.Partitions)
	if err != nil {
		return StreamRun{}, errors.Join(context.Cause(ctx), err)
	}
	defer client.Close()
	var run StreamRun
	r := &ruler{stream: s, seen: map[int32]bool{}}
	var cpu time.Duration // at the begin of the span
	for begun, ended, total := false, false, -1; total < 0 || r.records < total; {
		if err := r.poll(ctx, client); err != nil {
			return run, errors.Join(context.Cause(ctx), err)
		}
		now := time.Now()
		if !begun && !r.from.IsZero() && now.After(r.from) {
			begun = true
			cpu, _ = p.sample()
		}
		if begun && !ended && now.After(r.to) {
			ended = true
			have, _ := p.sample()
			run.CPU = have - cpu
			close(end)
		}
		select {
		case total = <-written:
		default:
		}
	}
	_, run.Peak = p.sample()
	return run, r.figures(&run)
}

// poll waits a moment for records and notes them.
func (r *ruler) poll(ctx context.Context, client *kgo.Client) error {
	moment, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	fetches := client.PollFetches(moment)
	now := time.Now()
	if err := fetches.Err(); err != nil && (moment.Err() == nil || ctx.Err() != nil) {
		return fmt.Errorf("read the target: %w", err)
	}
	var failure error
	fetches.EachRecord(func(record *kgo.Record) {
		failure = errors.Join(failure, r.take(record, now))
	})
	return failure
}

// follow opens a read_committed consumer of a topic as soon as there is one.
func (r *reader) follow(ctx context.Context, topic string, partitions int) (*kgo.Client, error) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		ends, err := r.stable(ctx, topic, partitions)
		if err != nil {
			return nil, err
		}
		if ends != nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		from[int32(p)] = kgo.NewOffset().At(0)
	}
	return kgo.NewClient(kgo.SeedBrokers(r.bootstrap), kgo.ClientID("bench"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
}
