package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/identity"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/lastcopied"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/metrics"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/pace"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/quarantine"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/topology"
	"replicator/pkg/replicate/txlimit"
	"replicator/pkg/replicate/wait"
)

// notClosed is [handover.NotClosed] for a shard of which only its own ledger partition is read.
func (f *Flow) notClosed(ctx context.Context, book *ledger.Shard) error {
	if !handover.IsClosed(handover.NotClosed(book, book, f.Name)) {
		return nil
	}
	first, err := ledger.ReadFirst(ctx, f.Target, f.Cfg.LedgerTopic(), f.Cfg.Shards, 1)
	if err == nil && len(first) == 0 { // it was there a moment ago
		err = fmt.Errorf("ledger topic %q is gone", f.Cfg.LedgerTopic())
	}
	if err != nil {
		return err
	}
	return handover.NotClosed(book, first[0], f.Name)
}

// Flow is what all workers of a flow have in common: its rules, the clients of both
// clusters, and what is known of its topics. It may be used by several goroutines.
//
// Package replicate fills it in three stages, newFlow, open and prepare; no worker begins before the last one is over.
type Flow struct {
	// From newFlow on, and never changed.
	Cfg            settings.Config
	Name           string // of the flow
	CatchUp        bool   // run until caught up: progress is committed at once
	Source, Target kafka.Config
	Log            *slog.Logger
	Metrics        *metrics.Metrics
	Wrap           func(shard int, w Writer) Writer // nil: the writer as it is; tests put themselves between
	TroubleFor     time.Duration                    // DefaultTroubleFor, but for tests
	SeenEvery      time.Duration                    // DefaultSeenEvery, but for tests
	Window         *sink.Window                     // what all writers of the batch lane have under way
	Pace           *pace.Pace                       // what they copy of all together; nil: there is no bound
	Topology       *topology.Topology               // which partitions there are, and where to; empty before prepare
	Notify         chan struct{}                    // tells a one-off copy that a shard has come further

	// From open on, which fills them in this order; nil before. After an error of open the later ones stay nil.
	clients.Clients
	SourceScan   *scan.Scanner        // reads single stretches of the source; Clients.Scan does at the target
	LastCopied   *lastcopied.Comparer // whether both sides hold the same last copied record
	Writers      *provenance.Writers  // who wrote to the target what this flow has not
	TargetTopics *provenance.Target   // whose the target's topics are
	Topics       *topics.Topics       // creates target topics and keeps their settings
	// SourceWriters tells what the flow in the opposite direction wrote; nil also afterwards: there is none, or no batch
	// tells its writer.
	SourceWriters *provenance.SourceWriters
	Owner         *owner.Group // which shards are this process's

	// From prepare on, once both clusters have answered; nil and zero before.
	Signer   *identity.Signer // compares the flow with what its ledger says it is
	Identity ledger.Identity  // of this flow, as its configuration and the clusters have it

	// What changes while the flow runs, and may be asked at any time: zero is nothing yet.
	Longest             txlimit.Longest // transaction that the target allows
	Goal                Goal            // where a one-off copy ends
	Seen                seen.Watch      // where the source's logs end
	Owned               atomic.Int32    // shards of this process
	SameLedger          atomic.Bool     // the ledger was seen to be this flow's, as a member of the group
	Copied, CopiedBytes atomic.Int64    // by this process
	asking              sync.Mutex      // held while the ledger's identity is read again
	stops               quarantine.Lines
	logLeftOut          sync.Once
}

// openWriter opens the door out of a shard.
func (f *Flow) openWriter(shard, batchBytes int) (Writer, error) {
	cfg := sink.Config{
		Target: f.Target, TransactionalID: f.Cfg.TransactionalID(int32(shard)), ExactlyOnce: f.exactlyOnce(),
		Ledger: f.Cfg.LedgerTopic(), Shard: int32(shard), Interval: f.Cfg.CommitInterval,
		Longest:    f.Longest.Get(),
		BatchBytes: batchBytes, Window: f.Window, Rebuilt: f.rebuilt,
	}
	var w Writer
	if f.inBatches() {
		w = sink.OpenBatches(cfg)
	} else {
		records, err := sink.OpenRecords(cfg)
		if err != nil {
			return nil, err
		}
		w = records
	}
	if f.Wrap != nil {
		return f.Wrap(shard, w), nil
	}
	return w, nil
}

const (
	// prefetchBudget is what all readers of a flow may hold ready, in payload; each owned shard has a part of it.
	// In the batch lane half of it is in answers, the rest on its way out.
	prefetchBudget  = 48 << 20
	WindowBytes     = 12 << 20 // with a round trip of 50 ms: 250 MB/s
	prefetchLeast   = 2 << 20
	prefetchMost    = 16 << 20
	prefetchRecords = 10_000
)

