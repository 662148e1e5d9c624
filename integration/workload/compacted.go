package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// CompactedSpec says what [Compacted] writes. Zero values mean 300 keys, 8
// rounds, 1 partition.
type CompactedSpec struct {
	Seed       uint64
	Keys       int
	Rounds     int // at least 6; in each, a random half of the keys gets a new value or a tombstone
	Partitions int
	KeepOpen   bool // leave the cleaner at work instead of freezing the topic
}

const (
	roundLength = time.Minute // by the records' timestamps; longer than segment.ms, so each round rolls
	stillReads  = 3           // equal layouts in a row that show a log at rest
)

// Compacted writes updates and tombstones to a topic with [CompactedConfigs] on a
// cluster with [ServerConfig], and waits until the cleaner has left holes in every
// partition. Some rounds are transactions, one of which is aborted.
//
// Then it freezes the topic: with min.cleanable.dirty.ratio 1 and a
// min.compaction.lag.ms of for ever the cleaner leaves it alone, on the source as
// on a target that copies its configs. Else the two logs would go on losing
// records at different moments, and no judge could hold them against each other.
func Compacted(ctx context.Context, bootstrap, topic string, spec CompactedSpec) (Written, error) {
	if spec.Keys == 0 {
		spec.Keys = 300
	}
	if spec.Rounds == 0 {
		spec.Rounds = 8
	}
	spec.Partitions = max(1, spec.Partitions)
	if spec.Rounds < 6 {
		return Written{}, fmt.Errorf("%w: %d rounds; at least 6", errSpec, spec.Rounds)
	}
	written, err := writeRounds(ctx, bootstrap, topic, spec)
	if err != nil {
		return written, fmt.Errorf("compacted data for %s: %w", topic, err)
	}
	// All rounds but the last can be cleaned, to one record a key: far more than this.
	if err := waitHoles(ctx, bootstrap, topic, spec.Keys/spec.Partitions); err != nil {
		return written, fmt.Errorf("wait for the cleaner on %s (the cluster needs ServerConfig): %w", topic, err)
	}
	if spec.KeepOpen {
		return written, nil
	}
	return written, Freeze(ctx, bootstrap, topic)
}

func writeRounds(ctx context.Context, bootstrap, topic string, spec CompactedSpec) (Written, error) {
	var written Written
	plain, err := newProducer(bootstrap, "", kgo.ManualFlushing())
	if err != nil {
		return written, err
	}
	defer plain.Close()
	transactional, err := newProducer(bootstrap, "workload."+topic, kgo.ManualFlushing())
	if err != nil {
		return written, err
	}
	defer transactional.Close()
	random := newRand(spec.Seed)
	// In the future, since markers carry the time of now: one that began a segment
	// would keep all that is dated before it in there.
	began := time.Now().Add(roundLength)
	for round := range spec.Rounds {
		records := roundRecords(random, spec, round, began.Add(time.Duration(round)*roundLength))
		if round%2 == 0 {
			if err := produce(ctx, plain, topic, records); err != nil {
				return written, err
			}
			written.Visible += len(records)
			continue
		}
		if err := transactional.BeginTransaction(); err != nil {
			return written, err
		}
		if err := produce(ctx, transactional, topic, records); err != nil {
			return written, err
		}
		abort := round == 3
		if err := transactional.EndTransaction(ctx, kgo.TransactionEndTry(!abort)); err != nil {
			return written, fmt.Errorf("end transaction: %w", err)
		}
		if written.Transactions++; abort {
			written.Aborted += len(records)
		} else {
			written.Visible += len(records)
		}
	}
	return written, nil
}

// roundRecords gives each of half of the keys a new value, or a tombstone in one
// of six cases. A key always goes to the same partition, as compaction requires.
// The last record of a round in each partition is a value.
func roundRecords(random *rand.Rand, spec CompactedSpec, round int, at time.Time) []*kgo.Record {
	var records []*kgo.Record
	add := func(key string, partition int, value []byte) {
		records = append(records, &kgo.Record{
			Partition: int32(partition), Key: []byte(key), Value: value,
			Timestamp: at.Add(time.Duration(len(records)) * time.Millisecond),
		})
	}
	for _, k := range random.Perm(spec.Keys)[:(spec.Keys+1)/2] {
		value := document(random, round*spec.Keys+k, 100)
		if random.IntN(6) == 0 {
			value = nil
		}
		add("key-"+strconv.Itoa(k), k%spec.Partitions, value)
	}
	for p := range spec.Partitions {
		add("round-of-"+strconv.Itoa(p), p, []byte(strconv.Itoa(round)))
	}
	return records
}

// waitHoles waits until every partition has at least so many holes and the log has
// come to rest.
func waitHoles(ctx context.Context, bootstrap, topic string, atLeast int) error {
	var last map[int32]*Layout
	still := 0
	return poll(ctx, func() (bool, error) {
		now, err := ReadLayout(ctx, bootstrap, topic)
		if err != nil {
			return false, err
		}
		for _, l := range now {
			if len(l.Holes) < atLeast {
				return false, nil
			}
		}
		if still++; !reflect.DeepEqual(now, last) {
			still, last = 1, now
		}
		return still >= stillReads, nil
	})
}

// Freeze keeps the cleaner away from a compacted topic, by configs that a target
// copies, and waits until the log is at rest.
func Freeze(ctx context.Context, bootstrap, topic string) error {
	err := Alter(ctx, bootstrap, topic, map[string]string{
		"min.cleanable.dirty.ratio": "1.0",
		"min.compaction.lag.ms":     forever,
		"max.compaction.lag.ms":     forever,
	})
	if err != nil {
		return err
	}
	return waitHoles(ctx, bootstrap, topic, 1)
}
