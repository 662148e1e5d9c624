package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/sink"
)

// TooShortError reports a target that does not let a transaction last as long as the
// configuration needs.
type TooShortError struct {
	Cluster  string
	Most     time.Duration // that the target takes; 0: it does not tell, and has refused what is needed
	Interval time.Duration
}

func (e *TooShortError) Error() string {
	does := "refuses longer transactions (transaction.max.timeout.ms, which it does not tell)"
	if e.Most > 0 {
		does = fmt.Sprintf("lets a transaction last at most %s (transaction.max.timeout.ms)", e.Most)
	}
	return fmt.Sprintf("commit_interval %s needs transactions of %s, and cluster %s %s", e.Interval,
		e.Interval+sink.LeastMargin, e.Cluster, does)
}

// Remedy tells what to do.
func (e *TooShortError) Remedy() string {
	fix := fmt.Sprintf("raise transaction.max.timeout.ms on cluster %s", e.Cluster)
	switch most := e.Most - sink.LeastMargin; {
	case most >= minCommitInterval:
		return fmt.Sprintf("set commit_interval to at most %s, or %s", most, fix)
	case e.Most == 0 && e.Interval > minCommitInterval:
		return "set commit_interval lower, or " + fix
	}
	return fix
}

// fits says whether a transaction may last as long as the flow needs; 0: not told.
func (c *Config) fits(most time.Duration) error {
	if most > 0 && most < c.CommitInterval+sink.LeastMargin {
		return &TooShortError{Cluster: c.To, Most: most, Interval: c.CommitInterval}
	}
	return nil
}

// shortened says what becomes of a transaction's time; "": nothing.
func (c *Config) shortened(most time.Duration) string {
	usual := c.CommitInterval + sink.Margin
	if most == 0 || most >= usual {
		return ""
	}
	return fmt.Sprintf("cluster %s lets a transaction last at most %s (transaction.max.timeout.ms): the flow's own end "+
		"after that, not after %s", c.To, most, usual)
}

// learnLimits asks the target what it says of transactions, before anything is begun.
func (f *flow) learnLimits(ctx context.Context) error {
	client, err := kafka.NewFranz(f.target)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := f.target.Limits(ctx, client)
	if err != nil {
		return err
	}
	if len(found.Problems) > 0 {
		return found.Problems[0]
	}
	if err := f.cfg.fits(found.Transaction); err != nil {
		return err
	}
	if said := f.cfg.shortened(found.Transaction); said != "" {
		f.log.Info("transactions are shortened", "why", said)
	}
	f.transaction.Store(int64(found.Transaction))
	return nil
}

// shorten takes up that the target has refused the time of a transaction, which it does not
// tell: half of it is tried next. before is what the flow knew when it asked; the first of
// its shards to be refused counts. It answers nil for any other error.
func (f *shared) shorten(before int64, err error) error {
	if code, _ := kafka.Code(err); !errors.Is(kerr.ErrorForCode(int16(code)), kerr.InvalidTransactionTimeout) {
		return nil
	}
	if f.transaction.Load() != before {
		return errAgain
	}
	asked := time.Duration(before)
	if usual := f.cfg.CommitInterval + sink.Margin; asked == 0 || asked > usual {
		asked = usual
	}
	half := (asked / 2).Truncate(time.Millisecond)
	if f.cfg.fits(half) != nil {
		if asked <= f.cfg.CommitInterval+sink.LeastMargin {
			return &TooShortError{Cluster: f.cfg.To, Interval: f.cfg.CommitInterval}
		}
		half = f.cfg.CommitInterval + sink.LeastMargin
	}
	if f.transaction.CompareAndSwap(before, int64(half)) {
		f.log.Info("transactions are shortened, the target refuses longer ones (transaction.max.timeout.ms)", "from", asked,
			"to", half)
	}
	return errAgain
}

// limited tells the errors about a target's limits, which no retry cures.
func limited(err error) bool {
	var short *TooShortError
	var internal *kafka.InternalTopicError
	return errors.As(err, &short) || errors.As(err, &internal)
}

// planLimits tells what the target says of transactions.
func (i *Inspection) planLimits(ctx context.Context, plan *FlowPlan) error {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	found, err := i.targetCluster.Limits(ctx, i.target)
	if err != nil {
		return err
	}
	plan.Problems = append(plan.Problems, found.Problems...)
	if err := i.cfg.fits(found.Transaction); err != nil {
		plan.Problems = append(plan.Problems, err)
	} else if said := i.cfg.shortened(found.Transaction); said != "" {
		plan.Warnings = append(plan.Warnings, said)
	}
	return nil
}

// batchFrame is what a batch has beside its records, with room to spare.
const batchFrame = 200

// batchBytes is, in the record lane, the largest batch that all topics of a shard
// take. A topic may take less than Kafka's default where nobody lets us alter it; a
// batch of records each of which it takes would be refused as a whole.
func (f *shared) batchBytes(shard int) int {
	most := int64(sink.BatchMost)
	for _, t := range f.topology.now() {
		if t.Stop != nil || t.TargetMaxBytes == 0 || t.TargetMaxBytes-batchFrame >= most {
			continue
		}
		for n := range t.Partitions {
			if (chunk.Partition{Topic: t.Source, Number: int32(n)}).Shard(f.cfg.Shards) == shard {
				most = max(t.TargetMaxBytes-batchFrame, 1)
				break
			}
		}
	}
	return int(most)
}