// share is a shard's part of the prefetch budget, in bytes.
func (f *Flow) share() int {
	return min(max(prefetchBudget/max(int(f.Owned.Load()), 1), prefetchLeast), prefetchMost)
}

// openReader opens the door in.
func (f *Flow) openReader() (reader, error) {
	trouble := func(err error) {
		f.Metrics.Failure(f.Name, metrics.ConnectionFailed)
		f.Log.Debug("source reader is retrying", "error", f.Source.Conceal(err))
	}
	if f.inBatches() {
		return source.OpenBatches(source.BatchesConfig{
			Cluster: f.Source, AnswerBytes: f.share() / 4, Trouble: trouble, Absent: f.Topology.Refresh,
			Rebuilt: f.rebuilt, LeftOut: f.leftOut(),
		})
	}
	return source.OpenRecords(source.Config{
		Cluster: f.Source, Flow: f.Name,
		PrefetchBytes:   f.share(),
		PrefetchRecords: prefetchRecords,
		Trouble:         trouble,
	})
}

// rebuilt counts a batch that did not travel as it was.
func (f *Flow) rebuilt(why string) { f.Metrics.Rebuilt(f.Name, why) }

// leftOut is the test whether a batch is left out, by who wrote it; nil where the flow does not see that.
func (f *Flow) leftOut() func(context.Context, chunk.Written) (bool, error) {
	if f.SourceWriters == nil {
		return nil
	}
	return func(ctx context.Context, batch chunk.Written) (bool, error) {
		var topics provenance.Topics
		topics.Source, topics.Target = f.Topology.IDs(batch.Partition.Topic)
		is, err := f.SourceWriters.LeftOut(ctx, batch, topics)
		var unknown *ledger.UnknownClaimsError
		if errors.As(err, &unknown) && unknown.Denied {
			return false, &chunk.Stop{Kind: chunk.StopUnauthorized, Reason: err.Error(), Fix: unknown.Remedy()}
		}
		if is {
			f.Metrics.LeftOut(f.Name)
			f.logLeftOut.Do(func() {
				f.Log.Info("batches that other flows wrote are left out", "records", f.Cfg.Records)
			})
		}
		return is, err
	}
}

func (f *Flow) exactlyOnce() bool { return f.Cfg.Delivery == settings.ExactlyOnce }

// targetEnd is the last stable offset of one target partition.
func (f *Flow) targetEnd(ctx context.Context, topic string, number int32) (offsets.Target, error) {
	giveUp := time.Now().Add(listoffsets.ElectionLimit)
	var end offsets.Target
	err := wait.Until(ctx, listoffsets.ElectionLimit/100, func() (bool, error) {
		stable, err := f.TargetOffsets.Stable(ctx, []string{topic})
		if err != nil {
			return false, err
		}
		at, known := stable[chunk.Partition{Topic: topic, Number: number}]
		if !known {
			at.Err = errors.New("the target does not know it")
		}
		if end = offsets.Target(at.Offset); at.Err == nil {
			return true, nil
		}
		if !kerr.IsRetriable(at.Err) || time.Now().After(giveUp) {
			return false, fmt.Errorf("end of target partition %s/%d: %w", topic, number, at.Err)
		}
		return false, nil
	})
	return end, err
}

// checkLedger reads once more whose the ledger is: as a member of the group, since whoever
// renames the flow looks for members after it has noted that.
func (f *Flow) checkLedger(ctx context.Context) error {
	f.asking.Lock()
	defer f.asking.Unlock()
	if f.SameLedger.Load() {
		return nil
	}
	if err := f.Signer.Confirm(ctx, f.Identity); err != nil {
		return err
	}
	f.SameLedger.Store(true)
	return nil
}

// ExplainLedger explains an error that a ledger leaves which is not there any more; another one it returns as it is.
func (f *Flow) ExplainLedger(ctx context.Context, err error) error {
	code, known := kafka.Code(err)
	switch ck.ErrorCode(code) {
	case ck.ErrUnknownTopicOrPart, ck.ErrUnknownTopicID, ck.ErrUnknownTopic, ck.ErrUnknownPartition:
	default:
		known = false
	}
	if !known {
		return err
	}
	name := f.Cfg.LedgerTopic()
	if ids, asked := f.TargetOffsets.TopicIDs(ctx, []string{name}); asked != nil || len(ids) > 0 {
		return err
	}
	return ledger.Deleted(name, f.Target.Name, err)
}

// inBatches says whether the flow uses the batch lane.
func (f *Flow) inBatches() bool {
	lane, _ := f.Cfg.LaneInUse()
	return lane == settings.LaneBatch
}
