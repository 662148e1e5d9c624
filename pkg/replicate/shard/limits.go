package shard

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/sink"
)

// shorten has transactions last less, where the target has refused their time; before is what was known of that when it
// was asked for. It answers nil for any other error.
func (f *Flow) shorten(before time.Duration, err error) error {
	if code, _ := kafka.Code(err); !errors.Is(kerr.ErrorForCode(int16(code)), kerr.InvalidTransactionTimeout) {
		return nil
	}
	from, to, err := f.Longest.Halve(&f.Cfg, before)
	if err != nil {
		return err
	}
	if to > 0 {
		f.Log.Info("transactions are shortened, the target refuses longer ones (transaction.max.timeout.ms)", "from", from,
			"to", to)
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
