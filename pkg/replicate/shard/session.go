package shard

import (
	"context"
	"time"

	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/quarantine"
	"replicator/pkg/replicate/wait"
)

// session is one life of a worker's handles: from taking over the shard to the
// first error. Nothing of it is remembered afterwards.
type session struct {
	flow       *Flow
	shard      int
	retry      *wait.Retry
	quarantine *quarantine.Partitions
	signs      *signs

	batch    int // largest batch that the target takes, bytes
	begun    time.Time
	assigned *assignment

	assigner     *assigner
	intake       *intake
	cuts         *cutFinder
	copier       *copier
	transactions *transactions
	trimmer      *trimmer
}

// takeover is what a session has taken over: the doors, and what the shard's last owner has committed.
type takeover struct {
	in    reader
	out   Writer
	batch int // largest batch of out, bytes
	book  *ledger.Shard
	end   int64 // of the ledger partition
}

func (w *Worker) newSession(t takeover) (*session, error) {
	now, assigned := time.Now(), newAssignment()
	intake := newIntake(t.in, w.size, w.flow.inBatches())
	transactions := &transactions{flow: w.flow, shard: w.Shard, out: t.out, book: t.book, published: w.Published,
		ledgerEnd: t.end}
	foreign := &foreignRecords{flow: w.flow, log: w.log, committed: map[ledger.Key]bool{}}
	cuts := &cutFinder{flow: w.flow, shard: w.Shard, log: w.log, book: t.book, signs: w.signs, quarantine: w.quarantine,
		foreign: foreign}
	assigner := &assigner{flow: w.flow, shard: w.Shard, log: w.log, quarantine: w.quarantine, signs: w.signs,
		published: w.Published, book: t.book, assigned: assigned, intake: intake, transactions: transactions, cuts: cuts}
	var err error
	if transactions.seen, err = newSeenNotes(assigner); err != nil {
		return nil, err
	}
	return &session{flow: w.flow, shard: w.Shard, retry: &w.retry, quarantine: w.quarantine, signs: w.signs,
		batch: t.batch, begun: now, assigned: assigned, intake: intake, cuts: cuts, transactions: transactions,
		assigner: assigner,
		copier: &copier{flow: w.flow, log: w.log, retry: &w.retry, quarantine: w.quarantine, size: w.size,
			published: w.Published, book: t.book, assigned: assigned, intake: intake, transactions: transactions, cuts: cuts,
			foreign: foreign, committed: now},
		trimmer: &trimmer{flow: w.flow, book: t.book, assigned: assigned, transactions: transactions, trimmed: now},
	}, nil
}

// run goes on until ctx ends, or something has changed or failed: that is its error. What was begun is finished.
func (s *session) run(ctx context.Context) error {
	finish, cancel := withGrace(ctx)
	defer cancel()
	for ctx.Err() == nil {
		if err := s.step(ctx, finish); err != nil {
			return err
		}
	}
	return s.copier.commitProgress(finish)
}

// withGrace is a context for finishing what was begun: it ends some seconds
// after ctx does.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	finish, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return finish, func() { stop(); cancel() }
}

// step copies what has arrived, or commits progress alone, or waits for news. ctx says whether
// to go on; finish is for what must not be left half done.
func (s *session) step(ctx, finish context.Context) error {
	if note := s.transactions.seen.alone(time.Now()); note != nil { // also while the source is away
		if err := s.transactions.write(finish, note); err != nil {
			return err
		}
	}
	if version := s.flow.Topology.VersionNow(); version != s.assigned.version || s.quarantine.Due() || s.signs.alarmed() {
		if err := s.assign(ctx, version); err != nil {
			return err
		}
	}
	if s.assigned.undecided {
		if err := s.transactions.overtaken(ctx); err != nil {
			return err
		}
	}
	if s.trimmer.due() {
		if err := s.trimmer.trim(finish); err != nil {
			return err
		}
	}
	if len(s.assigned.routes) == 0 {
		s.flow.Topology.Await(ctx, s.assigned.version, progressEvery)
		return nil
	}
	if owed := s.flow.Pace.Wait(time.Now(), idleWait); owed > 0 {
		s.flow.Topology.Await(ctx, s.assigned.version, owed)
		if s.copier.progressDue() {
			return s.copier.commitProgress(finish)
		}
		return nil
	}
	read, err := s.intake.next(ctx, idleWait)
	if err != nil {
		return err
	}
	if err := s.cuts.compareLast(ctx, s.assigned, read); err != nil {
		return err
	}
	if s.signs.alarmed() {
		return errAgain // what was read may stand where something else was
	}
	if read.Records > 0 {
		return s.copier.copy(ctx, finish, read)
	}
	s.copier.note(read)
	if time.Since(s.begun) > 2*wait.MaxDelay {
		s.retry.Reset() // nothing to copy, and nothing fails
		s.quarantine.Recovered()
	}
	if s.copier.progressDue() {
		return s.copier.commitProgress(finish)
	}
	return nil
}

// assign decides anew which partitions are copied. What was read so far is committed, so that it is not read again.
func (s *session) assign(ctx context.Context, version uint64) error {
	if err := s.copier.commitProgress(ctx); err != nil {
		return err
	}
	if !s.flow.inBatches() && s.flow.batchBytes(s.shard) != s.batch {
		return errAgain // with a writer whose batches fit
	}
	return s.assigner.assign(ctx, version)
}
