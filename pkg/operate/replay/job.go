package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/wait"
	"replicator/pkg/replicate/wire"
)

// Job writes records to topics of a cluster that are there.
type Job struct {
	Cluster kafka.Config
	Prefix  string // of all names that are ours there
	// Name tells this job from others: what is given again under the same name goes on where it ended.
	Name string
	// Topics are those that are written to, and how many partitions each needs.
	Topics map[string]int
	// Records hands over each record with its position, which ascends in each partition: always the same ones, from
	// the beginning at each call.
	Records func(ctx context.Context, give func(position int64, r *kgo.Record) error) error
	// Own: the topics hold nothing but what this job wrote; what else is in them is refused.
	Own bool
	// Place is what a position is, as in "line 7".
	Place func(position int64) string

	// committing is called before each commit, for tests that end there; nil: nothing.
	committing func() error
}

// Written is what a job has done.
type Written struct {
	Records int64 `json:"written"`        // by this run
	Before  int64 `json:"written_before"` // by former ones, and not again
}

const (
	// heldBytes and heldRecords bound one transaction, which is in memory as a whole.
	heldBytes   = 8 << 20
	heldRecords = 10_000
	windowBytes = 4 << 20
	mostTries   = 5 // failures in a row
	pauseFor    = 500 * time.Millisecond
)

// Run writes what is not written yet. A run that ends at any point, by force as well, is given again.
func (j *Job) Run(ctx context.Context) (Written, error) {
	topics, err := j.describe(ctx)
	if err != nil || len(topics) == 0 {
		return Written{}, err
	}
	if err := j.ensureProgress(ctx); err != nil {
		return Written{}, err
	}
	var begun map[chunk.Partition]int64 // where this run found progress; nil: not known yet
	var all Written
	for try := 1; ; try++ {
		s := &session{Job: j, topics: topics, begun: begun}
		err := s.run(ctx)
		begun = s.begun
		if err == nil {
			return Written{Records: s.skipped + s.written - s.before, Before: s.before}, nil
		}
		if all.Records += s.written; s.written > 0 {
			try = 1
		}
		if ctx.Err() != nil || !passes(err) || try == mostTries {
			return all, j.explain(err)
		}
		if err := wait.Pause(ctx, pauseFor); err != nil {
			return all, err
		}
	}
}

// passes says whether an error may be gone at the next try.
func passes(err error) bool {
	var problem *kafka.Problem
	var stop *chunk.Stop
	return !errors.As(err, &problem) && !errors.As(err, &stop) && !fenced(err)
}

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

func (j *Job) explain(err error) error {
	var stop *chunk.Stop
	switch {
	case err == nil:
		return nil
	case fenced(err):
		return &kafka.Problem{What: "another run of this command has taken over", Err: err,
			Fix: "leave it to that one, or end it and give this command again"}
	case errors.As(err, &stop):
		return &kafka.Problem{What: fmt.Sprintf("cluster %s does not take what goes to %s as it is, at or behind %s",
			j.Cluster.Name, stop.Partition, j.Place(int64(stop.At))), Err: stop,
			Fix: fmt.Sprintf("see the settings of topic %s there (max.message.bytes, message.timestamp.*, cleanup.policy) and "+
				"the rights on it; then give the same command again: what was written stays, and is not written twice",
				stop.Partition.Topic)}
	}
	return j.Cluster.ExplainTransactions(j.transactionalID(), j.Cluster.Explain(err))
}

func (j *Job) transactionalID() string {
	return j.Prefix + "replicator.replay." + j.Name[:min(32, len(j.Name))]
}

// session is one writer's life; any error ends it, and the next one reads what holds.
type session struct {
	*Job
	topics map[string]topic
	out    *sink.Batches
	next   map[chunk.Partition]int64 // the first position that is not written; nil: not known

	held     map[chunk.Partition][]item
	bytes, n int // that are held

	begun                    map[chunk.Partition]int64 // what next was at the run's first session
	written, skipped, before int64                     // before: skipped by begun already
}

type item struct {
	position int64
	record   *kgo.Record
}

func (s *session) run(ctx context.Context) error {
	limits, err := s.asked(ctx)
	if err != nil {
		return err
	}
	s.out = sink.OpenBatches(sink.Config{Target: s.Cluster, TransactionalID: s.transactionalID(), ExactlyOnce: true,
		Ledger: s.progressTopic(), Longest: limits.Transaction, Window: sink.NewWindow(windowBytes),
		Rebuilt: func(string) {}})
	defer s.out.Close()
	if err := s.out.Init(ctx); err != nil { // what a former run left open is settled, and that run is fenced
		return err
	}
	if s.next, err = s.readProgress(ctx); err != nil {
		return err
	}
	if s.begun == nil {
		if err := s.own(ctx); err != nil {
			return err
		}
		s.begun = s.next
	}
	s.held = map[chunk.Partition][]item{}
	if err := s.Records(ctx, func(position int64, r *kgo.Record) error { return s.take(ctx, position, r) }); err != nil {
		return err
	}
	return s.commit(ctx)
}

// take holds a record that is not written yet, until there are enough for a transaction.
func (s *session) take(ctx context.Context, position int64, r *kgo.Record) error {
	at := chunk.Partition{Topic: r.Topic, Number: r.Partition}
	if position < s.begun[at] {
		s.before++
	}
	if position < s.next[at] {
		s.skipped++
		return nil
	}
	s.held[at] = append(s.held[at], item{position, r})
	s.n++
	if s.bytes += sizeOf(r); s.bytes < heldBytes && s.n < heldRecords {
		return nil
	}
	return s.commit(ctx)
}

// commit writes what is held and how far that is, together.
func (s *session) commit(ctx context.Context) error {
	if s.n == 0 {
		return nil
	}
	if err := s.out.Begin(); err != nil {
		return err
	}
	var notes []chunk.LedgerRecord
	for _, at := range slices.SortedFunc(maps.Keys(s.held), chunk.Partition.Compare) {
		items := s.held[at]
		batches, err := encode(items, s.topics[at.Topic].most)
		if err == nil {
			err = s.out.Write(ctx, chunk.Part{Partition: at, Batches: batches}, at.Topic)
		}
		if err != nil {
			return err
		}
		notes = append(notes, s.note(at, items[len(items)-1].position+1))
	}
	if _, err := s.out.AwaitAcks(ctx); err != nil {
		return err
	}
	if s.committing != nil {
		if err := s.committing(); err != nil {
			return err
		}
	}
	if _, err := s.out.Commit(ctx, notes); err != nil {
		return err
	}
	s.written += int64(s.n)
	clear(s.held)
	s.bytes, s.n = 0, 0
	return nil
}

// encode makes batches of at most so many bytes before compression; a record that has more alone stands alone.
func encode(items []item, most int) (batches []chunk.Batch, err error) {
	for len(items) > 0 {
		size, n := 0, 0
		var row []*kgo.Record
		var at []offsets.Source
		for ; n < len(items) && (n == 0 || size+sizeOf(items[n].record) <= most); n++ {
			row, at = append(row, items[n].record), append(at, offsets.Source(items[n].position))
			size += sizeOf(items[n].record)
		}
		raw, err := wire.Encode(row, kgo.CodecLz4)
		if err != nil {
			return nil, err
		}
		batches = append(batches, chunk.Batch{Raw: raw, First: at[0], Count: n, Offsets: at})
		items = items[n:]
	}
	return batches, nil
}

// sizeOf is no less than what a record takes in a batch.
func sizeOf(r *kgo.Record) int {
	size := 70 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 20 + len(h.Key) + len(h.Value)
	}
	return size
}
