package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// Data is a topic to be copied.
type Data struct {
	Name       string // short, without dots
	Records    int
	Size       int    // bytes of a value, JSON
	Codec      string // none, lz4 or zstd
	Partitions int
	BatchBytes int    // of a batch before compression; 0: as large as the producer makes them
	Target     string // Kafka version of the cluster that is copied to
	Far        Far
	Rounds     int      // at most; 0: no limit of its own
	By         []string // names of contestants
}

// Far says which cluster is far away, behind a proxy that holds everything back.
type Far string

const (
	Nothing   Far = ""
	FarTarget Far = "target"
	FarSource Far = "source"
)

// OlderVersion is the second Kafka version that is copied to.
const OlderVersion = "3.9.1"

// FewLarge is how many records the data of large records has unless told
// otherwise: twenty thousand, twice, and what the brokers need beside, do not fit
// into 24 GB of memory.
const FewLarge = 4000

var (
	lanes  = []string{plainLoop, rawCopy, exactlyOnce}
	common = append(slices.Clone(lanes), mm2LeastOnce, mm2ExactOnce)
	all    = append(slices.Clone(common), recordExactOnce, recordLeastOnce)
)

// Full is all that is copied; large is the number of the records of 1 MB.
func Full(large int) []Data {
	const now = cluster.DefaultVersion
	small := Data{Name: "a", Records: 10_000_000, Size: 100, Codec: "zstd", Partitions: 8, Target: now, By: all}
	kilo := Data{Name: "b", Records: 2_000_000, Size: 1000, Codec: "lz4", Partitions: 8, Target: now, By: all}
	far := Data{Name: "h", Records: 400_000, Size: 1000, Codec: "none", Partitions: 1, BatchBytes: 92 << 10,
		Target: now, Far: FarTarget, Rounds: 2, By: lanes}
	farSource := far
	farSource.Name, farSource.Far = "i", FarSource
	older := []Data{small, kilo}
	for i := range older {
		older[i].Name, older[i].Target, older[i].Rounds, older[i].By = older[i].Name+"39", OlderVersion, 2, lanes
	}
	return append([]Data{
		small, kilo,
		{Name: "c", Records: 1_000_000, Size: 1000, Codec: "none", Partitions: 8, Target: now, By: common},
		{Name: "d", Records: large, Size: 1_000_000, Codec: "none", Partitions: 8, BatchBytes: 1_100_000, Target: now,
			By: common},
		{Name: "e", Records: 2_000_000, Size: 1000, Codec: "lz4", Partitions: 1, Target: now, By: common},
		far, farSource,
	}, older...)
}

// Quick is one twentieth of [Full], to try things with. Its figures say little:
// most of the time is start-up.
func Quick(large int) []Data {
	data := Full(large)
	for i := range data {
		data[i].Records = max(1, data[i].Records/20)
	}
	return data
}

func (d Data) String() string {
	batches, partitions, where := "", fmt.Sprintf("%d partitions", d.Partitions), ""
	if d.Partitions == 1 {
		partitions = "one partition"
	}
	if d.BatchBytes > d.Size*2 {
		batches = fmt.Sprintf("batches of %d KB, ", d.BatchBytes>>10)
	}
	switch {
	case d.Far != Nothing:
		where = fmt.Sprintf(", %d ms of round trip to the %s", roundTrip.Milliseconds(), d.Far)
	case d.Target != cluster.DefaultVersion:
		where = ", to Kafka " + d.Target
	}
	codec := d.Codec
	if codec == "none" {
		codec = "not compressed"
	}
	return fmt.Sprintf("%s records of %s bytes, JSON, %s, %s%s%s",
		thousands(int64(d.Records)), thousands(int64(d.Size)), codec, batches, partitions, where)
}

func (d Data) topic() string { return "bench-" + d.Name }

func (d Data) load(ctx context.Context, bootstrap string) error {
	if err := workload.Topics(ctx, bootstrap, int32(d.Partitions), nil, d.topic()); err != nil {
		return err
	}
	return workload.Bulk(ctx, bootstrap, d.topic(), workload.BulkSpec{
		Seed: 1, Records: d.Records, Size: d.Size, Codec: d.Codec, BatchBytes: d.BatchBytes,
	})
}

// tail is how many offsets before its end the last record of a partition is looked
// for, the transactions' markers among them.
func (d Data) tail() int64 { return int64(min(64, max(4, (4<<20)/d.Size))) }

// thousands writes 2000000 as 2,000,000.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
