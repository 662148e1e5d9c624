package workload

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BulkSpec says what [Bulk] writes.
type BulkSpec struct {
	Seed    uint64
	Records int
	Size    int    // bytes of a value; at least about 75, whatever is asked
	Codec   string // none, gzip, snappy, lz4 or zstd
	// BatchBytes bounds a batch before compression; 0: 1,000,000.
	BatchBytes int
}

const bulkStretch = 1000 // records in a row for one partition, so that batches fill

// Bulk writes many JSON records fast, the same number to each partition of the
// topic but for the last stretch. No key, no headers, no transaction.
func Bulk(ctx context.Context, bootstrap, topic string, spec BulkSpec) error {
	codec, err := codecNamed(spec.Codec)
	if err != nil {
		return err
	}
	client, err := newProducer(bootstrap, "", kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(100_000), kgo.MaxBufferedBytes(64<<20),
		kgo.ProducerBatchMaxBytes(int32(cmp.Or(spec.BatchBytes, 1_000_000))))
	if err != nil {
		return err
	}
	defer client.Close()
	count, err := partitions(ctx, client, topic)
	if err != nil {
		return err
	}
	first := kgo.AbortingFirstErrPromise(client)
	random := newRand(spec.Seed)
	for i := range spec.Records {
		client.Produce(ctx, &kgo.Record{
			Topic: topic, Partition: int32(i / bulkStretch % count), Value: document(random, i, spec.Size),
		}, first.Promise())
	}
	if err = client.Flush(ctx); err == nil {
		err = first.Err()
	}
	if err != nil {
		return fmt.Errorf("bulk data for %s: %w", topic, err)
	}
	return nil
}

func codecNamed(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("%w: codec %q; none, gzip, snappy, lz4 or zstd", errSpec, name)
}
