package main

import (
	"context"
	"testing"
	"time"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
)

func TestCopiesAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cluster := kafkatest.Start(t)
	bootstrap := cluster.Address()
	if err := workload.Topics(ctx, bootstrap, 8, nil, "in", "out"); err != nil {
		t.Fatal(err)
	}
	const records = 5500 // partitions 6 and 7 stay empty
	spec := workload.BulkSpec{Records: records, Size: 100, Codec: "lz4"}
	if err := workload.Bulk(ctx, bootstrap, "in", spec); err != nil {
		t.Fatal(err)
	}
	if err := run(bootstrap, bootstrap, "in", "out", "zstd", false); err != nil {
		t.Fatal(err)
	}
	ends, err := cluster.Admin().ListEndOffsets(ctx, "in", "out")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for p := range int32(8) {
		in, _ := ends.Lookup("in", p)
		out, _ := ends.Lookup("out", p)
		if in.Offset != out.Offset {
			t.Errorf("partition %d has %d records, its copy %d", p, in.Offset, out.Offset)
		}
		sum += out.Offset
	}
	if sum != records {
		t.Errorf("%d records copied, want %d", sum, records)
	}
}
