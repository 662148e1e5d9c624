package shard

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/sink"
	"replicator/pkg/replicate/txlimit"
)

// shorten takes up that the target has refused the time of a transaction, which it does not
// tell: half of it is tried next. before is what the flow knew when it asked; the first of
// its shards to be refused counts. It answers nil for any other error.
func (f *Flow) shorten(before int64, err error) error {
	if code, _ := kafka.Code(err); !errors.Is(kerr.ErrorForCode(int16(code)), kerr.InvalidTransactionTimeout) {
		return nil
	}
	if f.Transaction.Load() != before {
		return errAgain
	}
	asked := time.Duration(before)
	if usual := f.Cfg.CommitInterval + sink.Margin; asked == 0 || asked > usual {
		asked = usual
	}
	half := (asked / 2).Truncate(time.Millisecond)
	if txlimit.Fits(&f.Cfg, half) != nil {
		if asked <= f.Cfg.CommitInterval+sink.LeastMargin {
			return &txlimit.TooShortError{Cluster: f.Cfg.To, Interval: f.Cfg.CommitInterval}
		}
		half = f.Cfg.CommitInterval + sink.LeastMargin
	}
	if f.Transaction.CompareAndSwap(before, int64(half)) {
		f.Log.Info("transactions are shortened, the target refuses longer ones (transaction.max.timeout.ms)", "from", asked,
			"to", half)
	}
	return errAgain
}

// batchFrame is what a batch has beside its records, with room to spare.
const batchFrame = 200

// batchBytes is, in the record lane, the largest batch that all topics of a shard
// take. A topic may take less than Kafka's default where nobody lets us alter it; a
// batch of records each of which it takes would be refused as a whole.
func (f *Flow) batchBytes(shard int) int {
	most := int64(sink.BatchMost)
	for _, t := range f.Topology.Now() {
		if t.Stop != nil || t.TargetMaxBytes == 0 || t.TargetMaxBytes-batchFrame >= most {
			continue
		}
		for n := range t.Partitions {
			if (chunk.Partition{Topic: t.Source, Number: int32(n)}).Shard(f.Cfg.Shards) == shard {
				most = max(t.TargetMaxBytes-batchFrame, 1)
				break
			}
		}
	}
	return int(most)
}
